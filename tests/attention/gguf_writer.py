"""Tiny models as GGUF files, written as llama.cpp's convert_hf_to_gguf.py writes real ones.

Names of weights and keys come from the `gguf` package; what is done to values (rows of q and k put
in pairs, Gemma's norms plus one, GPT-2's weights transposed) is written here anew, after llama.cpp.
Knows nothing of qkcore.
"""

import json
from pathlib import Path

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType, GGUFWriter, TokenType

ARCHITECTURES = {
    "llama": gguf.MODEL_ARCH.LLAMA,
    "mistral": gguf.MODEL_ARCH.LLAMA,
    "qwen2": gguf.MODEL_ARCH.QWEN2,
    "qwen3": gguf.MODEL_ARCH.QWEN3,
    "gemma2": gguf.MODEL_ARCH.GEMMA2,
    "gemma3_text": gguf.MODEL_ARCH.GEMMA3,
    "phi3": gguf.MODEL_ARCH.PHI3,
    "gpt2": gguf.MODEL_ARCH.GPT2,
}
IN_PAIRS = ("llama", "mistral")  # rotary turns neighbours there, in transformers halves
TRANSPOSED = ("c_attn.weight", "c_proj.weight", "c_fc.weight")  # Conv1D keeps (in, out)


def write_gguf(path: Path, model, tokenizer, kind: str = "F16", **said) -> Path:
    """Write a model as llama.cpp would.

    Args:
        kind: "F32", "F16" or "Q8_0", of all but norms, biases and positions; those are F32.
        said: further keys of the architecture, such as {"rope.scaling.type": "linear"}, or others
            with a prefix of their own, such as {"split.count": 2}; None leaves a key out.
    """
    architecture = ARCHITECTURES[model.config.model_type]
    writer = GGUFWriter(path, gguf.MODEL_ARCH_NAMES[architecture])
    writer.add_name("Tiny")
    model_says(writer, model.config)
    tokenizer_says(writer, tokenizer, model.config.vocab_size)
    for key, value in said.items():
        say(writer, key, value)
    for name, values, kind_of_it in tensors(model, kind):
        data = gguf.quants.quantize(values, kind_of_it)
        writer.add_tensor(name, data, raw_dtype=kind_of_it)
    return written(writer, path)


def rounded(model, kind: str):
    """The model with the weights that such a file can hold, put in its place."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            values = weight.numpy().T if name.endswith(TRANSPOSED) else weight.numpy()
            kind_of_it = kind_of(name, values, kind)
            stored = gguf.quants.quantize(np.ascontiguousarray(values), kind_of_it)
            read = gguf.quants.dequantize(stored, kind_of_it).astype(np.float32)
            weight.copy_(torch.from_numpy(read.T if name.endswith(TRANSPOSED) else read))
    return model


def kind_of(name: str, values: np.ndarray, kind: str) -> GGMLQuantizationType:
    """As what a weight of Hugging Face's name is stored."""
    if values.ndim == 1 or "norm" in name or name.endswith("wpe.weight"):
        return GGMLQuantizationType.F32
    if kind == "Q8_0" and values.shape[-1] % 32:
        return GGMLQuantizationType.F16
    return GGMLQuantizationType[kind]


def tensors(model, kind: str):
    """(name, values, stored as) of all weights, with what llama.cpp does to them."""
    config = model.config
    names = gguf.get_tensor_name_map(ARCHITECTURES[config.model_type], config.num_hidden_layers)
    for hf_name, weight in model.named_parameters():  # tied ones once
        values = weight.detach().numpy()
        if config.model_type in IN_PAIRS and ".q_proj." in hf_name:
            values = in_pairs(values, config.num_attention_heads)
        if config.model_type in IN_PAIRS and ".k_proj." in hf_name:
            values = in_pairs(values, config.num_key_value_heads)
        if config.model_type.startswith("gemma") and hf_name.endswith("norm.weight"):
            values = values + 1
        if hf_name.endswith(TRANSPOSED):
            values = values.T
        name = names.get_name(hf_name, try_suffixes=(".weight", ".bias"))
        assert name is not None, hf_name
        yield name, np.ascontiguousarray(values), kind_of(hf_name, values, kind)


def in_pairs(rows: np.ndarray, n_heads: int) -> np.ndarray:
    """Rows of each head, its first and second half by turns: llama.cpp's `permute`."""
    halves = rows.reshape(n_heads, 2, rows.shape[0] // n_heads // 2, *rows.shape[1:])
    return halves.swapaxes(1, 2).reshape(rows.shape)


def model_says(writer: GGUFWriter, config) -> None:
    """The keys that convert_hf_to_gguf.py writes for a configuration."""
    own = getattr(config, "head_dim", None)
    rope = getattr(config, "rope_parameters", None) or {}
    rope = rope.get("full_attention", rope)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_head_count(config.num_attention_heads)
    if config.model_type == "gpt2":
        writer.add_feed_forward_length(config.n_inner or 4 * config.n_embd)
        writer.add_layer_norm_eps(config.layer_norm_epsilon)
        return
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(rope["rope_theta"])
    if own is not None:
        writer.add_key_length(own)
        writer.add_value_length(own)
    if config.model_type in (*IN_PAIRS, "phi3"):
        writer.add_vocab_size(config.vocab_size)
        head = own or config.hidden_size // config.num_attention_heads
        writer.add_rope_dimension_count(int(head * rope.get("partial_rotary_factor", 1.0)))
    if config.model_type in ("gemma2", "gemma3_text", "phi3"):
        writer.add_sliding_window(config.sliding_window or 0)
    if config.model_type == "gemma2":
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
        writer.add_final_logit_softcapping(config.final_logit_softcapping)
    if rope["rope_type"] == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])
    if rope["rope_type"] == "llama3":
        name = gguf.TENSOR_NAMES[gguf.MODEL_TENSOR.ROPE_FREQS] + ".weight"
        writer.add_tensor(name, llama_3_frequencies(rope, own))


def llama_3_frequencies(rope: dict, head_dim: int) -> np.ndarray:
    """By what each rotary frequency is divided, worked out one by one as llama.cpp does."""
    factors = []
    context = rope["original_max_position_embeddings"]
    for dim in range(0, head_dim, 2):
        wavelength = 2 * np.pi * rope["rope_theta"] ** (dim / head_dim)
        if wavelength < context / rope["high_freq_factor"]:
            factors.append(1.0)
        elif wavelength > context / rope["low_freq_factor"]:
            factors.append(rope["factor"])
        else:
            smooth = context / wavelength - rope["low_freq_factor"]
            smooth /= rope["high_freq_factor"] - rope["low_freq_factor"]
            factors.append(1 / ((1 - smooth) / rope["factor"] + smooth))
    return np.array(factors, dtype=np.float32)


def tokenizer_says(writer: GGUFWriter, tokenizer, vocab_size: int) -> None:
    """Tokens, their types and what joins them: merges for bytes, scores for sentencepiece."""
    backend = json.loads(tokenizer.backend_tokenizer.to_str())
    words = {index: word for word, index in tokenizer.get_vocab().items()}
    merges = [" ".join(pair) for pair in backend["model"]["merges"]]
    is_of_bytes = "<0x00>" not in tokenizer.get_vocab()
    writer.add_tokenizer_model("gpt2" if is_of_bytes else "llama")
    tokens = [words.get(index, f"[PAD{index}]") for index in range(vocab_size)]
    types = [
        type_of(word, tokenizer) if index in words else TokenType.UNUSED
        for index, word in enumerate(tokens)
    ]
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    if is_of_bytes:
        writer.add_tokenizer_pre("gpt-2")
        writer.add_token_merges(merges)
    else:
        writer.add_tokenizer_pre("default")
        ranks = {pair.replace(" ", ""): rank for rank, pair in enumerate(merges)}
        writer.add_token_scores([-float(ranks.get(word, 1_000)) for word in tokens])
        writer.add_add_space_prefix("Prepend" in str(backend) or "Metaspace" in str(backend))
    for add, index in (
        (writer.add_bos_token_id, tokenizer.bos_token_id),
        (writer.add_eos_token_id, tokenizer.eos_token_id),
        (writer.add_unk_token_id, tokenizer.unk_token_id),
        (writer.add_pad_token_id, tokenizer.pad_token_id),
    ):
        if index is not None:
            add(index)
    writer.add_add_bos_token(tokenizer("a")["input_ids"][0] == tokenizer.bos_token_id)


def type_of(word: str, tokenizer) -> TokenType:
    """What kind of token a word is."""
    if word == tokenizer.unk_token:
        return TokenType.UNKNOWN
    if word in tokenizer.all_special_tokens:
        return TokenType.CONTROL
    return TokenType.BYTE if word.startswith("<0x") else TokenType.NORMAL


def say(writer: GGUFWriter, key: str, value) -> None:
    """One key more, or in place of what was said."""
    if "." not in key or key.split(".")[0] in ("attention", "rope"):
        key = f"{writer.arch}.{key}"
    for data in writer.kv_data:
        data.pop(key, None)
    if isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    elif isinstance(value, list):
        writer.add_array(key, value)
    elif value is not None:
        writer.add_string(key, value)


def rewrite_gguf(source: Path, target: Path, change) -> Path:
    """Copy a file with other weights: `change` takes a name and the rows as stored, (row, byte)."""
    reader = gguf.GGUFReader(source)
    writer = GGUFWriter(target, reader.fields["general.architecture"].contents())
    for key, field in reader.fields.items():
        if not key.startswith("GGUF.") and key != "general.architecture":
            inner = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(key, field.contents(), field.types[0], sub_type=inner)
    for tensor in reader.tensors:
        data = change(tensor.name, np.array(tensor.data))
        writer.add_tensor(tensor.name, data, raw_dtype=tensor.tensor_type)
    return written(writer, target)


def written(writer: GGUFWriter, path: Path) -> Path:
    """The file, all of it."""
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
