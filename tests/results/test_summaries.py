"""A store in a line a run, its story, and its matrix."""

import pandas as pd
import pytest

from qkcore.results.matrix import matrix_of, ordered_sets
from qkcore.results.store import ResultStore
from qkcore.results.summaries import NO_VERDICT, NOT_YET, TOLD, story, summaries
from qkcore.results.verdicts import evidence_of, verdict_of
from qkcore.statistics.verdicts import MARKS, NAMES
from tests.results.test_verdicts import store_of


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A run whose head reads one word, and a run on the twin."""
    path = store_of(tmp_path_factory.mktemp("summaries") / "s.duckdb", "word")
    with ResultStore.open(path) as store:
        found = summaries(store).set_index("run_id", drop=False)
        evidence, ruled = evidence_of(store, "run"), verdict_of(store, "run")
    return found, evidence, ruled


def test_a_line_says_head_model_and_best_trivial_rival(table):
    found, evidence, ruled = table
    own = found.loc["run"]
    assert own["head_name"] == "L1 H2"
    assert own["head_accuracy"] == evidence.head.value
    assert own["calibrated_accuracy"] == evidence.calibrated_model.accuracy.value
    assert (own["rival"], own["rival_accuracy"]) == ('"contains not"', 1.0)
    assert (own["verdict"], own["sentence"]) == (ruled.name, ruled.sentence)
    assert own["twin_run"] == "twin"
    assert pd.isna(found.loc["twin", "twin_run"])


def test_each_verdict_has_a_mark_of_its_own_and_is_told():
    assert set(MARKS) == set(NAMES)
    assert len(set(MARKS.values())) == len(MARKS)
    assert set(TOLD) == set(NAMES) - {"something is left"}


def lines(*verdicts, **columns):
    return pd.DataFrame({"verdict": verdicts, "model_name": "m"}).assign(**columns)


def test_the_story_counts_what_the_verdicts_say():
    first, second = story(
        lines("something is left", "surface rule", "surface rule", "no gap", NO_VERDICT)
    )
    assert first.startswith("In 1 of 4 runs the chosen head is ahead of every rival: ")
    assert first.endswith(" (m).")
    assert second == (
        "In 2 of the others a surface rule or the commonest answer does as well, in 1 no gap to "
        "the model can be seen. Of all runs, 1 has no validation or no test puzzles."
    )


@pytest.mark.parametrize(
    ("verdicts", "says"),
    [
        (["something is left"] * 3, "In all of 3 runs the chosen head is ahead"),
        (["no gap"] * 3, "In none of 3 runs is the chosen head ahead of every rival"),
        (["no gap"], "In this one run the chosen head is not ahead of every rival"),
        (["something is left"], "In this one run the chosen head is ahead of every rival"),
        ([NO_VERDICT], "No run of this store has a verdict yet"),
        ([NOT_YET] * 2, "No run of this store has a verdict yet"),
    ],
)
def test_any_store_has_a_story(verdicts, says):
    first, second = story(lines(*verdicts))
    assert first.startswith(says)
    assert "None" not in first + second.replace("None of", "")
    assert first.endswith(".")
    assert second == "" or second.endswith(".")


def test_what_is_not_kept_is_worked_out_for_so_many_runs_alone(family_path, monkeypatch):
    monkeypatch.setattr("qkcore.results.summaries.kept", lambda store: {})
    with ResultStore.open(family_path) as store:
        found = summaries(store, at_most=1)
    assert (found["verdict"] == NOT_YET).tolist() == [False, True, True]


def rows(*cells):
    """(model, set, sha256, twin_of) as `summaries` has them, newest first."""
    settings = dict(model_revision="1", rope="pre", dtype="float32", template="default")
    columns = ["model_name", "set_name", "puzzle_set_sha256", "twin_of"]
    frame = pd.DataFrame(cells, columns=columns).assign(**settings, verdict="no gap")
    return frame.assign(run_id=[f"r{number}" for number in range(len(frame))])


def test_a_twin_stands_beside_its_parent():
    found = rows(("m", "a, twin", "2", "1"), ("m", "b", "3", None), ("m", "a", "1", None))
    assert ordered_sets(found) == ["b", "a", "a, twin"]
    matrix = matrix_of(found)
    assert matrix.sets == ("b", "a", "a, twin")
    assert matrix.run_ids == (("r1", "r2", "r0"),)


def test_a_twin_whose_parent_is_not_there_stands_by_itself():
    assert ordered_sets(rows(("m", "a, twin", "2", "1"), ("m", "b", "3", None))) == ["a, twin", "b"]


def test_a_cell_holds_the_newest_run_and_settings_make_rows_of_their_own():
    found = rows(("m", "a", "1", None), ("m", "a", "1", None), ("n", "a", "1", None))
    assert matrix_of(found).run_ids == (("r0",), ("r2",))
    found.loc[1, "rope"] = "post"
    matrix = matrix_of(found)
    assert matrix.models == ("m, before rotary", "m, after rotary", "n")
    assert matrix.run_ids == (("r0",), ("r1",), ("r2",))


def test_rows_are_ordered_and_found():
    found = rows(("b", "x", "1", None), ("a", "x", "1", None), ("a", "y", "2", None))
    found.loc[1, "verdict"] = "something is left"
    assert matrix_of(found).models == ("b", "a")
    assert matrix_of(found, "name").models == ("a", "b")
    assert matrix_of(found, "most is left").models == ("a", "b")
    only = matrix_of(found, find="B")
    assert (only.models, only.sets) == (("b",), ("x",))
    by_set = matrix_of(found, find="y")
    assert (by_set.models, by_set.sets, by_set.run_ids) == (("a",), ("y",), (("r2",),))
    assert matrix_of(found, find="z").models == ()
