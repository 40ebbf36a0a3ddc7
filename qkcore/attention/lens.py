"""The lens: what a model would have answered, had it stopped after a layer.

The model's own code runs once more with its layers skipped, on states that a pass has told. So
final norm, output matrix, bias, soft cap, scaling and whatever else stands between the last layer
and the logits are the model's, and no list of architectures is needed. Only the answers' rows of
the output matrix are multiplied. `find_lens` compares what comes out after the last layer with the
model's own logits, when a lens is first asked for, and refuses where they differ.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from qkcore.attention.capture import capture
from qkcore.attention.geometry import Geometry, UnsupportedModelError, input_embeddings
from qkcore.attention.hidden_states import answers_only, layers_of, skipped_layers
from qkcore.attention.recording import filling
from qkcore.attention.row_check import N_TOKENS, UNFIT, plain_rows, relative_difference

if TYPE_CHECKING:
    from transformers import PreTrainedModel

N_COMPARED = 7  # tokens whose logits are asked for by themselves in the check


@dataclass(frozen=True, slots=True)
class Lens:
    """A model's lens that has been checked. Made by `find_lens` only."""

    model: "PreTrainedModel" = field(repr=False)
    layers: tuple[nn.Module, ...] = field(repr=False)  # all, in order
    n_returned: int | None  # things that a layer returns; None: its state by itself
    tolerance: float  # relative to the largest logit
    difference: float = 0.0  # found in the check, likewise: after the last layer, to its own logits

    def logits(self, states: Tensor, tokens: Tensor | None = None) -> Tensor:
        """What the model makes of states as if they came from its last layer.

        Args:
            states: (row, statement, ..., dim), as `HiddenStates` has them of a layer.
            tokens: (token,) ids whose logits are wanted; None: the whole vocabulary.

        Returns:
            (row, statement, token) in the model's type, on its device.
        """
        device = input_embeddings(self.model).device
        # Which tokens these would be does not matter: what is made of them is skipped.
        ids = torch.zeros(states.shape[:2], dtype=torch.long, device=device)
        with (
            filling(None),
            torch.inference_mode(),
            skipped_layers(self.layers, states, self.n_returned),
            answers_only(self.model.get_output_embeddings(), tokens) as are_alone,
        ):
            logits: Tensor = self.model(
                input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False
            ).logits
        if tokens is None or are_alone:
            return logits
        return logits[..., tokens.to(logits.device)]


def find_lens(model: "PreTrainedModel", geometry: Geometry, tolerance: float) -> Lens:
    """The lens of a model that has passed the self-check.

    Args:
        model: that `attach` has prepared.
        geometry: as the self-check has it.
        tolerance: of the self-check.

    Raises:
        UnsupportedModelError: saying why it has none; it can be scored all the same.
    """
    what = f"model type {geometry.model_type!r} has no lens"
    try:
        lens = _checked(model, geometry, tolerance)
    except UnsupportedModelError as error:
        raise UnsupportedModelError(f"{what}: {error}") from None
    except UNFIT as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UnsupportedModelError(
            f"{what}: it does not answer from the states after its last layer alone ({reason})"
        ) from error
    if not lens.difference <= tolerance:  # also refuses NaN
        raise UnsupportedModelError(
            f"{what}: what it makes of the states after its last layer differs from its own "
            f"logits by {lens.difference:.1e} (at most {tolerance:.0e} is rounding)"
        )
    return lens


def _checked(model: "PreTrainedModel", geometry: Geometry, tolerance: float) -> Lens:
    """A lens, and by how much it differs from the model's logits after a short text."""
    layers = layers_of(model, geometry.n_layers)
    chance = torch.Generator().manual_seed(0)
    ids = torch.randint(len(input_embeddings(model)), (N_TOKENS,), generator=chance)
    found = capture(model, geometry, plain_rows(tuple(ids.tolist())), ("post",), layers=layers)
    states, own = found.states, found.logits.float()
    if states is None:
        raise UnsupportedModelError("its layers do not tell their states")
    last, tokens = states.cue[:, -1], ids[:N_COMPARED].unique()
    lens = Lens(model, layers, found.n_returned, tolerance)
    whole, some = (lens.logits(last, wanted).float() for wanted in (None, tokens))
    scale = float(own.abs().max())
    of_some = float((some - own[..., tokens.to(own.device)]).abs().max()) / max(scale, 1e-12)
    difference = max(relative_difference(whole, own), of_some)
    return Lens(model, layers, found.n_returned, tolerance, difference)
