"""QK-scores from queries and keys.

Pure tensor arithmetic: knows nothing of puzzles, tokenizers or models, so it can be checked by hand
in tests/scoring/test_arithmetic.py. The score is equation (1) of arXiv 2502.17017: a plain dot
product of the query at the candidate's token with the key at the statement's end; no softmax, no
1/sqrt(dim). Where options are listed the roles are turned round, as in arXiv 2410.02343. What
scores say of a puzzle is in qkcore.statistics.marks.
"""

import torch
from torch import Tensor


def qk_scores(queries: Tensor, keys: Tensor) -> Tensor:
    """Score every candidate with every head.

    Args:
        queries: (..., layer, head, candidate, dim), at each candidate's last token.
        keys: (..., layer, head, dim), at the statement's last token, one per query head; see
            `Geometry.keys_by_head`.

    Returns:
        (..., layer, head, candidate) unscaled dot products, float32. Comparable within a head only.

    >>> queries = torch.tensor([[[[2.0, 1.0], [0.0, 1.0]]]])  # one layer, one head, two candidates
    >>> qk_scores(queries, torch.tensor([[[1.0, 2.0]]])).tolist()
    [[[4.0, 2.0]]]
    """
    return torch.einsum("...lhcd,...lhd->...lhc", queries.float(), keys.float())


def option_scores(query: Tensor, keys: Tensor) -> Tensor:
    """Score every option with every head: roles turned round, the same product.

    Args:
        query: (..., layer, head, dim), at the cue's last token.
        keys: (..., layer, head, option, dim), at the end of each option's line, one per query head.

    Returns:
        (..., layer, head, option) unscaled dot products, float32. Comparable within a head only.

    >>> keys = torch.tensor([[[[2.0, 1.0], [0.0, 1.0]]]])  # one layer, one head, two options
    >>> option_scores(torch.tensor([[[1.0, 2.0]]]), keys).tolist()
    [[[4.0, 2.0]]]
    """
    return torch.einsum("...lhd,...lhcd->...lhc", query.float(), keys.float())
