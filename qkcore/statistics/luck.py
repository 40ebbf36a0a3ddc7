"""The luck line: what the best of many guessing heads gets.

Answers are shuffled, every head is marked anew and the best mark is kept, a thousand times (a
max-statistic permutation test). Knows nothing of models or stores.
"""

import numpy as np
import pandas as pd

N_PERMUTATIONS = 1_000


def exchangeable(puzzles: pd.DataFrame) -> np.ndarray:
    """Which puzzles may trade answers: those of one group with the same candidates.

    Where all of those share one answer there is nothing to trade; they trade with others of the
    same candidates then, and at last with others of as many candidates. Never otherwise: a puzzle
    of two candidates has no third answer.

    Args:
        puzzles: answer, group, and candidates (left out where all puzzles share them).

    Returns:
        (puzzle,) whole numbers; equal ones may trade.

    >>> exchangeable(pd.DataFrame({"group": [0, 0, 1, 2], "answer": [0, 1, 0, 1]})).tolist()
    [0, 0, 1, 1]
    """
    answer, group = puzzles["answer"].to_numpy(), pd.factorize(puzzles["group"])[0]
    has_own = "candidates" in puzzles
    candidates = puzzles["candidates"].map(tuple) if has_own else pd.Series([()] * len(puzzles))
    kind, number = pd.factorize(candidates)[0], candidates.map(len).to_numpy()
    block, left, n_blocks = np.zeros(len(puzzles), dtype=int), np.arange(len(puzzles)), 0
    for level in (kind * (group.max(initial=0) + 1) + group, kind, number):
        own = pd.factorize(level[left])[0]
        is_mixed = pd.Series(answer[left]).groupby(own).transform("nunique").to_numpy() > 1
        is_placed = is_mixed if level is not number else np.ones(len(left), dtype=bool)
        block[left[is_placed]] = pd.factorize(own[is_placed])[0] + n_blocks
        n_blocks, left = block.max(initial=0) + 1, left[~is_placed]
    return block


def shuffled_answers(
    answers: np.ndarray, blocks: np.ndarray, n: int, rng: np.random.Generator
) -> np.ndarray:
    """Answers shuffled n times within blocks.

    Args:
        answers: (puzzle,) index of the right candidate.
        blocks: (puzzle,) whole numbers; equal ones may trade answers.
        n: how many times.
        rng: decides how.

    Returns:
        (permutation, puzzle).
    """
    order = np.argsort(blocks, kind="stable")
    # Adding a random fraction to a block's number and sorting shuffles within blocks and keeps
    # blocks in place.
    keys = blocks[order] + rng.random((n, len(answers)))
    shuffled = np.empty((n, len(answers)), dtype=answers.dtype)
    shuffled[:, order] = answers[order][np.argsort(keys, axis=1)]
    return shuffled


def luck_line(
    choices: np.ndarray, puzzles: pd.DataFrame, n_permutations: int = N_PERMUTATIONS, seed: int = 0
) -> pd.DataFrame:
    """What the best of all heads gets by luck.

    Answers are shuffled and the maximum over heads is taken, many times. The shuffles stay within
    puzzles of the same difficulty, and of one group and the same candidates where that leaves
    something to shuffle (`exchangeable`), so heads keep their correlations and their constant
    answers (a max-statistic permutation test).

    Args:
        choices: (puzzle, head) candidate index, -1 for none. Puzzles of one split.
        puzzles: answer, group, steps, distractors, in the same order, and candidates unless all
            puzzles share them.
        n_permutations: how often answers are shuffled.
        seed: of the shuffles.

    Returns:
        steps, distractors (missing = all of them), n, q50, q95 (shares), n_permutations, and of
        every head the mean and the standard deviation of its number of right answers over the
        shuffles: null_mean, null_sd (lists).

    >>> import numpy as np
    >>> import pandas as pd
    >>> from qkcore import luck_line
    >>> puzzles = pd.DataFrame({"answer": [0, 1] * 50, "group": 0, "steps": 1, "distractors": 0})
    >>> choices = np.random.default_rng(0).integers(0, 2, size=(100, 32))  # 32 heads that guess
    >>> luck_line(choices, puzzles)[["n", "q50", "q95"]].iloc[0].tolist()
    [100.0, 0.6, 0.65]
    """
    rng = np.random.default_rng(seed)
    sums: dict[tuple[int | None, int | None], np.ndarray] = {}
    sizes: dict[tuple[int | None, int | None], int] = {}
    frame = puzzles.assign(row=np.arange(len(puzzles)))
    for _, cell in frame.groupby(["steps", "distractors"], dropna=False):
        rows = cell["row"].to_numpy()
        shuffled = shuffled_answers(
            cell["answer"].to_numpy(), exchangeable(cell), n_permutations, rng
        )
        n_right = _right_counts(shuffled, choices[rows])
        stated = cell[["steps", "distractors"]].iloc[0]
        steps, distractors = (None if pd.isna(value) else int(value) for value in stated)
        for own in {(s, d) for s in (steps, None) for d in (distractors, None)}:
            sums[own] = sums.get(own, 0) + n_right
            sizes[own] = sizes.get(own, 0) + len(rows)
    lines = []
    for (steps, distractors), n_right in sums.items():
        best = n_right.max(axis=1).astype(float) / sizes[steps, distractors]
        q50, q95 = np.quantile(best, [0.5, 0.95])
        null = [
            getattr(n_right, moment)(axis=0, dtype=float).tolist() for moment in ("mean", "std")
        ]
        lines.append(
            (steps, distractors, sizes[steps, distractors], q50, q95, n_permutations, *null)
        )
    columns = ["steps", "distractors", "n", "q50", "q95", "n_permutations", "null_mean", "null_sd"]
    return pd.DataFrame(lines, columns=columns).astype({"steps": "Int64", "distractors": "Int64"})


def _right_counts(answers: np.ndarray, choices: np.ndarray) -> np.ndarray:
    """(permutation, head) how often head and shuffled answer agree.

    As one matrix product a candidate.
    """
    counts = np.zeros((len(answers), choices.shape[1]), dtype=np.float32)
    for candidate in np.unique(answers):
        is_answer, is_choice = answers == candidate, choices == candidate
        counts += is_answer.astype(np.float32) @ is_choice.astype(np.float32)
    return counts
