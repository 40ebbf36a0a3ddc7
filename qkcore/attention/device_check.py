"""Does a device compute what the CPU does? Asked of devices that have been wrong without an error.

Apple's mps has had kernels that give wrong numbers for some shapes and strides. The self-check runs
on the device itself and may be wrong alike, so the logits of a short text are compared with those
of the CPU. Knows nothing of heads.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from qkcore.attention.english_check import TEXT
from qkcore.attention.geometry import UnsupportedModelError, input_embeddings

COMPARED = ("mps",)  # the types of device that are compared
N_TOKENS = 64  # of the text
# Relative to the largest logit: other orders of summing, through all layers
TOLERANCE = {torch.float32: 1e-3}
HALF_TOLERANCE = 5e-2

LogitsOn = Callable[[PreTrainedModel, Tensor, torch.device], Tensor]


def logits_on(model: PreTrainedModel, tokens: Tensor, device: torch.device) -> Tensor:
    """(token, vocabulary) float32 on the CPU, computed on a device; the model stays there.

    Args:
        model: a causal LM in eval mode.
        tokens: (token) int64.
        device: to compute on.
    """
    moved = model.to(device)  # type: ignore[arg-type]  # transformers states no device here
    with torch.inference_mode():
        return moved(input_ids=tokens[None].to(device), use_cache=False).logits[0].float().cpu()


def check_device(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, logits_on: LogitsOn = logits_on
) -> float | None:
    """By how much a model's device and the CPU differ, relative; None where nobody need ask.

    Args:
        model: a causal LM in eval mode, on its device; it is moved to the CPU and back.
        tokenizer: its own.
        logits_on: computes on a device, as `logits_on` does.

    Raises:
        UnsupportedModelError: when they differ by more than rounding.
    """
    device = input_embeddings(model).device
    if device.type not in COMPARED:
        return None
    reach = getattr(model.config, "max_position_embeddings", None) or N_TOKENS
    tokens = torch.tensor(tokenizer(TEXT)["input_ids"][: min(N_TOKENS, reach)])
    there = logits_on(model, tokens, device)
    here = logits_on(model, tokens, torch.device("cpu"))
    model.to(device)  # type: ignore[arg-type]
    difference = float((there - here).abs().max() / here.abs().max().clamp_min(1e-12))
    tolerance = TOLERANCE.get(model.dtype, HALF_TOLERANCE)
    if not difference <= tolerance:  # also refuses NaN
        raise UnsupportedModelError(
            f"model type {model.config.model_type!r} gives other answers on {device.type} than on "
            f"the CPU: its logits differ by {difference:.1e} (at most {tolerance:.0e} is "
            "rounding); use --device cpu, or another version of torch"
        )
    return difference
