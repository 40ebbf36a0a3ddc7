"""What each results page says, against plain DuckDB and NumPy on the raw scores.

And what it lets people take away.
"""

import io
import re
import subprocess
import sys
from types import SimpleNamespace

import duckdb
import numpy as np
import pandas as pd
import pytest

from pages.main.controls import forget_links
from tests.pages.test_pages import METHOD, PAGES, ROOT, opened, said
from tests.stores import (
    N_HEADS,
    family_store,
    planted_puzzles,
    planted_run,
    planted_scores,
    planted_store,
    publish_parts,
    write_parts,
)

PAGE = {page.split("/")[-1].removesuffix(".py"): page for page in PAGES}


@pytest.fixture(scope="module")
def marks(family_path):
    """Who is right on each test puzzle of planted-1, worked out from table scores alone."""
    with duckdb.connect(":memory:") as connection:
        connection.execute(f"attach '{family_path}' as s (read_only)")
        rows = connection.execute(
            """
            select p.puzzle_id, p.split, p.steps, p.answer,
                   list(c.qk order by c.candidate, c.layer, c.head) as qk,
                   any_value(l.logit) as logits
            from s.scores c
            join s.puzzles p on p.puzzle_id = c.puzzle_id and p.puzzle_set = 'planted-set'
            join s.logits l on l.run_id = c.run_id and l.place = c.place
            where c.run_id = 'planted-1'
            group by p.puzzle_id, p.split, p.steps, p.answer
            """
        ).df()
    qk = np.stack(list(rows["qk"])).reshape(len(rows), 2, -1)  # (puzzle, candidate, head)
    choices = qk.argmax(axis=1)  # (puzzle, head)
    is_right = choices == rows["answer"].to_numpy()[:, None]
    best = is_right[rows["split"] == "validation"].mean(axis=0).argmax()
    model = np.stack(list(rows["logits"])).argmax(axis=1) == rows["answer"]
    frame = rows[["puzzle_id", "split", "steps", "answer"]].assign(
        head=is_right[:, best], model=model
    )
    return SimpleNamespace(
        test=frame[frame["split"] == "test"], name=f"L{best // N_HEADS} H{best % N_HEADS}"
    )


def test_the_overview_quotes_the_head_chosen_on_validation_and_its_paired_gap(
    marks, family_path, monkeypatch
):
    text = said(opened(monkeypatch, family_path, run="planted-1"))
    head, model = marks.test["head"].mean(), marks.test["model"].mean()
    lead = f"**{marks.name}**, chosen on validation puzzles, has accuracy **{100 * head:.1f} % ("
    assert lead in text
    assert f"The model as it is gets {100 * model:.1f} %: " in text
    assert f"{100 * (head - model):+.1f} points (" in text
    assert f"n = {len(marks.test)}" in text


def test_head_and_model_counts_agree_with_the_raw_scores(marks, family_path, monkeypatch):
    text = said(opened(monkeypatch, family_path, PAGE["head_vs_model"], run="planted-1"))
    both = (marks.test["head"] & marks.test["model"]).mean()
    only_head = (marks.test["head"] & ~marks.test["model"]).mean()
    assert f"Of {len(marks.test)} test puzzles, both are right on {100 * both:.1f} %" in text
    assert f"only L1 H2 on **{100 * only_head:.1f} %**" in text


@pytest.mark.parametrize("page", ["head_vs_model", "difficulty"])
def test_pages_draw_by_steps_and_by_distractors(page, family_path, monkeypatch):
    at = opened(monkeypatch, family_path, PAGE[page], run="planted-1", by="distractors")
    assert not at.exception
    assert "Distractors" in "".join(chart.proto.spec for chart in at.get("vega_lite_chart"))


def test_the_puzzles_page_filters_by_who_is_right(marks, family_path, monkeypatch):
    at = opened(monkeypatch, family_path, PAGE["puzzles"], run="planted-1")
    at.selectbox(key="right").set_value("only model").run()
    n = int((~marks.test["head"] & marks.test["model"]).sum())
    assert f"**{n}** test puzzle" in said(at)
    at.selectbox(key="answer").set_value("true").run()
    n = int((~marks.test["head"] & marks.test["model"] & (marks.test["answer"] == 0)).sum())
    assert f"**{n}** test puzzle" in said(at)


def test_a_puzzle_that_a_filter_leaves_out_makes_room_without_a_word(family_path, monkeypatch):
    at = opened(monkeypatch, family_path, PAGE["puzzles"], run="planted-1", puzzle_id="g6-0")
    assert at.selectbox(key="puzzle_id").value == "g6-0"
    at.selectbox(key="answer").set_value("false").run()
    assert not at.warning
    assert at.selectbox(key="puzzle_id").value == "g6-1"


def test_columns_without_a_value_are_not_in_a_table_of_puzzles():
    from pages.widgets.puzzle import columns_of

    table = pd.DataFrame({"margin": [1.0], "steps": pd.array([pd.NA], "Int64"), "statement": "x"})
    assert columns_of(table) == ["statement", "margin"]
    assert columns_of(table.assign(steps=2)) == ["statement", "margin", "steps"]


def test_the_puzzles_page_finds_text_and_opens_a_puzzle(family_path, monkeypatch):
    at = opened(monkeypatch, family_path, PAGE["puzzles"], run="planted-1")
    at.text_input(key="find").set_value("CONTEXT 11.").run()
    assert "**2** test puzzles" in said(at)
    assert "Context 11." in [code.value for code in at.main.code]
    at.text_input(key="find").set_value("%").run()
    assert "No test puzzle passes all of these filters" in said(at)


def test_a_puzzle_opens_in_try_a_puzzle_complete(family_path, monkeypatch):
    from qkcore.asking.links import decode

    at = opened(monkeypatch, family_path, PAGE["puzzles"], run="planted-1", puzzle_id="g11-1")
    (link,) = at.main.get("page_link")
    shared = decode(re.search(r"puzzle=([\w-]+)", link.proto.query_string).group(1))
    puzzle = shared.puzzle
    assert (puzzle.context, puzzle.statement, puzzle.answer) == ("Context 11.", "Statement 1.", 1)
    assert (shared.layer, shared.head, shared.rope) == (1, 2, "pre")


def test_the_head_grid_measures_what_is_picked(family_path, monkeypatch):
    at = opened(monkeypatch, family_path, PAGE["head_grid"], run="planted-1")
    for measure in at.selectbox(key="measure").options:
        at.selectbox(key="measure").set_value(measure).run()
        assert not at.exception, measure
        assert measure.replace('"', '\\"') in at.get("vega_lite_chart")[0].proto.spec
    assert 'Accuracy on "false"' in at.selectbox(key="measure").options


def test_transfer_needs_two_sets_and_compare_two_runs_on_one(planted_path, monkeypatch):
    assert "Transfer needs two runs" in said(opened(monkeypatch, planted_path, PAGE["transfer"]))
    assert "No other run in this store is on the same puzzles" in said(
        opened(monkeypatch, planted_path, PAGE["compare"])
    )


def test_compare_offers_only_runs_on_the_same_puzzles(family_path, monkeypatch):
    at = opened(monkeypatch, family_path, PAGE["compare"], run="planted-1")
    assert at.selectbox(key="other").options == ["planted-post"]
    same = "**the same answer to all 60 test puzzles**, so there is no difference to measure."
    assert f"L1 H2 here − L1 H2 there: {same}" in said(at)
    assert f"model here − model there: {same}" in said(at)


def test_compare_measures_what_differs_and_names_what_does_not(tmp_path, monkeypatch):
    path, puzzles = planted_store(tmp_path / "s.duckdb"), planted_puzzles()
    qk, logits = planted_scores(puzzles)
    logits[::2] = logits[::2, ::-1]
    parts = write_parts(tmp_path / "parts", puzzles, qk, logits)
    publish_parts(path, planted_run(puzzles, run_id="other", rope="post"), puzzles, parts)
    at = opened(monkeypatch, path, PAGE["compare"], run="planted-1")
    text = said(at)
    assert not at.exception
    assert "L1 H2 here − L1 H2 there: **the same answer to all 60 test puzzles**" in text
    assert re.search(r"model here − model there: \*\*\S+ points", text)
    assert "Above zero, this run is more right than the other" in text


def test_compare_says_how_many_heads_keep_their_place(family_path, monkeypatch):
    text = said(opened(monkeypatch, family_path, PAGE["compare"], run="planted-1"))
    with duckdb.connect(":memory:") as connection:
        connection.execute(f"attach '{family_path}' as s (read_only)")
        rows = connection.execute(
            """
            with heads as (
                select run_id, layer, head, place, list(qk order by candidate) as qk
                from s.scores group by run_id, layer, head, place
            )
            select a.qk as own, b.qk as other, p.answer, a.layer, a.head
            from heads a
            join heads b using (layer, head, place)
            join s.puzzles p on p.place = a.place and p.puzzle_set = 'planted-set'
            where a.run_id = 'planted-1' and b.run_id = 'planted-post' and p.split = 'test'
            """
        ).df()
    own, other = (np.stack(list(rows[name])).argmax(axis=1) for name in ("own", "other"))
    by_head = [rows["layer"], rows["head"]]
    right = [(said == rows["answer"]).groupby(by_head).mean().rank() for said in (own, other)]
    rank = np.corrcoef(*right)[0, 1]
    said_rank = f"**{rank:.2f}**".replace("-", "−")
    assert f"accuracies of the 12 heads have a rank correlation of {said_rank}, and" in text
    equal = pd.Series(own == other)
    assert (
        f"the same answer **{100 * equal.mean():.1f} %** of the time (n = 60 test puzzles)" in text
    )
    planted = equal.groupby(by_head).mean()[1, 2]
    assert (
        "Validation puzzles choose **L1 H2** in both runs; L1 H2 gives the same answer in both "
        f"**{100 * planted:.1f} %** of the time" in text
    )


def test_compare_says_so_where_models_have_other_heads(tmp_path, monkeypatch):
    path = planted_store(tmp_path / "s.duckdb")
    planted_store(path, run_id="wide", n_layers=6, n_heads=2)
    text = said(opened(monkeypatch, path, PAGE["compare"], run="planted-1"))
    assert "The heads of planted-1 and wide are not the same ones" in text.replace("`", "")


def test_the_worked_examples_products_add_up_on_the_page(family_path, monkeypatch):
    text = said(opened(monkeypatch, family_path, METHOD, run="planted-1"))
    assert (
        "**4.000 for true, 2.000 for false**. So L1 H2 answers **true**; the right answer is true: "
        "**right**" in text
    )


def test_a_run_without_texts_still_shows_who_is_right(tmp_path, monkeypatch):
    puzzles, path = planted_puzzles(), tmp_path / "bare.duckdb"
    parts = write_parts(tmp_path / "parts", puzzles, *planted_scores(puzzles))
    publish_parts(path, planted_run(puzzles), puzzles, parts, with_texts=False)
    at = opened(monkeypatch, path, PAGE["puzzles"])
    assert not at.exception
    assert "published without its texts" in said(at)
    assert not at.main.get("page_link")
    assert "holds no worked example" in said(opened(monkeypatch, path, METHOD))


# Links


NAMES = {
    "overview": {"choose"},
    "head_grid": {"measure", "steps", "distractors"},
    "difficulty": {"vote", "gap_of"},
    "head_vs_model": {"by"},
    "layers": {"show", "steps"},
    "transfer": set(),
    "puzzles": {"right", "answer", "vote", "steps", "distractors", "puzzle_id"},
    "compare": {"other", "steps", "distractors"},
    "method": set(),
}


@pytest.mark.parametrize("page", NAMES)
def test_the_names_in_links_stay_as_they_are(page, family_path, monkeypatch):
    at = opened(monkeypatch, family_path, PAGE[page], run="planted-1")
    link = at.sidebar.code[0].value
    assert set(re.findall(r"[?&](\w+)=", link)) == {"run", "layer", "head"} | NAMES[page]


@pytest.mark.parametrize(
    ("page", "query", "sentence"),
    [
        ("head_grid", {"measure": "Beauty"}, "Measure Beauty is not there; this is Accuracy."),
        ("head_grid", {"steps": "99"}, "Steps 99 is not there; this is all."),
        (
            "difficulty",
            {"vote": "<b>x</b>"},
            r"Vote \<b\>x\</b\> is not there; this is weighted vote of 5.",
        ),
        ("layers", {"show": "Beauty"}, "Show Beauty is not there; this is Accuracy."),
        ("head_vs_model", {"by": "luck"}, "By luck is not there; this is steps."),
        ("puzzles", {"puzzle_id": "../../etc"}, "is not there"),
        ("puzzles", {"right": "nobody"}, "Right nobody is not there; this is all."),
        ("compare", {"other": "planted-1"}, "is not there; this is planted"),
        ("overview", {"choose": "the best"}, "is not there; this is all steps."),
    ],
)
def test_an_unknown_value_in_a_link_falls_back_with_a_sentence(
    page, query, sentence, family_path, monkeypatch
):
    at = opened(monkeypatch, family_path, PAGE[page], run="planted-1", **query)
    assert not at.exception
    assert sentence in " ".join(warning.value for warning in at.warning)


def test_a_link_reopens_the_view_it_names(family_path, monkeypatch):
    at = opened(
        monkeypatch,
        family_path,
        PAGE["puzzles"],
        run="planted-1",
        right="only head",
        steps="2",
        find="Context",
    )
    assert [at.selectbox(key=key).value for key in ("right", "steps")] == ["only head", "2"]
    assert at.text_input(key="find").value == "Context"


# Exports


@pytest.mark.parametrize("page", list(NAMES))
def test_every_snippet_runs_and_gives_what_the_page_shows(page, family_path, monkeypatch):
    at = opened(monkeypatch, family_path, PAGE[page], run="planted-1")
    snippets = [code.value for code in at.main.code if "ResultStore.open" in code.value]
    assert snippets
    tables = [table.value for table in at.main.dataframe]
    for snippet in snippets:
        names: dict = {"print": lambda *_: None}
        exec(compile(snippet, page, "exec"), names)
        answer = names["answer"]
        assert isinstance(answer, pd.DataFrame)
        assert len(answer)
        assert any(same(answer, table) for table in tables), snippet


def same(answer: pd.DataFrame, table: pd.DataFrame) -> bool:
    """Whether a table on the page shows the snippet's numbers.

    Equal, or in percent, in the columns they share.
    """
    shared = [
        name for name in answer if name in table and pd.api.types.is_numeric_dtype(table[name])
    ]
    if not shared or len(answer) < len(table):
        return False
    rows = answer[shared].astype(float).reset_index(drop=True).iloc[: len(table)]
    shown = table[shared].astype(float).reset_index(drop=True)
    return all(
        np.allclose(rows[name], shown[name], equal_nan=True)
        or np.allclose(100 * rows[name], shown[name], equal_nan=True)
        for name in shared
    )


def test_tables_give_shares_in_percent_and_differences_in_points():
    from pages.widgets.exports import shown

    both = {"accuracy": [0.75], "low": [0.7], "high": [0.8], "gap": [-0.05], "gap_low": [-0.1]}
    table = shown(pd.DataFrame(both))
    units = {name: one["type_config"]["format"] for name, one in table["column_config"].items()}
    assert {name for name, form in units.items() if "%%" in form} == {"accuracy", "low", "high"}
    assert table["data"]["gap"].tolist() == [-5.0]
    assert table["column_config"]["gap"]["label"] == "gap, points"
    of_gap = shown(pd.DataFrame({"gap": [0.1], "low": [0.0], "high": [0.2], "p": [0.5]}))
    assert not any("%%" in one["type_config"]["format"] for one in of_gap["column_config"].values())
    assert {one["label"] for one in of_gap["column_config"].values()} == {
        "gap, points",
        "low, points",
        "high, points",
    }


def test_a_snippet_runs_in_a_fresh_python(family_path, monkeypatch):
    at = opened(monkeypatch, family_path, run="planted-1")
    snippet = next(code.value for code in at.main.code if "left_over(" in code.value)
    done = subprocess.run(
        [sys.executable, "-c", snippet], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "gap to the model" in done.stdout


def test_downloads_hold_the_frame_and_the_picture(monkeypatch, family_path):
    from pages.widgets import exports
    from qkcore.charts.curves import gap_chart

    kept = {}
    monkeypatch.setattr(
        exports.st,
        "download_button",
        lambda label, content, name, *_, **__: kept.update({label: (name, content)}),
    )
    frame = pd.DataFrame(
        {
            "steps": [1, 2],
            "n": [9, 9],
            "gap": [0.1, 0.2],
            "low": [0, 0.1],
            "high": [0.2, 0.3],
            "p": 0.1,
        }
    )
    exports.offer("gap", frame, "pass", lambda: gap_chart(frame, "steps", "Gap"))
    assert [name for name, _ in kept.values()] == [
        *(f"qkscope-gap.{end}" for end in ("csv", "parquet", "svg", "png")),
        *(
            f"qkscope-gap-{columns}.{end}"
            for columns in ("1-column", "2-columns")
            for end in ("svg", "pdf", "png")
        ),
    ]
    pd.testing.assert_frame_equal(
        pd.read_csv(io.BytesIO(kept["CSV"][1]())), frame, check_dtype=False
    )
    pd.testing.assert_frame_equal(pd.read_parquet(io.BytesIO(kept["Parquet"][1]())), frame)
    svg = kept["SVG"][1]().decode()
    assert svg.startswith("<svg")
    assert "Steps (rules to apply)" in svg
    assert kept["PNG"][1]()[:8] == b"\x89PNG\r\n\x1a\n"
    assert 'width="3.3in"' in kept["1 column, SVG"][1]().decode()
    assert kept["2 columns, PDF"][1]()[:5] == b"%PDF-"
    assert kept["2 columns, PNG"][1]()[:8] == b"\x89PNG\r\n\x1a\n"
    forget_links()


@pytest.mark.parametrize(
    "page", ["overview", "head_grid", "difficulty", "head_vs_model", "transfer", "compare"]
)
def test_every_chart_of_a_page_has_a_figure_for_papers(page, family_path, monkeypatch):
    from pages.widgets import exports

    made = []
    offer_for_paper = exports.offer_for_paper

    def noted(name, make, *about):
        made.append((name, 'font-weight="bold"' in exports.paper_figure(make())))
        offer_for_paper(name, make, *about)

    monkeypatch.setattr(exports, "offer_for_paper", noted)
    at = opened(monkeypatch, family_path, PAGE[page], run="planted-1")
    assert not at.exception
    n_charts = len(at.get("vega_lite_chart"))
    assert n_charts
    assert len(made) == n_charts
    assert all(has_title for _, has_title in made)
    asked_for = [one.proto.label for one in at.get("download_button")]
    assert asked_for.count("1 column, PDF") == n_charts
    assert ("Report, PDF" in asked_for) == (page == "overview")


def test_a_cells_accuracy_in_the_method_page_is_that_of_the_grid(family_path, monkeypatch):
    text = said(opened(monkeypatch, family_path, METHOD, run="planted-1"))
    quoted = re.search(r"L1 H2 answers (\d+\.\d % \([^)]*\)) right", text).group(1)
    at = opened(
        monkeypatch, family_path, PAGE["head_grid"], run="planted-1", steps="1", distractors="0"
    )
    assert quoted in said(at)


def test_a_replaced_store_changes_what_every_page_says(tmp_path, monkeypatch):
    path = planted_store(tmp_path / "s.duckdb")
    at = opened(monkeypatch, path, PAGE["compare"])
    assert "No other run" in said(at)
    path.unlink()
    family_store(path)
    at.run()
    assert not at.exception
    assert "here − " in said(at)
