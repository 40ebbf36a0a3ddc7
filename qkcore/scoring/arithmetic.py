"""QK-scores from queries and keys, and what they say about a puzzle.

Pure tensor arithmetic: knows nothing of puzzles, tokenizers or models, so it can be checked by hand
in tests/scoring/test_arithmetic.py. The score is equation (1) of arXiv 2502.17017: a plain dot
product of the query at the candidate's token with the key at the statement's end; no softmax, no
1/sqrt(dim).
"""

import torch
from torch import Tensor

TIE = -1  # the choice of a head whose two best candidates score the same


def qk_scores(queries: Tensor, keys: Tensor) -> Tensor:
    """Score every candidate with every head.

    Args:
        queries: (..., layer, head, candidate, dim), at each candidate's last token.
        keys: (..., layer, kv_head, dim), at the statement's last token. `head` must be a multiple
            of `kv_head`.

    Returns:
        (..., layer, head, candidate) unscaled dot products, float32. Comparable within a head only.
    """
    n_heads, n_kv_heads = queries.shape[-3], keys.shape[-2]
    # Query head h reads kv head h // (n_heads / n_kv_heads): repeat_interleave, for repeat still
    # returns a number.
    keys = keys.float().repeat_interleave(n_heads // n_kv_heads, dim=-2)
    return torch.einsum("...lhcd,...lhd->...lhc", queries.float(), keys)


def margins(scores: Tensor, answer: int) -> Tensor:
    """How far the right candidate is ahead of the best wrong one; > 0 is right, a tie (0) is wrong.

    Args:
        scores: (..., candidate).
        answer: index of the right candidate.

    Returns:
        (...) in units of the score.

    >>> margins(torch.tensor([[3.0, 1.0], [2.0, 2.0]]), answer=0).tolist()
    [2.0, 0.0]
    """
    wrong = [index for index in range(scores.shape[-1]) if index != answer]
    return scores[..., answer] - scores[..., wrong].amax(dim=-1)


def choices(scores: Tensor) -> Tensor:
    """The candidate of the largest score, or `TIE` where two share it.

    Args:
        scores: (..., candidate).

    Returns:
        (...) int64 candidate index.

    >>> choices(torch.tensor([[3.0, 1.0], [2.0, 2.0]])).tolist()
    [0, -1]
    """
    best = scores.topk(2, dim=-1)
    return torch.where(best.values[..., 0] > best.values[..., 1], best.indices[..., 0], TIE)
