"""Who answers what, against the same worked out one by one in plain Python (tests/messy.py)."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from qkcore.puzzles.surface import SURFACE_RULES, surface_choices
from qkcore.results.answers import (
    DEFAULT_VOTE,
    VOTES,
    exam,
    find_texts,
    head_scores,
    puzzles_of,
    rules_of_choice,
    texts,
    vote,
    voters_and_scales,
)
from qkcore.results.store import ResultStore
from qkcore.statistics.calibration import offsets
from tests.messy import (
    ALWAYS_FIRST,
    HEADS,
    among,
    messy_puzzles,
    messy_scores,
    messy_store,
    records,
    the_largest,
)
from tests.stores import planted_run, publish_parts, write_parts


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return messy_store(tmp_path_factory.mktemp("answers") / "messy.duckdb")


@pytest.fixture(scope="module")
def store(path):
    with ResultStore.open(path) as store:
        yield store


@pytest.fixture(scope="module")
def everything(path):
    return records(path, "messy")


def spread_of(rows, head):
    """Root mean square of a head's scores on the validation puzzles among the rows.

    Each puzzle's mean is taken off.
    """
    squares = [
        (s - sum(r.qk[head]) / len(r.qk[head])) ** 2
        for r in rows
        if r.split == "validation"
        for s in r.qk[head]
    ]
    return (sum(squares) / len(squares)) ** 0.5


def ballot(spread, row, heads, kind):
    """What the heads answer together to one puzzle."""
    if kind == "majority":
        votes = Counter(the_largest(row.qk[head]) for head in heads)
        votes.pop(-1, None)
        first, second = [*votes.most_common(), (-1, 0), (-1, 0)][:2]
        return first[0] if first[1] > second[1] else -1
    sums = np.zeros(len(row.candidates))
    for head in heads:
        if spread[head]:
            sums += (np.array(row.qk[head]) - np.mean(row.qk[head])) / spread[head]
    return the_largest(sums.tolist())


def test_puzzles_come_in_order_with_what_the_model_answers(store, everything):
    frame = puzzles_of(store, "messy")
    assert frame["puzzle_id"].tolist() == [r.puzzle_id for r in everything]
    assert frame["model"].tolist() == [the_largest(r.logits) for r in everything]
    assert frame["n_candidates"].tolist() == [len(r.candidates) for r in everything]
    assert frame["answer"].tolist() == [r.answer for r in everything]
    assert -1 in frame["model"].tolist()  # ties


def test_the_namesakes_of_another_set_are_kept_apart(store, path):
    frame = puzzles_of(store, "namesake")
    assert len(frame) == 100
    assert (frame["answer"] == 0).all()
    assert frame["model"].tolist() == [the_largest(r.logits) for r in records(path, "namesake")]


def test_scores_of_heads_come_in_the_order_asked_also_twice(store, everything):
    asked = [HEADS[4], HEADS[0], HEADS[4]]
    scores = head_scores(store, "messy", asked)
    assert scores.shape == (200, 3, 4)
    for row, by_head in zip(everything, scores, strict=True):
        for head, own in zip(asked, by_head.tolist(), strict=True):
            n = len(row.candidates)
            assert own[:n] == row.qk[head]
            assert np.isnan(own[n:]).all()


def voters_of(everything, k, steps=None):
    """The best heads on validation puzzles of these steps, less those that always say the same."""
    validation = among(everything, "validation")
    chosen_on = among(validation, None, steps)
    said = {head: [the_largest(r.qk[head]) for r in validation] for head in HEADS}
    is_constant = {
        head: any(all_said.count(choice) >= 0.98 * len(all_said) for choice in {*all_said} - {-1})
        for head, all_said in said.items()
    }
    assert is_constant[ALWAYS_FIRST]
    ranked = sorted(HEADS, key=lambda head: (-sum(r.is_right(head) for r in chosen_on), head))
    return [head for head in ranked if not is_constant[head]][:k]


@pytest.mark.parametrize("by_vote", VOTES)
def test_an_exam_marks_every_test_puzzle(store, everything, by_vote):
    head = HEADS[5]
    marks = exam(store, "messy", *head, by_vote)
    rows = among(everything, "test")
    kind, k = VOTES[by_vote]
    voters = voters_of(everything, k)
    spread = {head: spread_of(everything, head) for head in HEADS}
    assert marks["puzzle_id"].tolist() == [r.puzzle_id for r in rows]
    for row, mark in zip(rows, marks.itertuples(), strict=True):
        assert mark.head == the_largest(row.qk[head])
        assert mark.model == the_largest(row.logits)
        assert mark.vote == ballot(spread, row, voters, kind)
        assert mark.is_head_right == row.is_right(head)
        assert mark.is_model_right == row.is_model_right
        assert mark.is_vote_right == (mark.vote == row.answer)
        wrong = [score for index, score in enumerate(row.qk[head]) if index != row.answer]
        assert mark.margin == row.qk[head][row.answer] - max(wrong)
        assert (mark.margin > 0) == mark.is_head_right


@pytest.mark.parametrize("head", HEADS)
def test_an_exam_agrees_with_the_counts(store, head):
    marks = exam(store, "messy", *head)
    for steps in (None, 1, 2, 3):
        own = marks if steps is None else marks[marks["steps"] == steps]
        counts = store.head_accuracy("messy", "test", steps).set_index(["layer", "head"]).loc[head]
        assert (own["is_head_right"].sum(), len(own)) == (counts["n_right"], counts["n"])
        assert own["is_head_right"].sum() == counts["n_right"]
        assert (
            own["is_model_right"].sum()
            == store.model_accuracy("messy", "test", steps)["n_right"].item()
        )


def test_an_exam_marks_those_who_are_no_heads(store, everything):
    marks, rows = exam(store, "messy", *HEADS[0]), among(everything, "test")
    offset = store.model_offset("messy")
    head_offset = offsets_of(everything, HEADS[0])
    for row, mark in zip(rows, marks.itertuples(), strict=True):
        added = [float(x) + y for x, y in zip(row.logits, offset, strict=False)]
        assert mark.calibrated_model == the_largest(added)
        own = [float(x) + y for x, y in zip(row.qk[HEADS[0]], head_offset, strict=False)]
        assert mark.calibrated_head == the_largest(own)
        assert mark.is_calibrated_model_right == (mark.calibrated_model == row.answer)
    rules = surface_choices(messy_puzzles())[[p.split == "test" for p in messy_puzzles()]]
    names = list(SURFACE_RULES)
    assert marks["majority"].tolist() == rules[:, names.index("majority")].tolist()
    assert marks["rule"].tolist() == rules[:, names.index(store.best_rule("messy"))].tolist()
    assert marks["group"].tolist() == [row.group for row in rows]


def offsets_of(everything, head):
    """A head's calibration on validation puzzles."""
    rows = among(everything, "validation")
    scores = np.full((len(rows), 4), np.nan)
    for row, own in zip(rows, scores, strict=True):
        own[: len(row.candidates)] = row.qk[head]
    return offsets(scores, np.array([row.answer for row in rows]))


def test_the_models_offset_is_as_good_as_any_on_validation_puzzles(tmp_path):
    puzzles = messy_puzzles(200, seed=4, kinds=[("true", "false")])
    path = messy_store(tmp_path / "two.duckdb", puzzles)
    rows = among(records(path, "messy"), "validation")

    def n_right(second):
        return sum(the_largest([r.logits[0], r.logits[1] + second]) == r.answer for r in rows)

    with ResultStore.open(path) as store:
        first, second = store.model_offset("messy")
        calibrated = store.model_accuracy("messy", "validation", is_calibrated=True)["n_right"]
    assert first == 0
    assert n_right(second) == max(n_right(x / 4) for x in range(-20, 21)) == calibrated.item()


def test_the_scales_of_a_vote_do_not_look_at_test_puzzles(tmp_path):
    """Test scores a thousand times as large leave scales and voters as they are."""
    puzzles = messy_puzzles(100)
    qk, logits = messy_scores(puzzles)
    found = []
    for name, factor in (("one", 1.0), ("other", 1000.0)):
        changed = qk.copy()
        changed[[p.split == "test" for p in puzzles]] *= factor
        run = planted_run(puzzles, n_layers=2, n_heads=3)
        publish_parts(
            tmp_path / name,
            run,
            puzzles,
            write_parts(tmp_path / f"{name}-parts", puzzles, changed, logits),
        )
        with ResultStore.open(tmp_path / name) as store:
            found.append(voters_and_scales(store, "planted-1"))
    assert found[0][0] == found[1][0]
    assert found[0][1] == pytest.approx(found[1][1])


def test_voters_are_the_best_on_validation_puzzles_with_the_spread_of_each(store, everything):
    voters, scales = voters_and_scales(store, "messy")
    assert voters == voters_of(everything, VOTES[DEFAULT_VOTE][1])
    for head, scale in zip(voters, scales, strict=True):
        assert scale == pytest.approx(spread_of(everything, head))


def test_without_validation_puzzles_nobody_votes_and_nothing_is_chosen(tmp_path):
    path = messy_store(tmp_path / "s.duckdb", [replace(p, split="test") for p in messy_puzzles(80)])
    with ResultStore.open(path) as store:
        marks = exam(store, "messy", 0, 0)
        assert len(marks) == 80
        assert (marks["vote"] == -1).all()
        assert not marks["is_vote_right"].any()
        assert voters_and_scales(store, "messy")[0] == []
        assert rules_of_choice(store, "messy").empty


def test_without_test_puzzles_there_is_no_exam(tmp_path):
    path = messy_store(
        tmp_path / "s.duckdb", [replace(p, split="validation") for p in messy_puzzles(80)]
    )
    with ResultStore.open(path) as store:
        assert exam(store, "messy", 0, 0).empty
        assert rules_of_choice(store, "messy").empty


@pytest.mark.parametrize(
    ("choose", "report"), [(None, None), ((1, 2), (3, 4, 5)), (2, None), (1, 1)]
)
def test_every_way_to_choose_is_reported_on_the_same_test_puzzles(
    store, everything, choose, report
):
    ways = rules_of_choice(store, "messy", choose, report).set_index("rule")
    rows, chosen_on = among(everything, "test", report), among(everything, "validation", choose)
    ranked = sorted(HEADS, key=lambda head: (-sum(r.is_right(head) for r in chosen_on), head))
    spread = {head: spread_of(chosen_on, head) for head in HEADS}
    assert set(ways.index) == {*VOTES, "best by accuracy", "best by balanced accuracy"}
    for rule, way in ways.iterrows():
        heads = (
            store.selected("messy", 1, "balanced_accuracy", choose)
            if "balanced" in rule
            else voters_of(everything, 10, choose)
            if rule in VOTES
            else ranked
        )
        kind, k = VOTES.get(rule, ("one", 1))
        assert way["heads"] == heads[:k]
        said = [
            the_largest(r.qk[heads[0]]) if kind == "one" else ballot(spread, r, heads[:k], kind)
            for r in rows
        ]
        right = [choice == r.answer for choice, r in zip(said, rows, strict=True)]
        model = [r.is_model_right for r in rows]
        assert (way["n"], way["n_right"]) == (len(rows), sum(right))
        assert way["accuracy"] == pytest.approx(sum(right) / len(rows))
        assert way["gap"] == pytest.approx((sum(right) - sum(model)) / len(rows))
        assert way["gap_low"] <= way["gap"] <= way["gap_high"]


def test_nothing_is_reported_where_no_puzzle_has_the_steps(store):
    assert rules_of_choice(store, "messy", (7, 8)).empty
    assert rules_of_choice(store, "messy", None, (7, 8)).empty


def test_a_vote_may_give_no_answer():
    scores = np.array([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [2.0, 0.0]]])
    assert vote(scores, "majority", np.array([True, True])).tolist() == [-1, 0]


def test_texts_are_those_of_the_runs_own_set_in_order(store):
    puzzles = messy_puzzles()
    found = texts(store, "messy", ["p7", "p3", "p70"])
    assert found["puzzle_id"].tolist() == ["p3", "p7", "p70"]
    for row in found.itertuples():
        puzzle = puzzles[int(row.puzzle_id[1:])]
        assert (row.context, row.statement) == (puzzle.context, puzzle.statement)
        assert row.answer_text == puzzle.candidates[puzzle.answer]
        assert tuple(row.candidates) == puzzle.candidates


def test_a_text_is_found_in_any_case_and_without_wildcards(store):
    assert find_texts(store, "messy", "STATEMENT 17.") == ["p17"]
    assert find_texts(store, "messy", "of set 9") == []  # the namesakes' contexts
    assert find_texts(store, "messy", "%") == []


def test_a_run_without_texts_has_its_exam_and_says_none_for_the_texts(tmp_path, store):
    puzzles = messy_puzzles()
    path = tmp_path / "bare.duckdb"
    run = planted_run(puzzles, run_id="messy", n_layers=2, n_heads=3)
    parts = write_parts(tmp_path / "parts", puzzles, *messy_scores(puzzles))
    publish_parts(path, run, puzzles, parts, with_texts=False)
    with ResultStore.open(path) as bare:
        found = texts(bare, "messy", ["p1"])
        assert found["context"].isna().all()
        assert found["statement"].isna().all()
        assert find_texts(bare, "messy", "statement") == []
        pd.testing.assert_frame_equal(exam(bare, "messy", 0, 0), exam(store, "messy", 0, 0))


@pytest.mark.parametrize("texts_come", ["first", "last"])
def test_texts_are_there_once_any_run_on_the_puzzles_brings_them(tmp_path, texts_come):
    puzzles, path = messy_puzzles(70), tmp_path / "s.duckdb"
    parts = write_parts(tmp_path / "parts", puzzles, *messy_scores(puzzles))
    for run_id, with_texts in (("one", texts_come == "first"), ("two", texts_come == "last")):
        run = planted_run(puzzles, run_id=run_id, n_layers=2, n_heads=3)
        publish_parts(path, run, puzzles, parts, with_texts=with_texts)
    with ResultStore.open(path) as store:
        for run_id in ("one", "two"):
            assert texts(store, run_id, ["p5"])["statement"].tolist() == ["Statement 5."]
            assert len(puzzles_of(store, run_id)) == 70
