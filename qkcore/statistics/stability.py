"""How sure the choice of a head is: chosen anew on other draws of validation puzzles.

Counts by head and group in, since puzzles of one context stay together in a draw; shares and a
frame out. Of equal heads the first is chosen, as `metrics.select_heads` does. Knows nothing of
models or stores.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from qkcore.statistics.blocks import blocks, of_each

N_RESAMPLES = 200
DRAWS_AT_ONCE = 200
EXACT = 2**24  # up to which float32 holds every whole number
SIZES = (10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000)


def chosen_shares(
    n_right: np.ndarray, n: np.ndarray, n_resamples: int = N_RESAMPLES, seed: int = 0
) -> np.ndarray:
    """How often each head would have been chosen on other puzzles of the same kind.

    A bootstrap over groups (Efron 1979; of clusters: Field and Welsh, Journal of the Royal
    Statistical Society B 69, 2007): as many groups are drawn with replacement, many times, and the
    best head of each draw is noted.

    Args:
        n_right: (..., group) right answers of each head on **validation** puzzles, or (..., group,
            answer) by right answer: then heads are chosen by balanced accuracy.
        n: (group,) or (group, answer) puzzles.
        n_resamples: how many draws.
        seed: of the draws.

    Returns:
        (...) shares that add up to 1.

    >>> right = np.array([[4, 4, 4, 1], [0, 4, 4, 4], [2, 2, 2, 2]])  # three heads, four groups
    >>> chosen_shares(right, np.full(4, 4)).round(2).tolist()
    [0.68, 0.32, 0.0]
    """
    n_groups = len(n)
    drawn = np.random.default_rng(seed).multinomial(
        n_groups, np.full(n_groups, 1 / n_groups), size=n_resamples
    )
    heads = n_right.shape[: n_right.ndim - n.ndim]
    best = _marks(drawn, n_right.reshape(-1, *n.shape), n).argmax(axis=1)
    n_heads = int(np.prod(heads))
    return (np.bincount(best, minlength=n_heads) / n_resamples).reshape(heads)


def accuracy_by_size(
    n_right: np.ndarray,
    n: np.ndarray,
    test_accuracy: np.ndarray,
    sizes: Sequence[int] = SIZES,
    n_draws: int = N_RESAMPLES,
    seed: int = 0,
) -> pd.DataFrame:
    """Test accuracy of the chosen head against how many validation puzzles chose it.

    Groups are drawn without replacement until they hold as many puzzles, many times.

    Args:
        n_right: (..., group) on **validation** puzzles, or (..., group, answer), as
            `chosen_shares` takes them.
        n: (group,) or (group, answer) puzzles.
        test_accuracy: (...) of each head on test puzzles, by whichever measure is shown.
        sizes: how many validation puzzles; those there are not are left out, and all are added.
        n_draws: of each size.
        seed: of the draws.

    Returns:
        n (puzzles asked for), median, low, high (the 5th and 95th percentile over draws) of the
        test accuracy, and same_head: the share of draws that choose the head that all puzzles do.

    >>> right = np.array([[1, 1, 1, 0] * 10, [0, 1, 0, 1] * 10])  # two heads, forty groups of one
    >>> found = accuracy_by_size(right, np.ones(40, dtype=int), np.array([0.8, 0.5]), sizes=[4])
    >>> found[["n", "median", "low", "high"]].to_numpy().tolist()
    [[4.0, 0.8, 0.5, 0.8], [40.0, 0.8, 0.8, 0.8]]
    """
    rng = np.random.default_rng(seed)
    in_group = n.reshape(len(n), -1).sum(axis=1)
    order = rng.permuted(np.tile(np.arange(len(n)), (n_draws, 1)), axis=1)
    before = np.cumsum(in_group[order], axis=1) - in_group[order]  # puzzles drawn before a group
    flat = n_right.reshape(-1, *n.shape)
    whole = int(_marks(np.ones((1, len(n)), dtype=np.int8), flat, n).argmax())
    accuracies, total, rows = test_accuracy.ravel(), int(in_group.sum()), []
    asked = [*(size for size in sizes if size < total), total]
    is_drawn = np.zeros((len(asked), *order.shape), dtype=np.int8)
    for own, size in zip(is_drawn, asked, strict=True):
        np.put_along_axis(own, order, (before < size).astype(np.int8), axis=1)
    chosen = _marks(is_drawn.reshape(-1, len(n)), flat, n).argmax(axis=1)
    for best, size in zip(chosen.reshape(len(asked), -1), asked, strict=True):
        low, median, high = np.quantile(accuracies[best], [0.05, 0.5, 0.95])
        rows.append((size, median, low, high, (best == whole).mean()))
    return pd.DataFrame(rows, columns=["n", "median", "low", "high", "same_head"])


def _marks(drawn: np.ndarray, n_right: np.ndarray, n: np.ndarray) -> np.ndarray:
    """(draw, head) what heads are chosen by: right answers, or balanced accuracies.

    Args:
        drawn: (draw, group) how often each group was drawn.
        n_right: (head, group) or (head, group, answer).
        n: (group,) or (group, answer).
    """
    pieces = [drawn[at : at + DRAWS_AT_ONCE] for at in range(0, len(drawn), DRAWS_AT_ONCE)]
    there = np.concatenate([piece.astype(float) @ n.astype(float) for piece in pieces])
    # Whole numbers that float32 holds as they are; there are never more right than there
    width = np.float32 if there.max(initial=0) < EXACT else np.float64

    def of_block(some: slice) -> np.ndarray:
        columns: np.ndarray = n_right[some].swapaxes(0, 1).astype(width).reshape(len(n), -1)
        right = np.concatenate([piece.astype(width) @ columns for piece in pieces]).astype(float)
        if n.ndim == 1:
            return right
        shares = right.reshape(len(drawn), -1, n.shape[1]) / np.maximum(there, 1)[:, None]
        # Rounded, since equal heads must stay equal for the first of them to be chosen
        return (shares.sum(axis=-1) / np.maximum((there > 0).sum(axis=-1), 1)[:, None]).round(12)

    return np.concatenate(of_each(of_block, blocks(len(n_right))), axis=1)
