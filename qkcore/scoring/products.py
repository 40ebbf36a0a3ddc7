"""From what a pass told to the QK-scores of each of its prompts, whoever has the query.

Knows how rows are laid out (see qkcore.attention.rows); computes nothing but by
qkcore.scoring.arithmetic.
"""

from torch import Tensor

from qkcore.asking.prompts import Prompt
from qkcore.attention.capture import Captured
from qkcore.attention.geometry import Geometry
from qkcore.scoring.arithmetic import option_scores, qk_scores


def scores_of(
    geometry: Geometry, captured: Captured, rope: str, prompt: Prompt, place: tuple[int, int]
) -> Tensor:
    """(layer, head, candidate) scores of one prompt.

    Args:
        geometry: the model's, which says how its rows are laid out.
        captured: of a pass over rows of prompts with as many candidates, of the same roles.
        rope: which states are read.
        prompt: one of them.
        place: its row (the first, where each candidate has one), and which of the row's statements
            it is.
    """
    queries, keys = captured.queries[rope], captured.keys[rope]
    n_candidates, is_shared = len(prompt.candidates), geometry.is_side_by_side
    if prompt.option_ends:
        every = geometry.keys_by_head(_by_candidate(keys, n_candidates, place, is_shared), axis=-3)
        return option_scores(_by_statement(queries, place), every)
    own = geometry.keys_by_head(_by_statement(keys, place), axis=-2)
    return qk_scores(_by_candidate(queries, n_candidates, place, is_shared), own)


def _by_statement(states: Tensor, place: tuple[int, int]) -> Tensor:
    """(layer, head, dim) of one statement, from (row, layer, head, statement, dim)."""
    row, statement = place
    return states[row, :, :, statement]


def _by_candidate(
    states: Tensor, n_candidates: int, place: tuple[int, int], is_shared: bool
) -> Tensor:
    """(layer, head, candidate, dim) of one statement.

    From (row, layer, head, statement * candidate, dim), or from a row a candidate.
    """
    row, statement = place
    if is_shared:
        return states.unflatten(-2, (-1, n_candidates))[row, :, :, statement]
    return states[row : row + n_candidates, :, :, 0].movedim(0, -2)
