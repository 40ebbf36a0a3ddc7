"""What a causal language model's attention looks like from outside.

`read_geometry` states a model's layers and heads and where its queries and keys come out before
rotary position embedding, or refuses. It reads modules and configuration only; whether the reading is
right is settled by qkcore.selfcheck, never assumed.
"""

from dataclasses import dataclass

from torch import nn

from qkcore import InputError

LAYER_KINDS = ("full_attention", "sliding_attention")


class UnsupportedModelError(InputError):
    """A model that cannot be loaded, or not be scored rightly; the message says what differs."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """The shape of a model's attention. Layers and heads count from 0."""

    model_type: str
    n_layers: int
    n_heads: int
    n_kv_heads: int
    has_rotary: bool
    max_positions: int | None  # None: the configuration names no limit
    window: int | None  # sliding window in positions, of the layers that have one
    layer_kinds: tuple[str, ...] | None  # per layer, where the model takes one mask per kind


@dataclass(frozen=True, slots=True)
class Projection:
    """The modules whose outputs are one layer's queries and keys before rotary (after QK-norm, if any)."""

    layer: int
    attention: nn.Module
    query: nn.Module
    key: nn.Module


def read_geometry(model: nn.Module) -> Geometry:
    """The geometry of a Hugging Face causal LM.

    Raises:
        UnsupportedModelError: when the configuration states no attention heads, or kinds of layer that have none.
    """
    config = model.config.get_text_config()
    n_heads = getattr(config, "num_attention_heads", None)
    n_layers = getattr(config, "num_hidden_layers", None)
    if not isinstance(n_heads, int) or not isinstance(n_layers, int):
        raise UnsupportedModelError(f"model type {config.model_type!r} states no single number of layers and heads")
    kinds = tuple(getattr(config, "layer_types", None) or ())
    for kind in sorted(set(kinds) - set(LAYER_KINDS)):
        raise UnsupportedModelError(
            f"model type {config.model_type!r} has layers of kind {kind!r}; supported are {' and '.join(LAYER_KINDS)}"
        )
    has_window = "sliding_attention" in kinds or (not kinds and getattr(config, "sliding_window", None) is not None)
    return Geometry(
        model_type=config.model_type,
        n_layers=n_layers,
        n_heads=n_heads,
        n_kv_heads=getattr(config, "num_key_value_heads", None) or n_heads,
        has_rotary=any(name.split(".")[-1] == "rotary_emb" for name, _ in model.named_modules()),
        max_positions=getattr(config, "max_position_embeddings", None),
        window=config.sliding_window if has_window else None,
        layer_kinds=kinds if "sliding_attention" in kinds else None,
    )


def rotary_projections(model: nn.Module, geometry: Geometry) -> list[Projection]:
    """Where queries and keys come out before rotary, one entry a layer in order.

    Raises:
        UnsupportedModelError: when a layer's attention has no separate query and key projections.
    """
    found = []
    for module in model.modules():
        if hasattr(module, "layer_idx") and hasattr(module, "q_proj") and hasattr(module, "k_proj"):
            query, key = (getattr(module, f"{part}_norm", getattr(module, f"{part}_proj")) for part in "qk")
            found.append(Projection(module.layer_idx, module, query, key))
    found.sort(key=lambda projection: projection.layer)
    if [projection.layer for projection in found] != list(range(geometry.n_layers)):
        raise UnsupportedModelError(
            f"model type {geometry.model_type!r}: {len(found)} of {geometry.n_layers} layers have the separate "
            "q_proj and k_proj from which scores before rotary are read"
        )
    return found
