import numpy as np
import pandas as pd
import pytest

from qkcore.statistics.exchange import exchangeable, shuffles
from qkcore.statistics.luck import MEASURES, luck_line, luck_lines

TWO, FOUR = ("true", "false"), ("north", "east", "south", "west")


def shuffled_answers(puzzles: pd.DataFrame, n: int) -> np.ndarray:
    return np.concatenate(list(shuffles(puzzles, n, np.random.default_rng(0))))


def test_answers_are_shuffled_within_their_group_only():
    puzzles = pd.DataFrame({"answer": [0, 1, 0, 1, 1, 1], "group": list("aabbba")})
    shuffled = shuffled_answers(puzzles, 500)
    for group in "ab":
        own = (puzzles["group"] == group).to_numpy()
        assert (shuffled[:, own].sum(axis=1) == puzzles["answer"][own].sum()).all()
    assert len(np.unique(shuffled, axis=0)) == 9  # three ways in each group


def test_groups_of_one_answer_trade_it_as_a_whole():
    puzzles = pd.DataFrame({"answer": [0, 0, 1, 0, 1, 1, 1], "group": list("aabcddd")})
    shuffled = shuffled_answers(puzzles, 200)
    assert len(np.unique(shuffled, axis=0)) == 6  # two groups of four say 1
    assert (shuffled[:, 0] == shuffled[:, 1]).all()
    assert (shuffled[:, 4:] == shuffled[:, [4]]).all()


def test_puzzles_of_one_group_and_several_difficulties_keep_their_answers_together():
    pairs = pd.DataFrame({"group": np.repeat(np.arange(6), 2), "steps": [1, 2] * 6})
    alike = pairs.assign(answer=np.repeat([0, 1, 0, 1, 1, 0], 2))
    shuffled = shuffled_answers(alike, 300)
    assert (shuffled[:, ::2] == shuffled[:, 1::2]).all()
    assert len(np.unique(shuffled, axis=0)) == 20  # three of six
    unlike = alike.assign(
        answer=np.where(pairs["steps"] == 1, alike["answer"], 1 - alike["answer"])
    )
    shuffled = shuffled_answers(unlike, 300)
    assert (shuffled[:, ::2] != shuffled[:, 1::2]).all()


def test_a_puzzle_of_two_candidates_is_never_given_a_third_answer():
    puzzles = pd.DataFrame(
        {
            "answer": [0, 1, 2, 3, 0, 3],
            "group": list("abcdee"),
            "candidates": [TWO, TWO, FOUR, FOUR, TWO, FOUR],
        }
    )
    shuffled = shuffled_answers(puzzles, 300)
    assert shuffled[:, [0, 1, 4]].max() == 1
    assert {2, 3} <= set(shuffled[:, 5].tolist())


def test_candidates_that_no_two_puzzles_share_are_shuffled_among_as_many():
    puzzles = pd.DataFrame(
        {
            "answer": [0, 1, 2],
            "group": list("abc"),
            "candidates": [list("xyz"), list("uvw"), list("rst")],
        }
    )
    assert len(np.unique(shuffled_answers(puzzles, 200), axis=0)) == 6


def test_a_shuffle_changes_nothing_about_who_may_trade():
    """Else it would not be one of equally likely ways in which the answers could have come."""
    rng = np.random.default_rng(1)
    puzzles = pd.DataFrame({"answer": rng.integers(0, 2, 60), "group": rng.integers(0, 30, 60)})
    unit, block, _ = exchangeable(puzzles)
    for answer in shuffled_answers(puzzles, 20):
        again = exchangeable(puzzles.assign(answer=answer))
        assert (again[0] == unit).all()
        assert (again[1] == block).all()


def test_a_head_that_always_says_true_is_not_above_luck_wherever_true_stands():
    kinds = [("true", "false"), ("false", "true")]
    rng = np.random.default_rng(0)
    candidates = [kinds[place] for place in rng.integers(0, 2, 400)]
    says_true = np.array([kind.index("true") for kind in candidates])
    is_true = rng.random(400) < 0.9
    puzzles = pd.DataFrame(
        {
            "answer": np.where(is_true, says_true, 1 - says_true),
            "candidates": candidates,
            "steps": 1,
            "distractors": 0,
        }
    ).assign(group=np.arange(400))
    line = luck_line(says_true[:, None], puzzles, n_permutations=50).iloc[0]
    assert line["q50"] == line["q95"] == is_true.mean()


def guessing(n_puzzles: int, n_heads: int, seed: int):
    """Coin-flip heads on puzzles of one difficulty in groups of two, one true and one false."""
    rng = np.random.default_rng(seed)
    puzzles = pd.DataFrame(
        {
            "answer": np.arange(n_puzzles) % 2,
            "group": np.arange(n_puzzles) // 2,
            "steps": 1,
            "distractors": 0,
        }
    )
    return rng.integers(0, 2, size=(n_puzzles, n_heads)), puzzles


@pytest.mark.parametrize(("n_puzzles", "median", "high"), [(100, 0.64, 0.68), (500, 0.564, 0.580)])
def test_the_luck_line_agrees_with_independent_coin_flips(n_puzzles, median, high):
    # 28 layers of 12 heads: the table's first row
    line = luck_line(*guessing(n_puzzles, 336, seed=3)).iloc[0]
    assert line["q50"] == pytest.approx(median, abs=0.011)
    assert line["q95"] == pytest.approx(high, abs=0.011)


def test_guessing_heads_rise_above_the_luck_line_in_about_one_run_of_twenty():
    n_above = 0
    for seed in range(200):
        choices, puzzles = guessing(60, 24, seed=100 + seed)
        best = (choices == puzzles["answer"].to_numpy()[:, None]).mean(axis=0).max()
        n_above += best > luck_line(choices, puzzles, n_permutations=200)["q95"].iloc[0]
    assert n_above <= 20  # 5 % of 200 is 10; 20 or more has a chance below 1 in 300


def test_the_luck_line_of_all_difficulties_counts_each_puzzle_once():
    choices, puzzles = guessing(80, 5, seed=0)
    puzzles["steps"], puzzles["distractors"] = np.arange(80) // 2 % 2 + 1, np.arange(80) // 4 % 2
    lines = luck_line(choices, puzzles, n_permutations=50)
    sizes = {(str(line.steps), str(line.distractors)): line.n for line in lines.itertuples()}
    assert sizes["<NA>", "<NA>"] == 80
    assert sizes["1", "<NA>"] == sizes["<NA>", "0"] == 40
    assert sizes["2", "1"] == 20
    assert len(lines) == 9


def test_puzzles_of_unknown_difficulty_get_one_line():
    choices, puzzles = guessing(20, 3, seed=0)
    lines = luck_line(choices, puzzles.assign(steps=None, distractors=None), n_permutations=10)
    assert len(lines) == 1


def test_both_measures_are_of_the_same_shuffles():
    choices, puzzles = guessing(200, 6, seed=4)
    lines = luck_lines(choices, puzzles, n_permutations=200).set_index("measure")
    accuracy, balanced = (lines.loc[measure].iloc[0] for measure in MEASURES)
    # As many of either answer: the two measures are one
    assert balanced["q95"] == pytest.approx(accuracy["q95"], abs=1e-6)
    assert balanced["null_mean"] == pytest.approx(np.array(accuracy["null_mean"]) / 200, abs=1e-6)
    assert luck_line(choices, puzzles, n_permutations=200).iloc[0]["q95"] == accuracy["q95"]


def test_a_constant_head_has_half_of_the_balanced_accuracy_in_every_shuffle():
    answer = (np.arange(300) % 10 == 0).astype(int)
    puzzles = pd.DataFrame(
        {"answer": answer, "group": np.arange(300), "steps": 1, "distractors": 0}
    )
    lines = luck_lines(np.zeros((300, 1), dtype=int), puzzles, 100).set_index("measure")
    balanced = lines.loc["balanced_accuracy"].iloc[0]
    assert (balanced["q50"], balanced["q95"]) == pytest.approx((0.5, 0.5))
    assert balanced["null_sd"] == pytest.approx([0], abs=1e-6)
    assert lines.loc["accuracy"].iloc[0]["q95"] == 0.9
