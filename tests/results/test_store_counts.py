"""Every question to a store's counts, against the same counted puzzle by puzzle.

That is in plain Python (tests/messy.py).
"""

from collections import Counter
from dataclasses import replace
from fractions import Fraction
from itertools import product

import duckdb
import numpy as np
import pandas as pd
import pytest

from qkcore.puzzles.surface import SURFACE_RULES, surface_choices
from qkcore.results.findings import head_gap
from qkcore.results.reader import StoreError
from qkcore.results.store import ResultStore
from qkcore.statistics.clusters import grouped_accuracy
from qkcore.statistics.luck import luck_line
from qkcore.statistics.paired import grouped_difference
from tests.messy import (
    CANDIDATES,
    HEADS,
    N_HEADS,
    N_LAYERS,
    add_run,
    among,
    by_group,
    messy_puzzles,
    messy_scores,
    messy_store,
    records,
    the_largest,
)
from tests.stores import PLANTED, planted_puzzles, planted_run, publish_parts, write_parts

FILTERS = list(product(("validation", "test"), (None, 1, 2, (1, 2), (2, 3, 9)), (None, 0, 2)))
ONE_EACH = [filters for filters in FILTERS if not isinstance(filters[1], tuple)]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return messy_store(tmp_path_factory.mktemp("store") / "messy.duckdb")


@pytest.fixture(scope="module")
def store(path):
    with ResultStore.open(path) as store:
        yield store


@pytest.fixture(scope="module")
def everything(path):
    return records(path, "messy")


@pytest.fixture(scope="module")
def true_false(tmp_path_factory):
    """A run whose puzzles all have two candidates, "false" first."""
    puzzles = messy_puzzles(150, seed=3, kinds=[("false", "true")])
    path = messy_store(tmp_path_factory.mktemp("store") / "two.duckdb", puzzles)
    with ResultStore.open(path) as store:
        yield records(path, "messy"), store


@pytest.mark.parametrize("filters", FILTERS)
def test_heads_and_model_are_right_as_often_as_counted_one_by_one(everything, store, filters):
    rows = among(everything, *filters)
    heads = store.head_accuracy("messy", *filters)
    assert [(row.layer, row.head) for row in heads.itertuples()] == HEADS
    for row in heads.itertuples():
        right = [r for r in rows if r.is_right((row.layer, row.head))]
        assert (row.n, row.n_right) == (len(rows), len(right))
        assert row.accuracy == len(right) / len(rows)
        is_right = [r.is_right((row.layer, row.head)) for r in rows]
        own = grouped_accuracy(by_group(rows, is_right), by_group(rows))
        assert (row.low, row.high) == pytest.approx((float(own.low), float(own.high)), abs=1e-6)
        assert row.n_groups == len({r.group for r in rows})
    model = store.model_accuracy("messy", *filters).iloc[0]
    assert (model["n"], model["n_right"]) == (len(rows), sum(r.is_model_right for r in rows))


@pytest.mark.parametrize("filters", FILTERS)
def test_chance_is_the_mean_of_one_over_the_candidates_of_each_puzzle(everything, store, filters):
    rows = among(everything, *filters)
    expected = sum(Fraction(1, len(r.candidates)) for r in rows) / len(rows)
    assert store.chance("messy", *filters) == pytest.approx(float(expected))


@pytest.mark.parametrize("filters", FILTERS)
def test_accuracy_by_answer_holds_every_answer_also_where_it_never_occurs(
    everything, store, filters
):
    rows = among(everything, *filters)
    right, n = store.accuracy_by_answer("messy", *filters)
    occurs = Counter(r.answer for r in rows)
    assert n.tolist() == [occurs[answer] for answer in range(4)]
    for head, counts in zip(HEADS, right, strict=True):
        own = Counter(r.answer for r in rows if r.is_right(head))
        assert counts.tolist() == [own[answer] for answer in range(4)]


def test_the_messy_set_has_a_difficulty_at_which_an_answer_never_occurs(store):
    assert store.accuracy_by_answer("messy", "test", 1)[1][3] == 0
    assert store.accuracy_by_answer("messy", "test", 2)[1][3] > 0


def test_without_such_puzzles_there_are_no_counts(store):
    assert store.head_accuracy("messy", "test", 9).empty
    assert store.model_accuracy("messy", "test", 9).empty
    assert store.chance("messy", "test", 9) is None
    assert head_gap(store, "messy", 0, 0, 9) is None
    right, n = store.accuracy_by_answer("messy", "test", 9)
    assert (right.shape, n.shape) == ((0, 0), (0,))
    assert store.luck("messy", "test", 9).empty
    assert len(store.auc("messy", "test", 9)) == 0


@pytest.mark.parametrize("filters", [(None, None), (2, None), (None, 2), (2, 0)])
def test_the_gap_counts_the_puzzles_that_only_one_of_the_two_gets_right(everything, store, filters):
    rows = among(everything, "test", *filters)
    for head in HEADS:
        marks = [(r.is_right(head), r.is_model_right) for r in rows]
        only_head, only_model = (
            by_group(rows, [mark == pair for mark in marks])
            for pair in ((True, False), (False, True))
        )
        gap = head_gap(store, "messy", *head, *filters)
        own = grouped_difference(only_head, only_model, by_group(rows))
        for name in ("low", "high", "p"):
            assert gap[name] == pytest.approx(float(getattr(own, name)))
        assert gap["gap"] == pytest.approx((sum(only_head) - sum(only_model)) / len(rows))
        assert (gap["n"], gap["n_groups"]) == (len(rows), len(only_head))


def test_difficulties_add_up_to_the_split(everything, store):
    for split in ("validation", "test"):
        found = store.difficulties("messy", split)
        counted = Counter((r.steps, r.distractors) for r in among(everything, split))
        key = [
            tuple(None if np.isnan(v) else int(v) for v in pair)
            for pair in found[["steps", "distractors"]].to_numpy(float)
        ]
        assert dict(zip(key, found["n"], strict=True)) == counted


@pytest.mark.parametrize("filters", ONE_EACH)
def test_areas_compare_all_pairs_of_puzzles_also_with_false_first(true_false, filters):
    everything, store = true_false
    rows = among(everything, *filters)
    areas = store.auc("messy", *filters)
    for head, area in zip(HEADS, areas, strict=True):
        evidence = {
            answer: [r.qk[head][0] - r.qk[head][1] for r in rows if r.answer == answer]
            for answer in (0, 1)
        }
        pairs = [(a > b) + (a == b) / 2 for a in evidence[0] for b in evidence[1]]
        assert area == pytest.approx(sum(pairs) / len(pairs))


def test_there_is_no_area_where_candidates_differ(store):
    assert len(store.auc("messy", "test")) == 0
    assert store.candidates("messy") is None


def test_candidates_are_those_that_all_puzzles_share_in_their_order(true_false):
    _, store = true_false
    assert store.candidates("messy") == ("false", "true")


@pytest.mark.parametrize("steps", [None, 2, (1, 2)])
@pytest.mark.parametrize("k", [1, 3, 99])
def test_heads_are_selected_by_validation_accuracy_the_first_of_equals_first(
    everything, store, k, steps
):
    rows = among(everything, "validation", steps)
    ranked = sorted(HEADS, key=lambda head: (-sum(r.is_right(head) for r in rows), head))
    assert store.selected("messy", k, steps=steps) == ranked[:k]
    assert store.best_head("messy") == store.selected("messy")[0]


def test_heads_are_selected_by_balanced_accuracy(everything, store):
    rows = among(everything, "validation")

    def balanced(head):
        by_answer = [
            [r.is_right(head) for r in rows if r.answer == answer]
            for answer in {r.answer for r in rows}
        ]
        return sum(sum(right) / len(right) for right in by_answer) / len(by_answer)

    found = store.selected("messy", len(HEADS), by="balanced_accuracy")
    assert sorted(found) == HEADS
    assert [balanced(head) for head in found] == pytest.approx(
        sorted(map(balanced, HEADS), reverse=True)
    )


def imbalanced_store(path, share):
    """Two heads: one right on two puzzles in three, one that always says the commoner answer."""
    puzzles = [
        replace(p, answer=int(i % 100 < 100 * share), puzzle_id=f"p{i}")
        for i, p in enumerate(planted_puzzles(200))
    ]
    qk = np.zeros((len(puzzles), 12, 2), dtype=np.float32)
    for i, puzzle in enumerate(puzzles):
        qk[i, :, 1] = 1.0  # all heads but one
        qk[i, 5] = np.eye(2)[puzzle.answer if i % 3 else 1 - puzzle.answer]
    logits = qk[:, 0]
    run = planted_run(puzzles)
    publish_parts(path, run, puzzles, write_parts(path.with_suffix(".parts"), puzzles, qk, logits))
    return path


@pytest.mark.parametrize(("share", "measure"), [(0.5, "accuracy"), (0.8, "balanced_accuracy")])
def test_where_answers_are_imbalanced_heads_are_chosen_by_balanced_accuracy(
    tmp_path, share, measure
):
    with ResultStore.open(imbalanced_store(tmp_path / "s.duckdb", share)) as store:
        assert store.measure("planted-1") == measure
        assert store.best_head("planted-1") == (1, 1)
        by_accuracy = (1, 1) if share == 0.5 else (0, 0)
        assert store.selected("planted-1", by="accuracy") == [by_accuracy]
        assert store.selected("planted-1", 5, with_constant=False) == [(1, 1)]
        facts = store.head_facts("planted-1").set_index(["layer", "head"])
        assert facts["constant"].isna().sum() == 1
        assert facts["constant"].dropna().eq(1).all()
        assert facts.loc[(1, 1), "chosen_share"] == 1.0
        assert store.frame("select model_constant from store.runs")["model_constant"].item() == 1
        table = store.stability("planted-1")
        assert table["n"].iloc[-1] == store.difficulties("planted-1", "validation")["n"].sum()
        own = store.head_accuracy("planted-1", "test").set_index(["layer", "head"]).loc[(1, 1)]
        assert table["median"].iloc[-1] == pytest.approx(own[measure])
        assert table["same_head"].iloc[-1] == 1.0


def test_nothing_is_selected_on_steps_that_no_validation_puzzle_has(store):
    assert (
        store.selected("messy", 3, steps=9)
        == store.selected("messy", 3, "balanced_accuracy", 9)
        == []
    )


@pytest.mark.parametrize("filters", [(None, None), (2, 0), ((1, 3), None)])
def test_surface_rules_are_right_as_often_as_counted_one_by_one(store, filters):
    puzzles = messy_puzzles()
    choices = surface_choices(puzzles)
    found = store.surface_accuracy("messy", "test", *filters).set_index("rule")
    assert sorted(found.index) == sorted(SURFACE_RULES)
    wanted = (filters[0],) if isinstance(filters[0], int) else filters[0]
    for index, rule in enumerate(SURFACE_RULES):
        marks = Counter()
        for puzzle, choice in zip(puzzles, choices[:, index], strict=True):
            is_asked = (wanted is None or puzzle.steps in wanted) and (
                filters[1] in (None, puzzle.distractors)
            )
            if puzzle.split == "test" and is_asked:
                marks[choice == puzzle.answer] += 1
        own = found.loc[rule]
        assert (own["n"], own["n_right"]) == (marks.total(), marks[True])
        assert own["low"] <= own["accuracy"] == marks[True] / marks.total() <= own["high"]


def test_anyone_reads_every_score_once_in_view_scores(path, everything):
    puzzles = messy_puzzles()
    qk, logits = messy_scores(puzzles)
    with duckdb.connect(str(path), read_only=True) as plain:
        rows = plain.execute(
            """
            select puzzle_id, place, layer, head, candidate, qk
            from scores where run_id = 'messy'
            """
        ).fetchall()
    assert len(rows) == sum(len(puzzle.candidates) for puzzle in puzzles) * len(HEADS)
    for puzzle_id, place, layer, head, candidate, score in rows:
        assert puzzle_id == puzzles[place].puzzle_id
        assert score == qk[place, HEADS.index((layer, head)), candidate]
    for row, own in zip(everything, logits, strict=True):
        assert row.logits == own[: len(row.candidates)].tolist()


@pytest.mark.parametrize("by", ["steps", "distractors"])
def test_the_luck_line_along_an_axis_is_that_of_each_of_its_values(store, by):
    lines = store.luck_lines("messy", "test", by)
    assert lines[by].tolist() == {"steps": [1, 2, 3], "distractors": [0, 2]}[by]
    for line in lines.itertuples():
        own = store.luck("messy", "test", **{by: getattr(line, by)}).iloc[0]
        assert (line.n, line.q50, line.q95) == (own["n"], own["q50"], own["q95"])


def test_the_luck_line_by_steps_of_one_number_of_distractors(store):
    for line in store.luck_lines("messy", "test", "steps", distractors=2).itertuples():
        assert line.q95 == store.luck("messy", "test", line.steps, 2)["q95"].item()


def test_the_stored_luck_line_is_that_of_the_stored_scores(everything, store):
    rows = among(everything, "test")
    choices = np.array([[the_largest(r.qk[head]) for head in HEADS] for r in rows])
    groups = {p.puzzle_id: p.group for p in messy_puzzles()}
    puzzles = pd.DataFrame(
        [(r.answer, groups[r.puzzle_id], r.steps, r.distractors, r.candidates) for r in rows]
    )
    puzzles.columns = ["answer", "group", "steps", "distractors", "candidates"]
    again = luck_line(choices, puzzles, seed=1)
    whole = again[again["steps"].isna() & again["distractors"].isna()].iloc[0]
    stored = store.luck("messy", "test").iloc[0]
    assert stored["n"] == whole["n"] == len(rows)
    assert stored["q95"] == pytest.approx(whole["q95"], abs=0.02)


def test_the_worked_example_is_told_with_its_own_sets_puzzle(planted_path):
    with ResultStore.open(planted_path) as store:
        example = store.worked_example("planted-1")
    puzzle = next(p for p in planted_puzzles() if p.puzzle_id == example["puzzle_id"])
    assert (example["statement"], example["split"], example["answer"]) == (
        puzzle.statement,
        puzzle.split,
        puzzle.answer,
    )
    assert (example["layer"], example["head"]) == PLANTED
    sums = [np.dot(query, example["key_vector"]) for query in example["query_vectors"]]
    assert sums == [4.0, 2.0]


def test_a_run_without_worked_example_has_none(store):
    assert store.worked_example("messy") is None


# What a store must not be led astray by


def test_another_set_with_the_same_puzzle_ids_changes_nothing(tmp_path, store):
    alone, puzzles = tmp_path / "alone.duckdb", messy_puzzles()
    run = planted_run(
        puzzles, run_id="messy", puzzle_set="messy-set", n_layers=N_LAYERS, n_heads=N_HEADS
    )
    publish_parts(
        alone, run, puzzles, write_parts(tmp_path / "parts", puzzles, *messy_scores(puzzles))
    )
    with ResultStore.open(alone) as own:
        assert own.head_accuracy("messy", "test").equals(store.head_accuracy("messy", "test"))
        assert own.chance("messy", "test") == store.chance("messy", "test")
        assert own.luck("messy", "test").equals(store.luck("messy", "test"))


def test_the_same_puzzles_in_another_order_are_another_set(tmp_path):
    path, puzzles = tmp_path / "s.duckdb", messy_puzzles(100)
    add_run(path, "one", puzzles, "set")
    with pytest.raises(
        StoreError, match="already holds a puzzle set named 'set' with other puzzles"
    ):
        add_run(path, "two", puzzles[::-1], "set")
    with pytest.raises(
        StoreError, match="already holds a puzzle set named 'set' with other puzzles"
    ):
        add_run(path, "two", [replace(p, split="test") for p in puzzles], "set")


@pytest.mark.parametrize("n", [1, 63, 64, 65, 128, 129])
def test_parts_may_end_anywhere(tmp_path, n):
    puzzles = messy_puzzles(200)[-n:]  # of unlike candidates from the first one on
    path = messy_store(tmp_path / "s.duckdb", puzzles)
    rows = records(path, "messy")
    assert [r.puzzle_id for r in rows] == [p.puzzle_id for p in puzzles]
    with ResultStore.open(path) as store:
        for split in {p.split for p in puzzles}:
            for row in store.head_accuracy("messy", split).itertuples():
                own = [r.is_right((row.layer, row.head)) for r in rows if r.split == split]
                assert (row.n, row.n_right) == (len(own), sum(own))


def test_runs_with_two_and_with_four_answers_in_one_store_keep_theirs(tmp_path):
    path = messy_store(tmp_path / "s.duckdb", messy_puzzles(80, seed=2, kinds=CANDIDATES[:1]))
    add_run(path, "four", messy_puzzles(80, seed=4, kinds=CANDIDATES[3:]), "four-set")
    with ResultStore.open(path) as store:
        assert store.accuracy_by_answer("messy", "test")[0].shape == (6, 2)
        assert store.accuracy_by_answer("four", "test")[0].shape == (6, 4)


def test_an_answer_that_is_never_right_has_no_area_but_accuracies(tmp_path):
    path = messy_store(
        tmp_path / "s.duckdb", messy_puzzles(80, seed=2, kinds=CANDIDATES[:1], answers=[0])
    )
    with ResultStore.open(path) as store:
        assert len(store.auc("messy", "test")) == 0
        right, n = store.accuracy_by_answer("messy", "test")
        assert right[:, 0].tolist() == store.head_accuracy("messy", "test")["n_right"].tolist()
        assert n.tolist() == [store.head_accuracy("messy", "test")["n"].iloc[0]]
