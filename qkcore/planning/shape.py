"""How large a model is, from its config.json or its size alone: weights are neither read nor made.

A configuration gives exact counts: transformers builds the model without memory for its weights. A
size alone gives the usual shape of a model of about that size, which is said to be assumed. Knows
nothing of machines or puzzles.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qkcore import InputError

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedConfig

UNITS = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12, "": 1.0}
SMALLEST = 50e6  # parameters of which a usual shape is assumed


@dataclass(frozen=True, slots=True)
class Shape:
    """A model's size, in numbers of weights and of what attends."""

    name: str
    n_params: float  # all weights, each once
    n_inside: float  # of the layers: without embeddings and output matrix
    n_active: float  # of these, what one token is multiplied by: the experts that it uses
    n_output: float  # weights of the output matrix (vocabulary times hidden)
    n_layers: int
    n_head_layers: int  # layers with softmax heads
    n_heads: int
    n_kv_heads: int
    head_size: int
    hidden: int
    inner: int  # width of a token's feed-forward part, of the experts that it uses together
    is_assumed: bool = False  # from the size alone

    @property
    def n_scored(self) -> int:
        """How many heads are scored."""
        return self.n_head_layers * self.n_heads


def _usual(name: str, params: float, dims: tuple[int, ...], is_tied: bool) -> Shape:
    """A shape from a published configuration: layers, heads, kv heads, their size, ... ."""
    layers, heads, kv_heads, head_size, hidden, inner, vocabulary = dims
    output = float(vocabulary * hidden)
    inside = params - output * (1 if is_tied else 2)
    return Shape(
        name, params, inside, inside, output,
        layers, layers, heads, kv_heads, head_size, hidden, inner,
    )  # fmt: skip


USUAL = (
    _usual("SmolLM2-135M", 0.1345e9, (30, 9, 3, 64, 576, 1536, 49_152), True),
    _usual("Qwen2.5-0.5B", 0.494e9, (24, 14, 2, 64, 896, 4864, 151_936), True),
    _usual("Qwen2.5-1.5B", 1.544e9, (28, 12, 2, 128, 1536, 8960, 151_936), True),
    _usual("Qwen2.5-3B", 3.086e9, (36, 16, 2, 128, 2048, 11_008, 151_936), True),
    _usual("Llama-3.1-8B", 8.030e9, (32, 32, 8, 128, 4096, 14_336, 128_256), False),
    _usual("Qwen2.5-14B", 14.770e9, (48, 40, 8, 128, 5120, 13_824, 152_064), False),
    _usual("Qwen2.5-32B", 32.764e9, (64, 40, 8, 128, 5120, 27_648, 152_064), False),
    _usual("Llama-3.1-70B", 70.554e9, (80, 64, 8, 128, 8192, 28_672, 128_256), False),
)


def shape_of_size(text: str) -> Shape:
    """The usual shape of a model of so many parameters: that of the published model nearest to it.

    Raises:
        InputError: when the text is no size, or one of a toy.

    >>> shape_of_size("70B").n_scored, shape_of_size("1.5B").name
    (5120, '1.5B (shape of Qwen2.5-1.5B)')
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?(?:e\d+)?)\s*([KMBT]?)\s*", text, re.IGNORECASE)
    if found is None:
        raise InputError(f"--params {text!r} is no size; write it like 135M, 1.5B or 70B")
    params = float(found[1]) * UNITS[found[2].upper()]
    if params < SMALLEST:
        raise InputError(
            f"--params {text}: no usual shape is known below {SMALLEST / 1e6:.0f}M parameters; "
            "name the model's folder or config.json with --model"
        )
    near = min(USUAL, key=lambda one: max(params / one.n_params, one.n_params / params))
    scale = params / near.n_params
    return replace(
        near,
        name=f"{text.strip()} (shape of {near.name})",
        n_params=params,
        n_inside=near.n_inside * scale,
        n_active=near.n_active * scale,
        is_assumed=True,
    )


def shape_of_model(model: str | Path) -> Shape:
    """The shape that a folder's config.json, or one itself, or a Hugging Face id states.

    Raises:
        InputError: when there is none, or it is of no model with softmax heads that is known here.
    """
    config = _config(model)
    import torch
    from transformers import AutoModelForCausalLM

    from qkcore.attention.geometry import read_geometry
    from qkcore.attention.text_part import text_class

    try:
        known = text_class(config)
        with torch.device("meta"):  # no memory for weights
            built: Any = (
                AutoModelForCausalLM.from_config(config, trust_remote_code=False)
                if known is None
                else known(config)
            )
    except Exception as error:
        why = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"{model}: no model can be made of its configuration ({why}); give its size with "
            "--params instead"
        ) from None
    geometry = read_geometry(built)
    text = config.get_text_config()
    hidden = int(built.get_input_embeddings().weight.shape[1])
    n_params, n_inside, n_active, n_output = _weights(built, text)
    return Shape(
        name=Path(str(model).removesuffix("/config.json")).name or str(model),
        n_params=n_params,
        n_inside=n_inside,
        n_active=n_active,
        n_output=n_output,
        n_layers=geometry.n_layers,
        n_head_layers=len(geometry.head_layers),
        n_heads=geometry.n_heads,
        n_kv_heads=geometry.n_kv_heads,
        head_size=_whole(text, "head_dim") or hidden // geometry.n_heads,
        hidden=hidden,
        inner=_inner(text, hidden),
    )


def _config(model: str | Path) -> "PreTrainedConfig":
    """The configuration at a path or an id."""
    from transformers import AutoConfig

    if str(model).endswith(".gguf"):
        raise InputError(
            f"{model}: plan reads config.json, which a GGUF file has not; give the model's size "
            "with --params, or the folder of the model that the file was made of"
        )
    path = Path(model)
    if path.name == "config.json":
        path = path.parent
    if not (path / "config.json").is_file() and (path.is_dir() or path.is_absolute()):
        raise InputError(f"{model} holds no config.json; name a folder that does, or use --params")
    name = str(path) if path.is_dir() else str(model)
    try:
        return AutoConfig.from_pretrained(name, trust_remote_code=False)
    except Exception as error:  # of transformers, the hub's client, or its HTTP library
        why = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"the configuration of {model} cannot be read ({why}); name a folder with its "
            "config.json, or give its size with --params"
        ) from None


def _weights(built: "nn.Module", text: "PreTrainedConfig") -> tuple[float, float, float, float]:
    """Numbers of weights: all, of the layers, of these used by a token, of the output matrix."""
    used = _experts_used(text)
    embedding = built.get_input_embeddings().weight  # type: ignore[operator]
    head = built.get_output_embeddings()  # type: ignore[operator]
    outside = {id(embedding)} | ({id(head.weight)} if head is not None else set())
    everything = inside = active = 0.0
    for name, weight in built.named_parameters():
        everything += weight.numel()
        if id(weight) not in outside:
            inside += weight.numel()
            active += weight.numel() * (used if ".experts." in name else 1.0)
    output = embedding.numel() if head is None else head.weight.numel()
    return everything, inside, active, float(output)


def _experts_used(text: "PreTrainedConfig") -> float:
    """The share of a layer's experts that one token goes through; 1 where there are none."""
    names = ("num_local_experts", "num_experts", "n_routed_experts")
    n_experts = next(filter(None, (_whole(text, name) for name in names)), None)
    chosen = _whole(text, "num_experts_per_tok") or _whole(text, "top_k_experts")
    return min(1.0, chosen / n_experts) if n_experts and chosen else 1.0


def _inner(text: "PreTrainedConfig", hidden: int) -> int:
    if n_chosen := _whole(text, "num_experts_per_tok"):
        one = _whole(text, "moe_intermediate_size") or _whole(text, "intermediate_size")
        return n_chosen * (one or 4 * hidden)
    return _whole(text, "intermediate_size") or 4 * hidden


def _whole(text: "PreTrainedConfig", name: str) -> int | None:
    """A setting that is one whole number, or None."""
    try:
        stated = getattr(text, name, None)
    except RuntimeError:  # layers differ in it
        return None
    return stated if isinstance(stated, int) and not isinstance(stated, bool) else None
