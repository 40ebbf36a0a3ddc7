"""Statistics on made-up runs of which the truth is known.

What should hold in 95 of 100 cases is tried in hundreds. Limits on counts are quantiles of the
binomial distribution: where a claim holds, one seed in some thousands would fail.
"""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from qkcore.results.findings import choices_reported, measures, run_gaps
from qkcore.results.store import ResultStore
from qkcore.statistics.luck import luck_line
from qkcore.statistics.marks import choices
from qkcore.statistics.metrics import (
    above_chance,
    accuracy_interval,
    auc,
    balanced_accuracy,
    select_heads,
)
from qkcore.statistics.metrics import paired_test as slow_paired_test
from qkcore.statistics.votes import majority_vote, spreads, weighted_vote
from tests.stores import guessing_store

paired_test = cache(slow_paired_test)
RARE = 0.9995


def at_most(rate: float, n: int) -> int:
    """A count that n cases of this rate hardly ever exceed."""
    return int(stats.binom.ppf(RARE, n, rate))


def frame_of(is_right: np.ndarray) -> pd.DataFrame:
    """layer, head and accuracy of (puzzle, head) marks."""
    heads = np.arange(is_right.shape[1])
    return pd.DataFrame({"layer": heads // 8, "head": heads % 8, "accuracy": is_right.mean(axis=0)})


# Intervals


@pytest.mark.parametrize("n", [20, 150, 1800])
@pytest.mark.parametrize("accuracy", [0.5, 0.75, 0.97])
def test_an_accuracys_interval_covers_it(n, accuracy):
    """Exactly, over all outcomes.

    Wilson's covers 95 % on average, and never much less away from 0 and 1.
    """
    k = np.arange(n + 1)
    low, high = accuracy_interval(k, np.full(n + 1, n))
    covered = stats.binom.pmf(k, n, accuracy)[(low <= accuracy) & (accuracy <= high)].sum()
    assert 0.925 < covered < 0.985


@pytest.mark.parametrize(
    ("n", "shares"),  # both right, only head, only model, neither
    [
        (30, (0.4, 0.25, 0.15, 0.2)),
        (100, (0.85, 0.1, 0.02, 0.03)),
        (400, (0.5, 0.1, 0.1, 0.3)),
        (100, (0.1, 0.7, 0.1, 0.1)),
    ],
)
def test_a_gaps_interval_covers_it_and_its_p_is_seldom_small_by_chance(n, shares):
    counts = np.random.default_rng(0).multinomial(n, shares, size=4000)
    found = [
        paired_test(n, int(only_head), int(only_model)) for _, only_head, only_model, _ in counts
    ]
    gap = shares[1] - shares[2]
    assert 0.93 < np.mean([one.low <= gap <= one.high for one in found]) < 0.98
    if gap == 0:
        assert sum(one.p < 0.05 for one in found) <= at_most(0.05, 4000)


# The luck line


def best_of_coin_flips(n_puzzles: int, n_heads: int, share: float) -> float:
    """Quantile of the best accuracy of independent coin flips, from the binomial distribution."""
    k = np.arange(n_puzzles + 1)
    return k[np.searchsorted(stats.binom.cdf(k, n_puzzles, 0.5) ** n_heads, share)] / n_puzzles


@pytest.mark.parametrize(
    ("n_puzzles", "n_heads"), [(100, 336), (200, 336), (1000, 336), (200, 1024), (500, 1024)]
)
def test_the_luck_line_is_the_best_of_independent_coin_flips(n_puzzles, n_heads):
    rng = np.random.default_rng(1)
    puzzles = pd.DataFrame(
        {"answer": np.arange(n_puzzles) % 2, "group": np.arange(n_puzzles) // 2}
    ).assign(steps=1, distractors=0)
    line = luck_line(rng.integers(0, 2, (n_puzzles, n_heads), dtype=np.int8), puzzles).iloc[0]
    tolerance = 0.5 / np.sqrt(n_puzzles) * 0.15
    assert line["q50"] == pytest.approx(best_of_coin_flips(n_puzzles, n_heads, 0.5), abs=tolerance)
    assert line["q95"] == pytest.approx(best_of_coin_flips(n_puzzles, n_heads, 0.95), abs=tolerance)


def guesses(kind: str, n_puzzles: int, n_heads: int, rng) -> tuple[np.ndarray, pd.DataFrame]:
    """(puzzle, head) choices that know nothing of the answers, and the puzzles."""
    two, four = ("true", "false"), ("north", "east", "south", "west")
    mixed = kind == "two and four candidates"
    candidates = pd.Series(
        [four if mixed and number % 4 == 0 else two for number in range(n_puzzles)]
    )
    n = candidates.map(len).to_numpy()
    rare = 0.85 if kind == "one answer is rare" else 0.5
    answer = np.where(n == 2, rng.random(n_puzzles) > rare, rng.integers(0, 4, n_puzzles))
    if kind.startswith("pairs"):
        answer = np.arange(n_puzzles) % 2
    choices = (rng.random((n_puzzles, n_heads)) * n[:, None]).astype(np.int8)
    if kind == "heads alike":  # all guess as one on nine puzzles in ten
        choices = np.where(rng.random(choices.shape) < 0.9, choices[:, :1], choices)
    if kind == "heads that lean":
        choices = (rng.random(choices.shape) < np.linspace(0, 1, n_heads)).astype(np.int8)
    if kind == "one answer is rare":  # and some heads know which
        choices = (rng.random(choices.shape) < np.linspace(0, 0.5, n_heads)).astype(np.int8)
    if kind == "pairs, right on both or on neither":
        choices = np.where(
            np.repeat(choices[::2] == 0, 2, axis=0), answer[:, None], 1 - answer[:, None]
        )
    if kind.startswith("whole groups"):  # of one answer, and every head says one thing to each
        of_group = np.arange(n_puzzles) // 3
        answer = rng.integers(0, 2, n_puzzles)[of_group]
        choices = choices[of_group]
    if kind == "ties":
        choices[rng.random(choices.shape) < 0.3] = -1
    group = np.arange(n_puzzles) // (2 if kind.startswith("pairs") else 3)
    puzzles = pd.DataFrame(
        {"answer": answer, "group": group, "candidates": candidates, "distractors": 0}
    )
    if kind == "whole groups of several difficulties":
        return choices, puzzles.assign(steps=1 + np.arange(n_puzzles) % 3)
    return choices, puzzles.assign(steps=1 + group % 2)


KINDS = ["pairs", "two and four candidates", "heads alike", "heads that lean", "ties"]
KINDS += ["whole groups", "whole groups of several difficulties"]


@pytest.mark.parametrize(
    "kind", [*KINDS, "one answer is rare", "pairs, right on both or on neither"]
)
def test_guessing_heads_rise_above_the_luck_line_in_at_most_one_run_of_twenty(kind):
    rng, n_runs, n_above = np.random.default_rng(2), 100, 0
    for seed in range(n_runs):
        choices, puzzles = guesses(kind, 60, 24, rng)
        lines = luck_line(choices, puzzles, n_permutations=200, seed=seed)
        q95 = lines.loc[lines["steps"].isna() & lines["distractors"].isna(), "q95"].item()
        n_above += (choices == puzzles["answer"].to_numpy()[:, None]).mean(axis=0).max() > q95
    assert n_above <= at_most(0.05, n_runs)


def test_a_head_that_knows_rises_above_the_luck_line():
    rng, found = np.random.default_rng(3), 0
    for seed in range(40):
        choices, puzzles = guesses("pairs", 200, 48, rng)
        knows = rng.random(200) < 0.75
        choices[knows, 7] = puzzles["answer"][knows]
        lines = luck_line(choices, puzzles, n_permutations=100, seed=seed)
        q95 = lines.loc[lines["steps"].isna() & lines["distractors"].isna(), "q95"].item()
        found += (choices[:, 7] == puzzles["answer"]).mean() > q95
    assert found == 40


# Heads above chance


@pytest.mark.parametrize(
    "kind", [*KINDS, "one answer is rare", "pairs, right on both or on neither"]
)
def test_no_guessing_head_is_named_above_chance_in_19_runs_of_20(kind):
    rng, n_runs, n_named = np.random.default_rng(4), 100, 0
    for seed in range(n_runs):
        choices, puzzles = guesses(kind, 160, 48, rng)
        lines = luck_line(choices, puzzles, n_permutations=400, seed=seed)
        whole = lines[lines["steps"].isna() & lines["distractors"].isna()].iloc[0]
        n_right = (choices == puzzles["answer"].to_numpy()[:, None]).sum(axis=0)
        n_named += above_chance(
            n_right, np.array(whole["null_mean"]), np.array(whole["null_sd"])
        ).any()
    assert n_named <= at_most(0.05, n_runs)


def test_of_the_heads_named_above_chance_few_are_there_by_luck():
    rng, shares = np.random.default_rng(5), []
    for _ in range(200):
        shared = rng.random((200, 1)) < 0.5  # heads that guess lean on each other
        guessed = np.where(rng.random((200, 40)) < 0.7, shared, rng.random((200, 40)) < 0.5)
        known = rng.random((200, 8)) < 0.7
        named = above_chance(
            np.hstack([known, guessed]).sum(axis=0), np.full(48, 100), np.full(48, np.sqrt(50))
        )
        assert named[:8].any()
        shares.append(named[8:].sum() / named.sum())
    assert np.mean(shares) < 0.05


# Choosing a head


def choosing(accuracies: np.ndarray, n: int, n_runs: int, seed: int = 6) -> pd.DataFrame:
    """The head chosen on n validation puzzles in each of many runs.

    Its accuracy there, on n test puzzles, in truth.
    """
    rng, rows = np.random.default_rng(seed), []
    for _ in range(n_runs):
        validation, test = (rng.random((n, len(accuracies))) < accuracies for _ in range(2))
        ((layer, head),) = select_heads(frame_of(validation))
        best = 8 * layer + head
        rows.append((best, validation[:, best].mean(), test[:, best].mean(), accuracies[best]))
    return pd.DataFrame(rows, columns=["best", "on_validation", "on_test", "truth"])


def test_a_planted_head_is_found_and_its_test_accuracy_is_unbiased():
    accuracies = np.full(64, 0.5)
    accuracies[37] = 0.8
    found = choosing(accuracies, 150, 200)
    assert (found["best"] == 37).all()
    assert abs((found["on_test"] - 0.8).mean()) < 3.3 * 0.4 / np.sqrt(150 * 200)


def test_the_best_of_many_is_flattered_by_the_puzzles_it_was_chosen_on_and_not_by_others():
    accuracies = np.random.default_rng(7).normal(0.6, 0.03, 64)
    found = choosing(accuracies, 100, 300)
    error = 0.5 / np.sqrt(100 * 300)
    assert abs((found["on_test"] - found["truth"]).mean()) < 3.3 * error
    assert (found["on_validation"] - found["truth"]).mean() > 10 * error  # some five points


def test_the_p_of_a_head_chosen_on_other_puzzles_is_seldom_small_by_chance():
    rng, small = np.random.default_rng(8), 0
    for _ in range(300):
        validation, test, model = (
            rng.random((120, 48)) < 0.5,
            rng.random((120, 48)) < 0.5,
            rng.random(120) < 0.5,
        )
        ((layer, head),) = select_heads(frame_of(validation))
        own = test[:, 8 * layer + head]
        small += paired_test(120, int((own & ~model).sum()), int((~own & model).sum())).p < 0.05
    assert small <= at_most(0.05, 300)


# Votes, offsets


def margins_of(accuracies, n: int, scales, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(puzzle, head, candidate) scores of independent heads, and the answers.

    The heads have these accuracies and scales.
    """
    rng = np.random.default_rng(seed)
    answer = rng.integers(0, 2, n)
    towards = rng.normal(stats.norm.ppf(accuracies), 1.0, (n, len(accuracies))) * scales
    signed = np.where(answer[:, None] == 0, towards, -towards)
    return np.stack([signed / 2, -signed / 2], axis=-1), answer


def test_a_vote_of_independent_heads_is_better_than_each_and_as_good_as_theory_has_it():
    accuracies, scales = (
        np.array([0.62, 0.65, 0.68, 0.7, 0.72]),
        np.array([1e-3, 1.0, 30.0, 2.0, 1e5]),
    )
    scores, _ = margins_of(accuracies, 20_000, scales, seed=9)
    unseen, its_answer = margins_of(accuracies, 20_000, scales, seed=10)
    each = (choices(unseen) == its_answer[:, None]).mean(axis=0)
    assert each == pytest.approx(accuracies, abs=0.012)
    weighted = (choices(weighted_vote(unseen, spreads(scores))) == its_answer).mean()
    means = stats.norm.ppf(accuracies)
    weights = 1 / np.sqrt(means**2 + 1)  # one over the root mean square of a margin
    theory = stats.norm.cdf((means * weights).sum() / np.sqrt((weights**2).sum()))
    assert weighted == pytest.approx(theory, abs=0.012)
    majority = (majority_vote(choices(unseen), 2) == its_answer).mean()
    p = [[1 - a, a] for a in accuracies]
    outcomes = np.indices((2,) * 5).reshape(5, -1).T
    assert majority == pytest.approx(
        sum(np.prod([p[i][x] for i, x in enumerate(row)]) for row in outcomes if row.sum() >= 3),
        abs=0.012,
    )
    assert weighted > majority > each.max()


def test_a_head_with_an_offset_orders_puzzles_well_and_answers_none():
    scores, answer = margins_of(np.array([0.85]), 4000, np.ones(1), seed=11)
    scores[:, 0, 0] += 20  # it always says the first
    said = choices(scores)[:, 0]
    right = np.array([[(said[answer == index] == index).sum() for index in (0, 1)]])
    assert balanced_accuracy(right, np.bincount(answer)) == pytest.approx([0.5])
    area = auc((scores[:, :, 0] - scores[:, :, 1]).T, answer == 0)[0]
    # Of two normals, each that far from zero
    theory = stats.norm.cdf(2 * stats.norm.ppf(0.85) / np.sqrt(2))
    assert area == pytest.approx(theory, abs=0.015)


# A whole store of nothing


N_STORES = 6


@pytest.fixture(scope="module")
def nothing(tmp_path_factory):
    """What pages say of runs whose heads and model all guess.

    (gap, measures, ways to choose) of each.
    """
    folder, said = tmp_path_factory.mktemp("nothing"), []
    for seed in range(N_STORES):
        path = guessing_store(folder / f"{seed}.duckdb", 1440, 6, 8, seed=seed)
        with ResultStore.open(path) as store:
            said.append(
                (
                    run_gaps(store).iloc[0],
                    measures(store, "guess"),
                    choices_reported(store, "guess"),
                )
            )
    return said


def test_nothing_is_significant_where_everybody_guesses(nothing):
    assert sum(gap["p"] < 0.05 for gap, _, _ in nothing) <= at_most(0.05, N_STORES)
    assert sum(gap["low"] > 0 or gap["high"] < 0 for gap, _, _ in nothing) <= at_most(
        0.06, N_STORES
    )
    assert sum(heads["is_above_luck"].any() for _, heads, _ in nothing) <= at_most(0.05, N_STORES)
    assert sum(heads["is_above_chance"].any() for _, heads, _ in nothing) <= at_most(0.05, N_STORES)


def test_every_measure_of_guessing_heads_lies_about_chance(nothing):
    heads = pd.concat([heads for _, heads, _ in nothing])
    error = 0.5 / np.sqrt(720)
    for measure, chance in {
        "accuracy": 0.5,
        "balanced_accuracy": 0.5,
        "auc": 0.5,
        "gain": 0.0,
    }.items():
        spread = error * (np.sqrt(2) if measure == "gain" else 1)  # the model guesses too
        assert abs(heads[measure] - chance).max() < 4.5 * spread
        assert heads[measure].mean() == pytest.approx(chance, abs=4 * spread / np.sqrt(N_STORES))


def test_no_way_to_choose_beats_a_guessing_model_more_often_than_chance_has_it(nothing):
    """Majorities of ten lose: their ties count as wrong, as people are told."""
    for number, rule in enumerate(nothing[0][2]["rule"]):
        ahead = [
            ways.iloc[number]["p"] < 0.05 and ways.iloc[number]["gap"] > 0 for _, _, ways in nothing
        ]
        assert sum(ahead) <= at_most(0.025, N_STORES), rule
