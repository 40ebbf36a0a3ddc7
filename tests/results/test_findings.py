"""What pages say of a run, against the same worked out puzzle by puzzle.

That is in plain Python (tests/messy.py).
"""

from dataclasses import replace
from itertools import product

import duckdb
import numpy as np
import pytest
from scipy import stats

from qkcore.results.answers import exam
from qkcore.results.findings import (
    MEASURES,
    choices_reported,
    comparable_runs,
    compared,
    compared_runs,
    head_gap,
    heads_good_everywhere,
    measure_names,
    measures,
    overlaps,
    products,
    rivals,
    run_gaps,
    transfers,
)
from qkcore.results.reader import StoreError
from qkcore.results.store import ResultStore
from qkcore.statistics.paired import grouped_difference
from tests.messy import CANDIDATES, HEADS, add_run, among, messy_puzzles, messy_store, records

SETS = {"two-set": CANDIDATES[:1], "four-set": CANDIDATES[3:], "messy-set": CANDIDATES}
FILTERS = list(product((None, 1, 2), (None, 0, 2)))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Runs of one model.

    messy, rival (on the same puzzles) and its post-rotary twin; two and four on other sets.
    """
    path = messy_store(tmp_path_factory.mktemp("findings") / "family.duckdb")
    add_run(path, "rival", messy_puzzles(), "messy-set", seed=1, model="another")
    add_run(path, "post", messy_puzzles(), "messy-set", seed=2, rope="post")
    add_run(path, "two", messy_puzzles(seed=3, kinds=CANDIDATES[:1]), "two-set", seed=3)
    add_run(path, "four", messy_puzzles(seed=4, kinds=CANDIDATES[3:]), "four-set", seed=4)
    add_run(path, "bare", [replace(p, split="test") for p in messy_puzzles(70, seed=5)], "bare-set")
    return path


@pytest.fixture(scope="module")
def store(path):
    with ResultStore.open(path) as store:
        yield store


@pytest.fixture(scope="module")
def everything(path):
    return {
        run_id: records(path, run_id)
        for run_id in ("messy", "rival", "post", "two", "four", "namesake", "bare")
    }


def n_right(rows, head):
    return sum(row.is_right(head) for row in rows)


def best(rows):
    """The best head on validation puzzles, the first of equals."""
    validation = among(rows, "validation")
    return min(HEADS, key=lambda head: (-n_right(validation, head), head))


@pytest.mark.parametrize("by", ["accuracy", "balanced_accuracy"])
@pytest.mark.parametrize("filters", FILTERS)
@pytest.mark.parametrize("run_id", ["messy", "two", "four", "namesake"])
def test_every_measure_of_every_head(store, everything, run_id, filters, by):
    rows = among(everything[run_id], "test", *filters)
    found = measures(store, run_id, *filters, by)
    if not rows:
        assert found.empty
        return
    n_model = sum(row.is_model_right for row in rows)
    q95 = store.luck(run_id, "test", *filters, by)["q95"].item()
    answers = sorted({row.answer for row in rows})
    assert [*zip(found["layer"], found["head"], strict=True)] == HEADS
    for own in found.itertuples():
        head = (own.layer, own.head)
        right = n_right(rows, head)
        assert (own.n, own.n_right, own.accuracy) == (len(rows), right, right / len(rows))
        assert own.gain == pytest.approx((right - n_model) / len(rows))
        on_answer = {
            a: np.mean([row.is_right(head) for row in rows if row.answer == a]) for a in answers
        }
        assert own.balanced_accuracy == pytest.approx(np.mean([*on_answer.values()]))
        assert own.is_above_luck == (getattr(own, by) > q95)
        for answer in range(4):
            if hasattr(own, f"accuracy_on_{answer}"):
                expected = on_answer.get(answer, np.nan)
                assert getattr(own, f"accuracy_on_{answer}") == pytest.approx(expected, nan_ok=True)


def test_only_measures_that_the_runs_test_puzzles_define_are_offered(store):
    by_answer = {
        f"accuracy_on_{i}": f'Accuracy on "{name}"' for i, name in enumerate(CANDIDATES[3])
    }
    without = {name: title for name, title in MEASURES.items() if name != "auc"}
    assert measure_names(store, "messy") == without  # candidates differ
    assert measure_names(store, "four") == without | by_answer
    two = {"accuracy_on_0": 'Accuracy on "true"', "accuracy_on_1": 'Accuracy on "false"'}
    assert measure_names(store, "two") == MEASURES | two


@pytest.mark.parametrize(("kind", "answers"), [(0, [0]), (0, [1]), (3, [0, 2])])
def test_a_frame_of_measures_has_every_measure_that_is_offered(tmp_path, kind, answers):
    puzzles = messy_puzzles(90, seed=6, kinds=[CANDIDATES[kind]], answers=answers)
    path = messy_store(tmp_path / "s.duckdb", puzzles)
    with ResultStore.open(path) as store:
        assert "auc" not in measure_names(store, "messy")
        offered = {
            name for name in measure_names(store, "messy") if name.startswith("accuracy_on_")
        }
        assert offered == {f"accuracy_on_{answer}" for answer in answers}
        for filters in [(None, None), (1, None), (2, 0)]:
            assert {*measure_names(store, "messy")} <= {*measures(store, "messy", *filters)}


def test_heads_above_chance_are_compared_with_themselves_on_shuffled_answers(planted_path):
    """Two statements share a context, one true, one false.

    Shuffled, a head that says the same of both is right on one; a head that says different things
    is right on both or on neither: mean 1, variance 1 a pair.
    """
    with duckdb.connect(":memory:") as connection:
        connection.execute(f"attach '{planted_path}' as s (read_only)")
        rows = connection.execute(
            """
            select "group", list(qk order by candidate, layer, head) as qk,
                   any_value(answer) as answer
            from s.scores join s.puzzles using (puzzle_id) where split = 'test'
            group by "group", puzzle_id order by "group", puzzle_id
            """
        ).df()
    qk = np.stack(list(rows["qk"])).reshape(len(rows), 2, -1)  # (puzzle, candidate, head)
    choices = qk.argmax(axis=1)  # (puzzle, head)
    n_pairs, n_unlike = len(choices) // 2, (choices[::2] != choices[1::2]).sum(axis=0)
    right = (choices == rows["answer"].to_numpy()[:, None]).sum(axis=0)
    with ResultStore.open(planted_path) as store:
        null = store.head_luck("planted-1", "test")
        named = measures(store, "planted-1")["is_above_chance"].to_numpy()
    assert null["null_mean"] == pytest.approx(np.full(12, n_pairs), abs=0.8)
    assert null["null_sd"] == pytest.approx(np.sqrt(n_unlike), rel=0.1)
    p = stats.norm.sf((right - 0.5 - n_pairs) / np.sqrt(n_unlike))
    assert named.tolist() == (p < 0.05 / (12 * sum(1 / i for i in range(1, 13)))).tolist()
    assert named.sum() == 1


def test_the_gap_of_each_run_is_that_of_its_own_validation_choice(store, everything):
    table = run_gaps(store).set_index("run_id")
    # The others have no validation puzzles
    assert set(table.index) == {"messy", "rival", "post", "two", "four"}
    assert store.measure("four") == "balanced_accuracy"
    for run_id, row in table.iterrows():
        gap = head_gap(store, run_id, row["layer"], row["head"])
        for name in ("n", "n_groups", "gap", "low", "high", "p"):
            assert row[name] == pytest.approx(gap[name], rel=1e-9), name
        if run_id == "four":  # one of its answers is right far less often
            asked = ("four", "test", None, None, "balanced_accuracy")
            assert row["model_accuracy"] == store.model_accuracy(*asked)["accuracy"].item()
            assert (row["layer"], row["head"]) == store.best_head("four")
            continue
        head, rows = best(everything[run_id]), among(everything[run_id], "test")
        assert (row["layer"], row["head"], row["n"]) == (*head, len(rows))
        assert row["head_accuracy"] == pytest.approx(n_right(rows, head) / len(rows))
        assert row["model_accuracy"] == sum(r.is_model_right for r in rows) / len(rows)
        assert row["gap"] == pytest.approx(row["head_accuracy"] - row["model_accuracy"])
        assert row["low"] <= row["gap"] <= row["high"]


def test_comparable_are_runs_of_the_same_model_and_settings_on_other_sets(store):
    found = comparable_runs(store, "messy")
    assert dict(zip(found["puzzle_set"], found["run_id"], strict=True)) == {
        "four-set": "four",
        "messy-set": "messy",
        "two-set": "two",
    }
    assert comparable_runs(store, "rival")["run_id"].tolist() == ["rival"]


def test_a_run_that_was_asked_in_other_words_is_not_comparable(tmp_path):
    path = messy_store(tmp_path / "s.duckdb", messy_puzzles(70))
    add_run(path, "chat", messy_puzzles(70, seed=1), "chat-set", template="{chat}default")
    with ResultStore.open(path) as store:
        assert comparable_runs(store, "messy")["run_id"].tolist() == ["messy"]
        assert comparable_runs(store, "chat")["run_id"].tolist() == ["chat"]


def test_the_newest_of_two_runs_on_one_set_is_compared(tmp_path):
    path = messy_store(tmp_path / "s.duckdb", messy_puzzles(70))
    add_run(path, "again", messy_puzzles(70), "messy-set", seed=1)
    with ResultStore.open(path) as store:
        assert comparable_runs(store, "messy")["run_id"].tolist() == ["again"]


def test_heads_are_transferred_from_validation_of_one_set_to_test_of_another(store, everything):
    runs = ("two", "four", "messy")
    names = {"two": "two-set", "four": "four-set", "messy": "messy-set"}
    table = transfers(store, runs).set_index(["chosen_on", "tested_on"])
    assert len(table) == 9
    for one, other in product(runs, runs):
        row, head, rows = (
            table.loc[(names[one], names[other])],
            best(everything[one]),
            among(everything[other], "test"),
        )
        assert (row["layer"], row["head"]) == head
        assert (row["n"], row["n_right"]) == (len(rows), n_right(rows, head))


@pytest.mark.parametrize("k", [1, 3, 20])
def test_overlap_counts_the_best_heads_that_two_sets_share(store, everything, k):
    table = overlaps(store, ("two", "four"), k).set_index(["puzzle_set", "other"])["n_shared"]
    tops = []
    for run_id in ("two", "four"):
        rows = among(everything[run_id], "validation")
        tops.append(set(sorted(HEADS, key=lambda head: (-n_right(rows, head), head))[:k]))
    assert table["two-set", "four-set"] == table["four-set", "two-set"] == len(tops[0] & tops[1])
    assert table["two-set", "two-set"] == min(k, len(HEADS))


def test_a_head_is_as_good_everywhere_as_its_worst_lead_over_trivial_rivals(store, everything):
    runs = ("two", "messy")
    assert {store.measure(run) for run in runs} == {"accuracy"}

    def rival(run, split):
        rule = store.best_rule(run)
        rules = store.surface_accuracy(run, split).set_index("rule")["accuracy"]
        return {rule: rules[rule], "luck": store.luck(run, split)["q95"].item()}

    def worst(head):
        return min(
            (n_right(rows, head) / len(rows) - max(rival(run, "validation").values()))
            / (1 - max(rival(run, "validation").values()))
            for run, rows in ((run, among(everything[run], "validation")) for run in runs)
        )

    constant = {
        (row.layer, row.head) for run in runs for row in store.head_facts(run).dropna().itertuples()
    }
    assert constant
    table = heads_good_everywhere(store, runs, 3)
    ranked = sorted(set(HEADS) - constant, key=lambda head: (-worst(head), head))[:3]
    assert [*dict.fromkeys(zip(table["layer"], table["head"], strict=True))] == ranked
    for row in table.itertuples():
        run = row.puzzle_set.removesuffix("-set")
        rows = among(everything[run], "test")
        assert (row.n, row.n_right) == (len(rows), n_right(rows, (row.layer, row.head)))
        validation, test = rival(run, "validation"), rival(run, "test")
        assert row.rival_accuracy == pytest.approx(test[max(validation, key=validation.get)])
        assert row.is_above == (row.low > row.rival_accuracy)
    for _, own in table.groupby(["layer", "head"]):
        assert (own["is_good"] == own["is_above"].all()).all()


def test_a_run_without_validation_puzzles_has_no_say_in_which_heads_are_good(store):
    with pytest.raises(StoreError, match="'bare' has no validation puzzles"):
        heads_good_everywhere(store, ("two", "bare"))


def test_rivals_are_the_other_runs_on_the_same_puzzles(store):
    assert sorted(rivals(store, "messy")) == ["post", "rival"]
    assert rivals(store, "two") == []
    assert rivals(store, "namesake") == []  # the same ids, but another set


@pytest.mark.parametrize("by", [(), ("steps",), ("steps", "distractors")])
def test_two_runs_are_paired_puzzle_by_puzzle(store, everything, by):
    found = compared_runs(store, "messy", HEADS[0], "rival", HEADS[5], by)
    others = {row.puzzle_id: row for row in everything["rival"]}
    for row in found.itertuples():
        own = [
            r
            for r in among(everything["messy"], "test")
            if all(getattr(r, name) == getattr(row, name) for name in by)
        ]
        if row.who == "head":
            pairs = [(r.is_right(HEADS[0]), others[r.puzzle_id].is_right(HEADS[5])) for r in own]
        else:
            pairs = [(r.is_model_right, others[r.puzzle_id].is_model_right) for r in own]
        of_group = {r.group: [] for r in own}
        for r, pair in zip(own, pairs, strict=True):
            of_group[r.group].append(pair)
        expected = grouped_difference(
            [group.count((True, False)) for group in of_group.values()],
            [group.count((False, True)) for group in of_group.values()],
            [len(group) for group in of_group.values()],
        )
        figures = (expected.value, expected.low, expected.high, expected.p)
        assert (row.gap, row.low, row.high, row.p) == pytest.approx(tuple(map(float, figures)))
        assert (row.n, row.n_groups) == (len(pairs), len(of_group))
    cells = {tuple(getattr(r, name) for name in by) for r in among(everything["messy"], "test")}
    assert len(found) == 2 * len({cell for cell in cells if None not in cell})


def test_the_order_of_the_other_runs_puzzles_does_not_matter(store):
    one, other = exam(store, "messy", 0, 0), exam(store, "rival", 0, 0)
    turned = other.sample(frac=1, random_state=0)
    assert compared(one, turned, ["steps"]).equals(compared(one, other, ["steps"]))


def test_a_run_against_itself_has_no_gap(store):
    found = compared_runs(store, "messy", (0, 0), "messy", (0, 0))
    assert found["gap"].tolist() == [0.0, 0.0]
    assert found["p"].tolist() == [1.0, 1.0]


def test_ways_to_choose_are_reported_with_accuracy_and_gap(store, everything):
    rows = among(everything["messy"], "test")
    ways = choices_reported(store, "messy").set_index("rule")
    own = ways.loc["best by accuracy"]
    head = best(everything["messy"])
    assert own["heads"] == [f"L{head[0]} H{head[1]}"]
    assert own["accuracy"] == n_right(rows, head) / len(rows)
    gap = head_gap(store, "messy", *head)
    assert own[["gap", "gap_low", "gap_high", "p"]].tolist() == [
        gap[name] for name in ("gap", "low", "high", "p")
    ]
    assert (ways["n"] == len(rows)).all()
    assert ((ways["low"] <= ways["accuracy"]) & (ways["accuracy"] <= ways["high"])).all()


def test_there_are_no_ways_to_choose_without_validation_puzzles(store):
    assert choices_reported(store, "bare").empty
    assert choices_reported(store, "messy", (7,), None).empty


def test_the_products_of_a_worked_example_add_up_to_its_scores(planted_path):
    with ResultStore.open(planted_path) as planted:
        table = products(planted.worked_example("planted-1"))
    assert table["product (true)"].tolist() == [2.0, 2.0]
    assert table["product (false)"].tolist() == [0.0, 2.0]
    assert table["key"].tolist() == [1.0, 2.0]
