"""Architectures that never call a registered attention function, and where each is read instead.

A reader is called once with every module of the model and hooks those it knows. The products'
scaling and ALiBi's bias are noted too, so that the self-check can rebuild attention, and heads'
outputs come by where they can be changed (see qkcore.attention.switching).
"""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from torch import Tensor, nn

from qkcore.attention.recording import Recording, active
from qkcore.attention.switching import switch_before, switching

if TYPE_CHECKING:
    from transformers.models.bloom.modeling_bloom import BloomAttention
    from transformers.models.falcon.modeling_falcon import FalconAttention
    from transformers.models.mpt.modeling_mpt import MptAttention

Note = Callable[[Recording, tuple[Any, ...], Any], None]  # of a call's arguments and its result


def _layer_of(module: nn.Module, name: str = "layer_idx") -> int:
    """Which layer an attention module is in, as its attribute of this name has it."""
    layer: int = getattr(module, name)
    return layer


def _on_call(module: nn.Module, method: str, note: Note) -> None:
    """Have `note(recording, arguments, result)` called after each call of the module's method."""
    original = getattr(module, method)

    @functools.wraps(original)
    def reading(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 -- whatever `original` returns
        result = original(*args, **kwargs)
        if (under_way := active()) is not None:
            note(under_way, args, result)
        return result

    setattr(module, method, reading)


def _note_bias(module: nn.Module, name: str, n_heads: int, layer: int, factor: float) -> None:
    """Note an additive bias from the module's arguments.

    Its shape is (row * head, 1, token) or (head, 1, token).
    """

    def before(_module: nn.Module, _args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        bias = kwargs.get(name)
        if (under_way := active()) is not None and bias is not None:
            by_row = bias.float().reshape(-1, n_heads, 1, bias.shape[-1])
            under_way.biases[layer] = factor * by_row[0].cpu()

    module.register_forward_pre_hook(before, with_kwargs=True)


def _read_attn_method(
    module: nn.Module, layer_name: str, scaling_of: Callable[[Any], float]
) -> None:
    """GPT-Neo, GPT-J and CodeGen hand final queries and keys to a method named _attn."""
    if hasattr(module, "_attn"):
        layer = _layer_of(module, layer_name)
        _on_call(
            module,
            "_attn",
            lambda under_way, args, _: under_way.note_layer(
                layer, args[0], args[1], scaling_of(module)
            ),
        )
        _switch_attn_method(module, layer)


def _switch_attn_method(module: nn.Module, layer: int) -> None:
    """Have the mask that a method named _attn is given, and what it returns, come by first."""
    original = cast("Callable[..., tuple[Tensor, Tensor]]", module._attn)

    @functools.wraps(original)
    def changing(
        query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        if (under_way := switching()) is None:
            return original(query, key, value, attention_mask)
        mask = under_way.mask(layer, attention_mask, query, key)
        output, weights = original(query, key, value, mask)  # (row, head, token, dim)
        return under_way.output(layer, output.transpose(1, 2)).transpose(1, 2), weights

    vars(module)["_attn"] = changing


def _read_bloom(module: nn.Module) -> None:
    if type(module).__name__ != "BloomAttention":
        return
    bloom = cast("BloomAttention", module)
    layer = _layer_of(bloom)
    _note_bias(bloom, "alibi", bloom.num_heads, layer, bloom.beta)
    _on_call(
        bloom,
        "_reshape",
        lambda under_way, _, result: under_way.note_layer(
            layer, result[0], result[1], bloom.inv_norm_factor
        ),
    )
    switch_before(bloom.dense, bloom.num_heads, layer)


def _read_mpt(module: nn.Module) -> None:
    if type(module).__name__ != "MptAttention":
        return
    mpt = cast("MptAttention", module)
    layer = _layer_of(mpt)
    scaling = mpt.head_dim**-0.5 if mpt.softmax_scale is None else mpt.softmax_scale

    def after(_module: nn.Module, _args: tuple[Any, ...], fused: Tensor) -> None:
        if (under_way := active()) is not None:
            if mpt.clip_qkv:
                fused = fused.clamp(-mpt.clip_qkv, mpt.clip_qkv)
            query, key, _ = (
                part.unflatten(-1, (mpt.n_heads, mpt.head_dim)) for part in fused.chunk(3, dim=-1)
            )
            under_way.note_layer(layer, query, key, scaling, token_axis=1)

    _note_bias(mpt, "position_bias", mpt.n_heads, layer, 1.0)
    mpt.Wqkv.register_forward_hook(after)
    switch_before(mpt.out_proj, mpt.n_heads, layer)


def _read_falcon(module: nn.Module) -> None:
    """Fused projections in three layouts, cut apart by the module itself.

    With ALiBi, or with rotary after it.
    """
    if type(module).__name__ != "FalconAttention":
        return
    falcon = cast("FalconAttention", module)
    layer, scaling = _layer_of(falcon), falcon.head_dim**-0.5
    # When asked for its weights, transformers 5.23 adds ALiBi twice (once in the mask), otherwise
    # once.
    _note_bias(falcon, "alibi", falcon.num_heads, layer, 2 * scaling)

    def after_split(
        under_way: Recording, _args: tuple[Any, ...], result: tuple[Tensor, ...]
    ) -> None:
        under_way.note_layer(layer, result[0], result[1], scaling, token_axis=1)

    def after_forward(_module: nn.Module, _args: tuple[Any, ...], _result: object) -> None:
        if (under_way := active()) is not None and under_way.rotated:
            queries, keys = (under_way.rotated[which][-1].returned for which in ("query", "key"))
            under_way.note_read_layer(layer, queries, keys, scaling)

    _on_call(falcon, "_split_heads", after_split)
    falcon.register_forward_hook(after_forward)
    switch_before(falcon.dense, falcon.num_heads, layer)


OWN_PATHS: dict[str, Callable[[nn.Module], None]] = {
    "bloom": _read_bloom,
    "codegen": lambda module: _read_attn_method(
        module, "layer_idx", lambda own: 1 / float(own.scale_attn)
    ),
    "falcon": _read_falcon,
    "gpt_neo": lambda module: _read_attn_method(module, "layer_id", lambda own: 1.0),
    "gptj": lambda module: _read_attn_method(
        module, "layer_idx", lambda own: 1 / float(own.scale_attn)
    ),
    "mpt": _read_mpt,
}
