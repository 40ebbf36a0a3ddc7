"""Does what is read stay the same in the rows that scoring uses? Part of the self-check.

Queries, keys and logits of padded batches are compared with ordinary calls, one for each prompt and
candidate: with candidates side by side, with a row for each, and with rows that go on from copied
states. Which of them hold is kept in the geometry.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from qkcore.asking.prompts import Prompt
from qkcore.attention.capture import Captured, capture
from qkcore.attention.continued import capture_apart
from qkcore.attention.geometry import Geometry, UnsupportedModelError
from qkcore.attention.rows import Rows, rows_of
from qkcore.puzzles.puzzle import Puzzle

if TYPE_CHECKING:
    from transformers import PreTrainedModel

N_TOKENS = 24
# Tokens that are read one by one where a pass goes on from another: the last few, for which models
# have quicker forms; none, where these give other numbers; or all, where there is no other form.
WAYS_TO_GO_ON = (2, 0, 2**20)
# What models raise that are asked for what they cannot do.
UNFIT = (RuntimeError, ValueError, TypeError, LookupError, AttributeError)
SHORT_WINDOW = 7  # positions
# Of the prompts here only the tokens count.
PUZZLE = Puzzle("self-check", "a", "b", ("c", "d"), None, None, None, "self-check", "test")

Own = dict[tuple[int, ...], Captured]  # what ordinary calls gave, by their tokens


def refuse_over(difference: float, tolerance: float, geometry: Geometry, what: str) -> None:
    """Refuse a difference that is no rounding.

    Raises:
        UnsupportedModelError: saying what differs and by how much.
    """
    if not difference <= tolerance:  # also refuses NaN
        raise UnsupportedModelError(
            f"model type {geometry.model_type!r} is not read rightly: {what}, by {difference:.1e} "
            f"(at most {tolerance:.0e} is rounding)"
        )


def relative_difference(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference, relative to the largest of theirs."""
    scale = theirs.abs().max().clamp_min(1e-12)
    return float((ours - theirs).abs().max() / scale)


def largest(differences: list[float]) -> float:
    """The largest of several; not a number if one of them is none."""
    return float(torch.tensor(differences).max())  # NaN if one is; Python's max may lose it


def plain_rows(tokens: tuple[int, ...]) -> Rows:
    """One row with every position read, no candidates, and the model's own mask."""
    every = torch.arange(len(tokens))[None]
    return Rows(
        tokens=torch.tensor([tokens]),
        positions=every,
        is_token=torch.ones_like(every, dtype=torch.bool),
        visible=None,
        key_at=every,
        query_at=every,
        logits_at=every[:, -1:],
    )


def without_raw(geometry: Geometry) -> Geometry:
    """The geometry of a model whose raw states are not read."""
    others = tuple(rope for rope in geometry.ropes if rope != "raw")
    return replace(geometry, ropes=others, projections=())


def check_rows(
    model: "PreTrainedModel", geometry: Geometry, ids: list[int], tolerance: float
) -> tuple[Geometry, float]:
    """Find out whether candidates may share a row.

    If not, whether separate rows in a padded batch are right. Raw states that are not the same in a
    batch are not offered.
    """
    prompts = _prompts(ids)
    own: Own = {}
    alone = [[prompt] for prompt in prompts]
    if geometry.is_side_by_side:
        try:
            differences = _rows_differences(model, geometry, alone, own)
        except UNFIT:
            differences = {"post": float("inf")}  # the model takes no 4-D mask
        if differences["post"] <= tolerance:
            return _fit_for_raw(geometry, differences, tolerance), differences["post"]
        geometry = replace(geometry, is_side_by_side=False)
    differences = _rows_differences(model, geometry, alone, own)
    what = "scores change with the batch that a puzzle is in"
    refuse_over(differences["post"], tolerance, geometry, what)
    geometry = _fit_for_raw(geometry, differences, tolerance)
    return _check_continued(model, geometry, prompts, own, tolerance, differences["post"])


def _fit_for_raw(geometry: Geometry, differences: dict[str, float], tolerance: float) -> Geometry:
    """The geometry, without raw states if they are not the same in a batch."""
    is_fit = "raw" not in geometry.ropes or differences["raw"] <= tolerance
    return geometry if is_fit else without_raw(geometry)


def _check_continued(
    model: "PreTrainedModel",
    geometry: Geometry,
    prompts: list[Prompt],
    own: Own,
    tolerance: float,
    apart: float,
) -> tuple[Geometry, float]:
    """Find out whether what rows begin alike may be read once. If not, rows stay as they are.

    Asked with one prompt, with two that go on from one row, and with two rows cut at one place.
    """
    found: dict[int, float] = {}
    for n_steps in WAYS_TO_GO_ON:
        if n_steps == WAYS_TO_GO_ON[-1] and min(found.values()) <= tolerance:
            break  # the dearest is asked for only where it is needed
        found[n_steps] = _continued_difference(model, geometry, prompts, own, n_steps)
    best = min(found.values())
    if not best <= tolerance:
        return geometry, apart
    # Some have a form for one token that is a little off the one for many.
    fair = max(2 * best, tolerance / 10)
    n_steps = next(way for way, difference in found.items() if difference <= fair)
    return replace(geometry, is_continued=True, n_steps=n_steps), max(apart, found[n_steps])


def _continued_difference(
    model: "PreTrainedModel", geometry: Geometry, prompts: list[Prompt], own: Own, n_steps: int
) -> float:
    """The largest difference of one way to go on; infinite where the model cannot."""
    long, short = prompts
    geometry = replace(geometry, is_continued=True, n_steps=n_steps)
    try:
        found = [
            difference
            for groups in ([[long]], [[long, short]], [[long], [short]])
            for difference in _rows_differences(model, geometry, groups, own).values()
        ]
    except (UnsupportedModelError, *UNFIT):
        return float("inf")
    return largest(found)


def _prompts(ids: list[int]) -> list[Prompt]:
    return [
        Prompt(PUZZLE, "", tuple(ids[:n]), candidates, key_at=n - n_after)
        for n, candidates, n_after in (
            (N_TOKENS, ((ids[-3],), (ids[-2], ids[-1])), 3),
            (N_TOKENS // 2, ((ids[-2],), (ids[-1], ids[-3])), 2),
        )
    ]


def check_window(
    model: "PreTrainedModel", geometry: Geometry, ids: list[int], tolerance: float
) -> Geometry:
    """Does the model's own mask have the window, or the chunks, that its configuration states?

    Asked with such that the text exceeds. Where it does not (Moshi states one and looks further
    back), prompts are kept as short as the window: up to there it makes no difference.
    """
    config, alone = model.config.get_text_config(), [[prompt] for prompt in _prompts(ids)]
    for setting, stated, changed in (
        ("sliding_window", geometry.window, replace(geometry, window=SHORT_WINDOW)),
        ("attention_chunk_size", geometry.chunk, replace(geometry, chunk=SHORT_WINDOW)),
    ):
        if stated is None:
            continue
        try:
            setattr(config, setting, SHORT_WINDOW)
            difference = _rows_differences(model, changed, alone, {})["post"]
        finally:
            setattr(config, setting, stated)
        if not difference <= tolerance:
            reach = min(stated, geometry.max_positions or stated)
            geometry = replace(geometry, max_positions=reach)
    return geometry


def _rows_differences(
    model: "PreTrainedModel", geometry: Geometry, groups: list[list[Prompt]], own: Own
) -> dict[str, float]:
    """Queries, keys and logits of a padded batch, against ordinary calls; by reading.

    One such call for each prompt and candidate; those made before are taken from `own`.
    """

    def called(tokens: tuple[int, ...]) -> Captured:
        if tokens not in own:
            own[tokens] = capture(model, geometry, plain_rows(tokens), ropes)
        return own[tokens]

    prompts = [prompt for group in groups for prompt in group]
    ropes = tuple(rope for rope in ("raw", "post") if rope in geometry.ropes)
    if geometry.is_side_by_side:
        n_rows, batch = 1, capture(model, geometry, rows_of(groups), ropes)
    else:
        n_rows = len(prompts[0].candidates)
        batch = capture_apart(model, geometry, groups, ropes)
    differences: dict[str, list[float]] = {rope: [] for rope in ropes}
    for number, prompt in enumerate(prompts):
        for index, ids in enumerate(prompt.candidates):
            alone = called(prompt.tokens + ids)
            row, place = (number, index) if n_rows == 1 else (number * n_rows + index, 0)
            for rope in ropes:
                query, own_query = batch.queries[rope][row, :, :, place], alone.queries[rope][0]
                key, own_key = batch.keys[rope][row, :, :, 0], alone.keys[rope][0]
                differences[rope].append(relative_difference(query, own_query[:, :, -1]))
                differences[rope].append(relative_difference(key, own_key[:, :, prompt.key_at]))
        alone = called(prompt.tokens)
        logits, own_logits = batch.logits[number * n_rows, 0], alone.logits[0, 0]
        differences["post"].append(relative_difference(logits.float(), own_logits.float()))
    return {rope: largest(found) for rope, found in differences.items()}
