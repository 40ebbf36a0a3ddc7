"""Architectures that never call a registered attention function, and where each tells its queries
and keys instead.

A reader is called once with every module of the model and hooks those it knows. The products'
scaling and ALiBi's bias are noted too, so that the self-check can rebuild attention.
"""

import functools

from torch import Tensor, nn

from qkcore.attention.recording import active


def _on_call(module: nn.Module, method: str, note) -> None:
    """Have `note(recording, arguments, result)` called after each call of the module's method."""
    original = getattr(module, method)

    @functools.wraps(original)
    def reading(*args, **kwargs):
        result = original(*args, **kwargs)
        if (under_way := active()) is not None:
            note(under_way, args, result)
        return result

    setattr(module, method, reading)


def _note_bias(module: nn.Module, name: str, n_heads: int, layer: int, factor: float) -> None:
    """Note an additive bias of shape (row * head, 1, token) or (head, 1, token) from the module's
    arguments.
    """

    def before(_module, args, kwargs) -> None:
        bias = kwargs.get(name)
        if (under_way := active()) is not None and bias is not None:
            under_way.biases[layer] = (
                factor * bias.float().reshape(-1, n_heads, 1, bias.shape[-1])[0].cpu()
            )

    module.register_forward_pre_hook(before, with_kwargs=True)


def _read_attn_method(module: nn.Module, layer_name: str, scaling_of) -> None:
    """GPT-Neo, GPT-J and CodeGen hand final queries and keys to a method named _attn."""
    if hasattr(module, "_attn"):
        _on_call(
            module,
            "_attn",
            lambda under_way, args, _: under_way.note_layer(
                getattr(module, layer_name), args[0], args[1], scaling_of(module)
            ),
        )


def _read_bloom(module: nn.Module) -> None:
    if type(module).__name__ != "BloomAttention":
        return
    _note_bias(module, "alibi", module.num_heads, module.layer_idx, module.beta)
    _on_call(
        module,
        "_reshape",
        lambda under_way, _, result: under_way.note_layer(
            module.layer_idx, *result[:2], module.inv_norm_factor
        ),
    )


def _read_mpt(module: nn.Module) -> None:
    if type(module).__name__ != "MptAttention":
        return

    def after(_module, _args, fused: Tensor) -> None:
        if (under_way := active()) is not None:
            if module.clip_qkv:
                fused = fused.clamp(-module.clip_qkv, module.clip_qkv)
            query, key, _ = (
                part.unflatten(-1, (module.n_heads, module.head_dim))
                for part in fused.chunk(3, dim=-1)
            )
            under_way.note_layer(module.layer_idx, query, key, module.softmax_scale, token_axis=1)

    _note_bias(module, "position_bias", module.n_heads, module.layer_idx, 1.0)
    module.Wqkv.register_forward_hook(after)


def _read_falcon(module: nn.Module) -> None:
    """Fused projections in three layouts, cut apart by the module itself; with ALiBi, or with
    rotary after it.
    """
    if type(module).__name__ != "FalconAttention":
        return
    scaling = module.head_dim**-0.5
    # When asked for its weights, transformers 5.23 adds ALiBi twice (once in the mask), otherwise
    # once.
    _note_bias(module, "alibi", module.num_heads, module.layer_idx, 2 * scaling)

    def after_split(under_way, _args, result) -> None:
        under_way.note_layer(module.layer_idx, *result[:2], scaling, token_axis=1)

    def after_forward(_module, _args, _result) -> None:
        if (under_way := active()) is not None and under_way.rotated:
            queries, keys = under_way.rotated["query"].returned, under_way.rotated["key"].returned
            under_way.note_read_layer(module.layer_idx, queries, keys, scaling)

    _on_call(module, "_split_heads", after_split)
    module.register_forward_hook(after_forward)


OWN_PATHS = {
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
