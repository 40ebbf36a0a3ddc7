"""What marks add up to, against tables counted row by row."""

from collections import Counter, defaultdict

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from qkcore.statistics.clusters import grouped_accuracy
from qkcore.statistics.exams import VERDICTS, WHO, accuracy_by, agreement, gaps, kappa, verdicts
from qkcore.statistics.metrics import paired_test

BYS = [[], ["steps"], ["distractors"], ["steps", "distractors"]]


def marks(n: int = 300, seed: int = 0, **always) -> pd.DataFrame:
    """Marks of head, model and vote; some puzzles do not say their steps or distractors."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "puzzle_id": [f"p{i}" for i in range(n)],
            "steps": rng.choice([1.0, 2.0, 5.0, np.nan], n),
            "distractors": rng.choice([0.0, 3.0, np.nan], n, p=[0.5, 0.4, 0.1]),
            "is_head_right": rng.random(n) < 0.8,
            "is_model_right": rng.random(n) < 0.6,
            "is_vote_right": rng.random(n) < 0.9,
        }
    )
    return frame.assign(**always)


def by_cell(frame: pd.DataFrame, by: list[str]) -> dict[tuple, list]:
    """Rows by what they say of `by`; those that do not say it are left out."""
    cells = defaultdict(list)
    for row in frame.itertuples():
        key = tuple(getattr(row, name) for name in by)
        if not any(np.isnan(value) for value in key):
            cells[key].append(row)
    return cells


@pytest.mark.parametrize("by", BYS)
def test_accuracies_at_each_difficulty(by):
    frame = marks()
    cells, found = by_cell(frame, by), accuracy_by(frame, by)
    assert len(found) == len(WHO) * len(cells)
    for row in found.itertuples():
        own = [
            getattr(mark, f"is_{row.who}_right")
            for mark in cells[tuple(getattr(row, name) for name in by)]
        ]
        assert (row.n, row.n_right, row.accuracy) == (len(own), sum(own), sum(own) / len(own))
        interval = stats.binomtest(sum(own), len(own)).proportion_ci(method="wilson")
        assert (row.low, row.high) == pytest.approx((interval.low, interval.high))


@pytest.mark.parametrize("by", BYS)
def test_with_a_group_for_every_puzzle_accuracies_and_gaps_are_the_same(by):
    alone = marks()
    grouped = alone.assign(group=[f"g{i}" for i in range(len(alone))])
    columns = [*by, "who", "n", "n_right", "accuracy", "low", "high"]
    one, other = (accuracy_by(frame, by)[columns] for frame in (grouped, alone))
    pd.testing.assert_frame_equal(one, other, check_dtype=False)
    one, other = (gaps(frame, by).drop(columns="p") for frame in (grouped, alone))
    pd.testing.assert_frame_equal(one, other)


def test_puzzles_that_a_group_answers_alike_count_as_one():
    alone = marks(60)
    alike = alone.loc[alone.index.repeat(5)].assign(group=np.repeat(range(60), 5))
    for one, other in zip(
        accuracy_by(alike, []).itertuples(), accuracy_by(alone, []).itertuples(), strict=True
    ):
        assert (one.n, one.accuracy) == (5 * other.n, other.accuracy)
        assert (one.low, one.high) == pytest.approx((other.low, other.high), abs=0.004)
    (one,), (other,) = (gaps(frame, []).itertuples() for frame in (alike, alone))
    assert (one.gap, one.low, one.high) == pytest.approx(
        (other.gap, other.low, other.high), abs=0.006
    )
    assert (one.p < 0.05) == (one.low > 0)


@pytest.mark.parametrize("who", ["head", "vote"])
@pytest.mark.parametrize("by", BYS)
def test_gaps_are_paired_puzzle_by_puzzle(by, who):
    frame = marks()
    cells, found = by_cell(frame, by), gaps(frame, by, who)
    assert len(found) == len(cells)
    for row in found.itertuples():
        own = cells[tuple(getattr(row, name) for name in by)]
        pairs = Counter((getattr(mark, f"is_{who}_right"), mark.is_model_right) for mark in own)
        only_who, only_model = pairs[True, False], pairs[False, True]
        assert row.n == len(own)
        assert row.gap == pytest.approx((only_who - only_model) / len(own))
        # Each puzzle is a group of its own here: Agresti and Min's interval, and its p.
        known = paired_test(len(own), only_who, only_model)
        assert (row.low, row.high) == pytest.approx((known.low, known.high))
        assert (row.p < 0.05) == (not row.low <= 0 <= row.high)


def groups_of(frame: pd.DataFrame, cell: list) -> list[list]:
    """The rows of a cell by group."""
    own = defaultdict(list)
    for row in cell:
        own[row.group].append(row)
    return list(own.values())


@pytest.mark.parametrize("by", BYS)
def test_intervals_know_groups(by):
    frame = marks(group=np.arange(300) // 7, answer=np.arange(300) % 3 % 2)
    cells = by_cell(frame, by)
    for row in accuracy_by(frame, by, ["head"]).itertuples():
        groups = groups_of(frame, cells[tuple(getattr(row, name) for name in by)])
        own = grouped_accuracy(
            [sum(mark.is_head_right for mark in group) for group in groups],
            [len(group) for group in groups],
        )
        assert (row.low, row.high) == pytest.approx((float(own.low), float(own.high)))
        assert row.n_groups == len(groups)


@pytest.mark.parametrize("by", BYS)
def test_balanced_accuracy_is_the_mean_over_answers(by):
    frame = marks(group=np.arange(300) // 7, answer=(np.arange(300) % 5 == 0).astype(int))
    cells = by_cell(frame, by)
    found = accuracy_by(frame, by, ["head", "model"], "balanced_accuracy")
    for row in found.itertuples():
        own = cells[tuple(getattr(row, name) for name in by)]
        shares = [
            np.mean([getattr(m, f"is_{row.who}_right") for m in own if m.answer == answer])
            for answer in {m.answer for m in own}
        ]
        assert row.accuracy == pytest.approx(np.mean(shares))
        assert row.low <= row.accuracy <= row.high
    head, model = (found[found["who"] == who]["accuracy"].to_numpy() for who in ("head", "model"))
    gap = gaps(frame, by, measure="balanced_accuracy")["gap"].to_numpy()
    assert gap == pytest.approx(head - model)


def test_a_gap_is_the_difference_of_the_two_accuracies():
    frame = marks()
    found = accuracy_by(frame, []).set_index("who")["accuracy"]
    assert gaps(frame, [])["gap"].item() == pytest.approx(found["head"] - found["model"])


def test_each_puzzle_has_one_verdict():
    names = {
        (True, True): "both",
        (True, False): "only head",
        (False, True): "only model",
        (False, False): "neither",
    }
    frame = marks()
    expected = [
        names[head, model]
        for head, model in zip(frame["is_head_right"], frame["is_model_right"], strict=True)
    ]
    assert verdicts(frame).tolist() == expected


@pytest.mark.parametrize("by", BYS)
def test_agreement_shares_out_each_cell_among_all_verdicts(by):
    frame = marks(60)
    found = agreement(frame, by)
    cells = by_cell(frame.assign(verdict=verdicts(frame)), by)
    assert len(found) == len(cells) * len(VERDICTS)
    for row in found.itertuples():
        own = Counter(mark.verdict for mark in cells[tuple(getattr(row, name) for name in by)])
        assert row.n == own[row.verdict]
        assert row.share == own[row.verdict] / own.total()


@pytest.mark.parametrize("verdict", VERDICTS)
def test_a_verdict_that_never_occurs_is_there_with_none(verdict):
    frame = marks(
        40,
        is_head_right="head" in verdict or verdict == "both",
        is_model_right=verdict in ("both", "only model"),
    )
    found = agreement(frame, []).set_index("verdict")
    assert found["n"].to_dict() == {name: 40 * (name == verdict) for name in VERDICTS}


def test_the_order_of_puzzles_changes_nothing():
    frame = marks()
    turned = frame.sample(frac=1, random_state=1)
    for by in BYS:
        for function in (accuracy_by, gaps, agreement):
            pd.testing.assert_frame_equal(function(frame, by), function(turned, by))
    assert kappa(frame) == kappa(turned)


def test_kappa_is_cohens_from_the_two_by_two_table():
    frame = marks(200, seed=3)
    frame["is_model_right"] |= frame["is_head_right"] & (np.arange(200) % 2 == 0)
    table = pd.crosstab(frame["is_head_right"], frame["is_model_right"]).to_numpy() / 200
    observed, expected = np.trace(table), table.sum(axis=0) @ table.sum(axis=1)
    assert 0.05 < kappa(frame) == pytest.approx((observed - expected) / (1 - expected))


def test_kappa_is_minus_one_for_opposites_and_nothing_where_one_is_always_right():
    half = np.arange(40) % 2 == 0
    assert kappa(marks(40, is_head_right=half, is_model_right=~half)) == pytest.approx(-1)
    for constant in (True, False):
        assert np.isnan(kappa(marks(40, is_head_right=constant, is_model_right=half)))
        assert np.isnan(kappa(marks(40, is_head_right=half, is_model_right=constant)))


def test_puzzles_that_say_nothing_of_their_difficulty_have_no_cells():
    frame = marks(20, steps=np.nan)
    assert accuracy_by(frame, ["steps"]).empty
    assert gaps(frame, ["steps"]).empty
    assert agreement(frame, ["steps"]).empty
    assert len(gaps(frame, [])) == 1
