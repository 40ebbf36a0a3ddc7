"""What a causal language model's attention looks like from outside.

`read_geometry` states a model's layers, heads and windows from its configuration, or refuses.
Whether that and what `capture` reads is right is settled by qkcore.attention.selfcheck, never
assumed.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from torch import Tensor

from qkcore import InputError
from qkcore.attention.projections import Projected

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

# Kinds of layer by whether softmax heads are in them, in the words of transformers.
WITH_HEADS = frozenset(
    "full_attention sliding_attention chunked_attention indexed_attention hybrid".split()
)
WITHOUT_HEADS = frozenset({"linear_attention", "conv", "moe", "mlp"})
# Those in which a mask decides whom a token sees.
MASKED = WITH_HEADS - {"hybrid"} | {"moe", "mlp"}


class UnsupportedModelError(InputError):
    """A model that cannot be loaded, or not be scored rightly; the message says what differs.

    >>> from qkcore import UnsupportedModelError, bundled_model, load_model
    >>> try:
    ...     load_model(bundled_model().parent)
    ... except UnsupportedModelError as error:
    ...     print(str(error).partition(" holds ")[2])
    no config.json; name a folder saved by save_pretrained
    """


@dataclass(frozen=True, slots=True)
class Geometry:
    """The shape of a model's attention, and how it may be asked. Layers and heads count from 0."""

    model_type: str
    n_layers: int
    n_heads: int
    n_kv_heads: int
    max_positions: int | None  # None: the configuration names no limit
    window: int | None  # sliding window in positions, of the layers that have one
    chunk: int | None  # positions that see each other, in layers that attend in chunks
    layer_kinds: tuple[str, ...] | None  # per layer, where the model takes one mask per kind
    is_side_by_side: bool = True  # may candidates share a row, or does each need one of its own?
    is_continued: bool = False  # if not: may a pass go on from copies of another's states?
    n_steps: int = 0  # and then, in stretches of so many tokens or fewer, goes on one by one
    # The kinds of score that can be read, in the order of ROPES; "raw" once it has been found
    ropes: tuple[str, ...] = ("pre", "post")
    head_size: int = 0  # dims of a head's query and key; 0 until the self-check has read them
    head_layers: tuple[int, ...] = ()  # layers with softmax heads, in order; () for all of them
    # What the raw reading reads, by layer; empty where there is none
    projections: tuple[Projected, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        """Name the layers with heads where all have."""
        if not self.head_layers:
            object.__setattr__(self, "head_layers", tuple(range(self.n_layers)))

    @property
    def has_absent_layers(self) -> bool:
        """Whether some layers have no softmax heads."""
        return len(self.head_layers) < self.n_layers

    def refuse_unread(self, name: str, rope: str) -> None:
        """Refuse a reading that the model has not.

        Raises:
            UnsupportedModelError: beginning with the name, saying why and what there is.
        """
        if rope in self.ropes:
            return
        why = {
            "raw": "its queries and keys cannot be followed back to the projections that they came "
            "from, so there is no raw score",
            "pre": "its queries and keys are changed again after rotary embedding, so there is no "
            "score before it",
        }.get(rope, f"there is no reading {rope!r}")
        others = " or ".join(f"'{one}'" for one in self.ropes)
        raise UnsupportedModelError(f"{name}: {why}; use rope {others}")

    def kv_head(self, head: int) -> int:
        """The kv head whose keys a query head reads."""
        return head // (self.n_heads // self.n_kv_heads)

    def keys_by_head(self, keys: Tensor, axis: int) -> Tensor:
        """Keys once per query head, where they come once per kv head.

        Args:
            keys: (..., kv head, ...).
            axis: where the kv heads are.

        Returns:
            (..., head, ...): head h has the keys of `kv_head(h)`.
        """
        # repeat_interleave, not repeat, which would still return a number.
        # By their own number: some layers have fewer than `n_kv_heads`.
        return keys.repeat_interleave(self.n_heads // keys.shape[axis], dim=axis)


def input_embeddings(model: "PreTrainedModel") -> Tensor:
    """(vocabulary, dim) what a model makes of each token; they lie where its inputs must.

    Raises:
        UnsupportedModelError: when it has none.
    """
    weight = getattr(model.get_input_embeddings(), "weight", None)
    if not isinstance(weight, Tensor):
        raise UnsupportedModelError(
            f"model type {model.config.model_type!r} has no input embeddings of its own"
        )
    return weight


def read_geometry(model: "PreTrainedModel") -> Geometry:
    """The geometry of a Hugging Face causal LM, as its configuration has it.

    Raises:
        UnsupportedModelError: when the configuration states no attention heads, or kinds of layer
            that are not known.
    """
    config = model.config.get_text_config()
    n_heads = _stated(config, "num_attention_heads")
    n_layers = _stated(config, "num_hidden_layers")
    kinds = tuple(getattr(config, "layer_types", None) or ())
    for kind in sorted(set(kinds) - WITH_HEADS - WITHOUT_HEADS):
        raise UnsupportedModelError(
            f"model type {config.model_type!r} has layers of kind {kind!r}; supported are "
            f"{', '.join(sorted(WITH_HEADS | WITHOUT_HEADS))}"
        )
    head_layers = tuple(layer for layer, kind in enumerate(kinds) if kind in WITH_HEADS)
    if kinds and not head_layers:
        raise UnsupportedModelError(
            f"model type {config.model_type!r} has no softmax attention, so no heads: its layers "
            f"are {' and '.join(sorted(set(kinds)))}"
        )
    if not isinstance(n_heads, int) or not isinstance(n_layers, int):
        raise UnsupportedModelError(
            f"model type {config.model_type!r} states no single number of layers and heads"
        )
    has_window = "sliding_attention" in kinds or (
        not kinds and _stated(config, "sliding_window") is not None
    )
    is_chunked = "chunked_attention" in kinds
    return Geometry(
        model_type=config.model_type,
        n_layers=n_layers,
        n_heads=n_heads,
        n_kv_heads=_stated(config, "num_key_value_heads") or n_heads,
        max_positions=getattr(config, "max_position_embeddings", None)
        or getattr(config, "max_seq_len", None),
        window=_stated(config, "sliding_window") if has_window else None,
        chunk=getattr(config, "attention_chunk_size", None) if is_chunked else None,
        layer_kinds=kinds if is_chunked or "sliding_attention" in kinds else None,
        # What carries a state from token to token knows no mask: a neighbour would be seen.
        is_side_by_side=set(kinds) <= MASKED,
        head_layers=head_layers,
    )


def _stated(config: "PreTrainedConfig", name: str) -> int | None:
    """A setting, None if there is none; where layers differ in it, the largest."""
    try:
        stated: int | None = getattr(config, name, None)
    except RuntimeError:  # transformers refuses to say one value for all layers
        return max(getattr(layer, name) or 0 for layer in config.per_layer_config)
    return stated
