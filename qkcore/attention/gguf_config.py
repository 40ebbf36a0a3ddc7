"""All that a GGUF file says of its model, in the words of transformers' configurations.

transformers takes over some of it and leaves the rest at what its own configuration has by default:
Qwen 3's head size, Gemma 3's rotary scaling, Phi-3's window, Llama 3's rotary frequencies. A model
read so speaks English and is another one. Here every number that a file states is set in the
configuration, or else refused.
"""

import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

# A file's word, and the names that configurations have for it; the first that one has is set.
NAMES = {
    "vocab_size": ("vocab_size",),
    "context_length": ("max_position_embeddings",),
    "embedding_length": ("hidden_size",),
    "block_count": ("num_hidden_layers",),
    "feed_forward_length": ("intermediate_size", "ffn_hidden_size", "n_inner"),
    "expert_count": ("num_experts", "num_local_experts"),
    "expert_used_count": ("num_experts_per_tok",),
    "expert_feed_forward_length": ("moe_intermediate_size",),
    "expert_shared_feed_forward_length": ("shared_expert_intermediate_size",),
    "attention.head_count": ("num_attention_heads",),
    "attention.head_count_kv": ("num_key_value_heads",),
    "attention.key_length": ("global_head_dim", "head_dim"),
    "attention.layer_norm_epsilon": ("layer_norm_epsilon", "layer_norm_eps", "norm_epsilon"),
    "attention.layer_norm_rms_epsilon": ("rms_norm_eps", "norm_eps", "layer_norm_epsilon"),
    "attn_logit_softcapping": ("attn_logit_softcapping",),
    "final_logit_softcapping": ("final_logit_softcapping",),
}
# Words that change no number, or none that a model of transformers could have otherwise.
SILENT = {
    "attention.causal",
    "pooling_type",
    "rope.scaling.finetuned",
    "rope.scaling.original_context_length",
    "tensor_data_layout",
    "use_parallel_residual",  # of StableLM: transformers sees it from the weights
}
# Layers of the one size whose attention llama.cpp scales by the width of a head's share.
WIDE = {"gemma2": 46, "gemma3": 62}
LLAMA_3 = {"low_freq_factor": 1.0, "high_freq_factor": 4.0}
LLAMA_3_CONTEXT = 8192


def say_all(
    config: "PreTrainedConfig",
    architecture: str,
    said: dict[str, Any],
    frequencies: np.ndarray | None = None,
) -> None:
    """Set in a configuration whatever its file says.

    Args:
        config: as transformers made it from the file.
        architecture: as the file names it.
        said: what the file says of the model, such as {"block_count": 30}.
        frequencies: (rotary pair,) by what each rotary frequency is divided, if the file says so.

    Raises:
        ValueError: for what the configuration has no word for.
    """
    from transformers.integrations.gguf.gguf_config_mapping import GGUF_CONFIG_ARCHS

    if architecture in GGUF_CONFIG_ARCHS:
        return  # read by transformers' newer reader, which sets all that a file states
    if said.get("attention.causal") is False:
        raise ValueError("its attention is not causal")
    left = {key: value for key, value in said.items() if key not in SILENT}
    for key in NAMES.keys() & left.keys():
        _set(config, key, left.pop(key))
    if (config.pad_token_id or 0) >= config.vocab_size:
        config.pad_token_id = None  # not said, and the default is of a larger model
    _set_window(config, left)
    _set_rotary(config, left, frequencies)
    if left.pop("attention.value_length", head := _head_size(config)) != head:
        raise ValueError(f"its values have another length than its keys ({head})")
    _set_scaling(config, architecture)
    for key in sorted(left.keys() - _taken_over(architecture)):
        if left[key] not in (0, "", "none"):
            raise ValueError(
                f"it says {key} = {left[key]}, for which transformers' {config.model_type} has no "
                "word"
            )


def _set(config: "PreTrainedConfig", key: str, value: object) -> None:
    for name in NAMES[key]:
        if hasattr(config, name):
            setattr(config, name, value)
            return
    implied = {
        "context_length": value,  # no limit that is learned
        "feed_forward_length": 4 * config.hidden_size,
        "attention.head_count_kv": config.num_attention_heads,
        "attention.key_length": config.hidden_size // config.num_attention_heads,
    }.get(key)
    if value not in (implied, 0):
        raise ValueError(
            f"it says {key} = {value}, for which transformers' {config.model_type} has no word"
        )


def _set_window(config: "PreTrainedConfig", left: dict[str, Any]) -> None:
    window = left.pop("attention.sliding_window", 0)
    kinds = getattr(config, "layer_types", None)
    if hasattr(config, "sliding_window") and (kinds is None or "sliding_attention" in kinds):
        config.sliding_window = window or None
    elif 0 < window < config.max_position_embeddings:
        raise ValueError(f"it says attention.sliding_window = {window}, and none of its layers has")


def _set_rotary(
    config: "PreTrainedConfig", left: dict[str, Any], frequencies: np.ndarray | None
) -> None:
    by_kind = getattr(config, "rope_parameters", None)
    if not by_kind:
        return
    rope, local = by_kind.get("full_attention", by_kind), by_kind.get("sliding_attention")
    rope["rope_theta"] = left.pop("rope.freq_base", rope["rope_theta"])
    if local is not None:
        local["rope_theta"] = left.pop("rope.freq_base_swa", local["rope_theta"])
    head = _head_size(config)
    n_dims = left.pop("rope.dimension_count", head)
    if "partial_rotary_factor" in rope and n_dims:
        rope["partial_rotary_factor"] = n_dims / head
    elif n_dims not in (head, 0):
        raise ValueError(f"it turns {n_dims} of the {head} dims of a head")
    # llama.cpp's own default is linear, with a factor of 1.
    kind, factor = left.pop("rope.scaling.type", "linear"), left.pop("rope.scaling.factor", 1.0)
    if kind not in ("none", "linear"):
        raise ValueError(f"its rotary scaling ({kind}) is not read from GGUF files")
    if kind == "linear" and factor not in (0, 1):
        rope |= {"rope_type": "linear", "factor": factor}
    if frequencies is not None and not np.allclose(frequencies, 1):
        rope |= _as_llama_3(frequencies, rope["rope_theta"], head)


def _as_llama_3(frequencies: np.ndarray, theta: float, head: int) -> dict[str, Any]:
    """Llama 3's rotary scaling, where just that gives the file's frequencies."""
    wavelengths = 2 * math.pi * theta ** (np.arange(0, head, 2) / head)
    factor = round(float(np.max(frequencies)), 4)
    low, high = LLAMA_3["low_freq_factor"], LLAMA_3["high_freq_factor"]
    share = np.clip((LLAMA_3_CONTEXT / wavelengths - low) / (high - low), 0, 1)
    expected = 1 / ((1 - share) / factor + share)
    if frequencies.shape != expected.shape or not np.allclose(frequencies, expected, rtol=1e-4):
        raise ValueError("its rotary frequencies (rope_freqs.weight) are not those of Llama 3")
    scaling = {"rope_type": "llama3", "factor": factor} | LLAMA_3
    return scaling | {"original_max_position_embeddings": LLAMA_3_CONTEXT}


def _set_scaling(config: "PreTrainedConfig", architecture: str) -> None:
    """The one number that llama.cpp knows by heart: by what Gemma scales its products."""
    if architecture in WIDE:
        is_wide = config.num_hidden_layers == WIDE[architecture]
        wide = config.hidden_size // config.num_attention_heads
        config.query_pre_attn_scalar = wide if is_wide else _head_size(config)


def _head_size(config: "PreTrainedConfig") -> int:
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def plain(architecture: str) -> str:
    """An architecture's name however it is spelled.

    >>> plain("qwen2_moe") == plain("qwen2moe"), plain("gpt-oss")
    (True, 'gptoss')
    """
    return re.sub(r"[-_]", "", architecture)


def _taken_over(architecture: str) -> set[str]:
    """What transformers itself sets in the configuration."""
    from transformers.integrations.ggml import GGUF_CONFIG_MAPPING

    for name, words in GGUF_CONFIG_MAPPING.items():
        if plain(name) == plain(architecture) and isinstance(words, dict):
            return {word for word, attribute in words.items() if attribute is not None}
    return set()
