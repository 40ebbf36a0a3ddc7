"""Tiny configurations of many model types, and for each the way its weights make queries and keys.

Used by test_coverage.py. `recomputed` knows nothing of qkcore: it takes the input of an attention
module and the module's weights, in the layout that the type's authors chose.
"""

import torch
import torch.nn.functional as F
from transformers import AutoModelForCausalLM
from transformers.models.auto import CONFIG_MAPPING

COMMON = dict(
    vocab_size=420,
    hidden_size=48,
    num_hidden_layers=3,
    num_attention_heads=6,
    initializer_range=0.2,
)
GROUPED = COMMON | dict(
    num_key_value_heads=2, intermediate_size=64, max_position_embeddings=512, pad_token_id=0
)
OWN_HEAD_DIM = GROUPED | dict(head_dim=10)  # not hidden_size / n_heads
FULL = {name: value for name, value in GROUPED.items() if name != "num_key_value_heads"}
EXPERTS = dict(num_experts=4, num_experts_per_tok=2, moe_intermediate_size=32, num_local_experts=4)
FINE_EXPERTS = EXPERTS | dict(
    n_routed_experts=4,
    n_shared_experts=1,
    moe_num_experts=4,
    moe_k=2,
    first_k_dense_replace=1,
    n_group=1,
    topk_group=1,
)
DECODER = dict(
    vocab_size=420,
    d_model=48,
    decoder_layers=3,
    decoder_attention_heads=6,
    decoder_ffn_dim=64,
    encoder_layers=3,
    encoder_attention_heads=6,
    is_decoder=True,
    is_encoder_decoder=False,
    max_position_embeddings=512,
    init_std=0.2,
)
OLD = dict(vocab_size=420, n_layer=3, n_head=6, n_embd=48, n_positions=512, initializer_range=0.2)
LATENT = FULL | dict(
    num_key_value_heads=6,
    kv_lora_rank=16,
    qk_rope_head_dim=4,
    qk_nope_head_dim=8,
    v_head_dim=8,
    n_routed_experts=4,
    num_experts_per_tok=2,
    moe_intermediate_size=16,
    first_k_dense_replace=1,
    n_group=1,
    topk_group=1,
)
# Many heads of the indexer: with few, tokens often have the same index score of zero
INDEXED = LATENT | dict(q_lora_rank=16, index_topk=36, index_head_dim=8, index_n_heads=16)
CHUNKED = EXPERTS | dict(num_hidden_layers=4, intermediate_size_mlp=64, attention_chunk_size=36)
SLIDING = dict(sliding_window=9)
YARN = dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=64, rope_theta=10_000.0)
LLAMA3 = dict(
    rope_type="llama3",
    factor=8.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=64,
    rope_theta=10_000.0,
)

# name -> (model type, configuration, layout of the projections)
SUPPORTED = {
    "gpt2": ("gpt2", OLD, "c_attn"),
    "gpt_bigcode (one kv head)": ("gpt_bigcode", OLD, "c_attn one kv head"),
    "gpt_neo (local layers)": (
        "gpt_neo",
        dict(
            vocab_size=420,
            hidden_size=48,
            num_layers=3,
            num_heads=6,
            attention_types=[[["global", "local", "local"], 1]],
            window_size=9,
            max_position_embeddings=512,
            initializer_range=0.2,
        ),
        "separate",
    ),
    "gptj (partial rotary)": ("gptj", OLD | dict(rotary_dim=4), "separate"),
    "codegen": ("codegen", OLD | dict(n_head=8, n_embd=64, rotary_dim=4), "codegen"),
    "gpt_neox (partial rotary)": ("gpt_neox", FULL | dict(rotary_pct=0.5), "interleaved"),
    "opt": (
        "opt",
        COMMON | dict(ffn_dim=64, word_embed_proj_dim=48, max_position_embeddings=512),
        "separate",
    ),
    "biogpt": ("biogpt", FULL, "separate"),
    "bloom (ALiBi)": (
        "bloom",
        dict(vocab_size=420, hidden_size=48, n_layer=3, n_head=6, initializer_range=0.2),
        "interleaved",
    ),
    "mpt (ALiBi)": (
        "mpt",
        dict(vocab_size=420, d_model=48, n_layers=3, n_heads=6, max_seq_len=512),
        "thirds",
    ),
    "falcon (one kv head)": (
        "falcon",
        COMMON | dict(multi_query=True, new_decoder_architecture=False),
        "falcon one kv head",
    ),
    "falcon (grouped)": (
        "falcon",
        COMMON | dict(num_kv_heads=2, new_decoder_architecture=True),
        "falcon grouped",
    ),
    "falcon (ALiBi)": ("falcon", COMMON | dict(multi_query=False, alibi=True), "interleaved"),
    "llama": ("llama", OWN_HEAD_DIM, "separate"),
    "llama (yarn)": ("llama", OWN_HEAD_DIM | dict(rope_parameters=YARN), "separate"),
    "llama (llama3 rotary)": ("llama", OWN_HEAD_DIM | dict(rope_parameters=LLAMA3), "separate"),
    "mistral (window)": ("mistral", OWN_HEAD_DIM | SLIDING, "separate"),
    "mixtral": ("mixtral", GROUPED | EXPERTS | dict(sliding_window=None), "separate"),
    "qwen2 (bias, window)": (
        "qwen2",
        GROUPED | dict(use_sliding_window=True, sliding_window=9, max_window_layers=1),
        "separate",
    ),
    "qwen2_moe": (
        "qwen2_moe",
        GROUPED | EXPERTS | dict(shared_expert_intermediate_size=32),
        "separate",
    ),
    "qwen3 (QK-norm)": ("qwen3", OWN_HEAD_DIM, "separate"),
    "qwen3_moe": ("qwen3_moe", OWN_HEAD_DIM | EXPERTS, "separate"),
    "gemma": ("gemma", OWN_HEAD_DIM, "separate"),
    "gemma2 (soft cap, window)": (
        "gemma2",
        OWN_HEAD_DIM | SLIDING | dict(query_pre_attn_scalar=10),
        "separate",
    ),
    "gemma3_text (QK-norm, window)": (
        "gemma3_text",
        OWN_HEAD_DIM | SLIDING | dict(query_pre_attn_scalar=10),
        "separate",
    ),
    "phi (partial rotary)": ("phi", GROUPED | dict(partial_rotary_factor=0.5), "separate"),
    "phi3 (fused)": ("phi3", GROUPED | dict(sliding_window=None), "qkv_proj"),
    "olmo": ("olmo", GROUPED, "separate"),
    "olmo2 (norm over all heads)": ("olmo2", GROUPED, "separate"),
    "olmo3 (window)": ("olmo3", GROUPED | SLIDING, "separate"),
    "olmoe": ("olmoe", GROUPED | EXPERTS, "separate"),
    "stablelm (partial rotary)": (
        "stablelm",
        GROUPED | dict(partial_rotary_factor=0.5),
        "separate",
    ),
    "starcoder2": ("starcoder2", GROUPED | dict(sliding_window=None), "separate"),
    "cohere": ("cohere", GROUPED, "separate"),
    "cohere2 (layers without rotary)": ("cohere2", OWN_HEAD_DIM | SLIDING, "separate"),
    "granite": ("granite", GROUPED, "separate"),
    "granitemoe": ("granitemoe", GROUPED | EXPERTS, "separate"),
    "smollm3 (layers without rotary)": (
        "smollm3",
        GROUPED | dict(no_rope_layers=[1, 0, 1]),
        "separate",
    ),
    "glm": ("glm", OWN_HEAD_DIM | dict(head_dim=8), "separate"),
    "glm4": ("glm4", OWN_HEAD_DIM | dict(head_dim=8), "separate"),
    "nemotron": ("nemotron", GROUPED, "separate"),
    "gpt_oss (sinks, window, yarn)": ("gpt_oss", OWN_HEAD_DIM | EXPERTS | SLIDING, "separate"),
    "exaone4 (window, layers without rotary)": (
        "exaone4",
        OWN_HEAD_DIM | SLIDING | dict(sliding_window_pattern=2),
        "separate",
    ),
    "ernie4_5": ("ernie4_5", OWN_HEAD_DIM | dict(head_dim=8), "separate"),
    "helium": ("helium", OWN_HEAD_DIM | dict(head_dim=8), "separate"),
    "seed_oss": ("seed_oss", OWN_HEAD_DIM, "separate"),
    "arcee": ("arcee", GROUPED, "separate"),
    "apertus": ("apertus", GROUPED, "separate"),
    "persimmon (fused)": ("persimmon", FULL, "interleaved"),
    "deepseek_v2 (latent attention)": ("deepseek_v2", LATENT | dict(q_lora_rank=None), "latent"),
    "deepseek_v3 (latent attention)": ("deepseek_v3", LATENT | dict(q_lora_rank=16), "latent"),
    "glm4_moe_lite (latent attention)": ("glm4_moe_lite", LATENT | dict(q_lora_rank=16), "latent"),
    "minicpm3 (latent attention)": ("minicpm3", LATENT | dict(q_lora_rank=16), "latent"),
    "deepseek_v32 (indexed attention)": ("deepseek_v32", INDEXED, "latent"),
    "glm_moe_dsa (indexed attention)": ("glm_moe_dsa", INDEXED, "latent"),
    "llama4_text (chunks, layers without rotary)": (
        "llama4_text",
        OWN_HEAD_DIM | CHUNKED | dict(use_qk_norm=False),
        "separate",
    ),
    "ctrl": ("ctrl", OLD | dict(dff=64), "Wq"),
    "bart (decoder)": ("bart", DECODER, "separate"),
    "bitnet": ("bitnet", OWN_HEAD_DIM | dict(head_dim=8), "separate"),
    "diffllama (attends twice)": ("diffllama", OWN_HEAD_DIM, "separate"),
    "dots1": ("dots1", OWN_HEAD_DIM | FINE_EXPERTS, "separate"),
    "ernie4_5_moe": ("ernie4_5_moe", OWN_HEAD_DIM | FINE_EXPERTS, "separate"),
    "flex_olmo": ("flex_olmo", GROUPED | EXPERTS, "separate"),
    "glm4_moe": ("glm4_moe", OWN_HEAD_DIM | FINE_EXPERTS, "separate"),
    "minimax_m2": ("minimax_m2", OWN_HEAD_DIM | EXPERTS, "separate"),
    "phimoe": ("phimoe", GROUPED | EXPERTS, "separate"),
    "ministral3": ("ministral3", OWN_HEAD_DIM, "separate"),
    "afmoe (window)": ("afmoe", OWN_HEAD_DIM | FINE_EXPERTS | SLIDING, "separate"),
    "cwm (window)": ("cwm", OWN_HEAD_DIM | SLIDING, "separate"),
    "granite_swa (window)": ("granite_swa", GROUPED | SLIDING, "separate"),
    "vaultgemma (soft cap, window)": (
        "vaultgemma",
        OWN_HEAD_DIM | SLIDING | dict(query_pre_attn_scalar=10),
        "separate",
    ),
    "modernbert-decoder (window)": (
        "modernbert-decoder",
        FULL | dict(local_attention=18),
        "separate",
    ),
}

# name -> (model type, configuration, part of the reason)
REFUSED = {
    "mamba": (
        "mamba",
        dict(vocab_size=420, hidden_size=32, num_hidden_layers=2),
        "no softmax attention, so no heads",
    ),
    "xglm": (
        "xglm",
        dict(vocab_size=420, d_model=48, num_layers=2, attention_heads=6, ffn_dim=64),
        "attention function",
    ),
    "openai-gpt": ("openai-gpt", OLD, "attention function"),
    "doge": ("doge", OWN_HEAD_DIM, "attention rebuilt"),
    "jetmoe": ("jetmoe", OWN_HEAD_DIM | EXPERTS, "heads were read"),
}
PER_LAYER = OWN_HEAD_DIM | dict(
    sliding_window=9,
    num_hidden_layers=5,
    num_kv_shared_layers=2,
    hidden_size_per_layer_input=8,
    vocab_size_per_layer_input=420,
    layer_types=["sliding_attention", "full_attention"] * 2 + ["full_attention"],
)
# name -> (model type, configuration): layers differ in head size or kv heads, or share keys
DIFFERING = {
    "gemma3n_text (layers share keys)": (
        "gemma3n_text",
        PER_LAYER | dict(laurel_rank=4, altup_num_inputs=2, activation_sparsity_pattern=[0.0] * 5),
    ),
    "gemma4_text (larger heads and fewer kv heads in some layers)": (
        "gemma4_text",
        PER_LAYER | dict(global_head_dim=16, attention_k_eq_v=True, num_global_key_value_heads=1),
    ),
}
POST_ONLY = {
    "hunyuan_v1_dense": ("hunyuan_v1_dense", OWN_HEAD_DIM),
    "hunyuan_v1_moe": ("hunyuan_v1_moe", OWN_HEAD_DIM | EXPERTS | dict(moe_topk=2)),
    "nanochat": ("nanochat", OWN_HEAD_DIM),
    "llama4_text (norm after rotary)": ("llama4_text", OWN_HEAD_DIM | CHUNKED),
}


def made(model_type: str, config: dict, seed: int = 0) -> torch.nn.Module:
    """A random model in float32.

    Vectors such as norms and biases are moved off their neutral start too.
    """
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(
        CONFIG_MAPPING[model_type](**config), dtype=torch.float32
    ).eval()
    for parameter in model.parameters():
        if parameter.dim() == 1:
            parameter.data += 0.2 * torch.randn_like(parameter)
    return model


def attentions(model: torch.nn.Module) -> list[torch.nn.Module]:
    """The attention modules, by layer: those that own the projections."""
    names = ("q_proj", "Wq", "c_attn", "query_key_value", "Wqkv", "qkv_proj", "kv_a_proj_with_mqa")
    found = [
        (name, module)
        for name, module in model.named_modules()
        if any(own in names for own, _ in module.named_children())
    ]
    # Of BART's decoder, unused
    return [module for name, module in found if not name.endswith("encoder_attn")]


def recomputed(
    layout: str, module: torch.nn.Module, x: torch.Tensor, config
) -> tuple[torch.Tensor, torch.Tensor]:
    """(query, key) before rotary, from x (token, feature).

    (token, head, dim) and (token, kv head, dim).
    """
    n_heads = config.num_attention_heads
    if layout == "separate":
        return tuple(
            _normed(module, part, getattr(module, f"{part}_proj")(x), config) for part in "qk"
        )
    if layout == "Wq":
        return module.Wq(x).unflatten(1, (n_heads, -1)), module.Wk(x).unflatten(1, (n_heads, -1))
    if layout.startswith("c_attn"):
        fused = (
            x @ module.c_attn.weight + module.c_attn.bias
            if layout == "c_attn"
            else module.c_attn(x)
        )
        query, rest = fused[:, : config.n_embd], fused[:, config.n_embd :]
        key = (
            rest[:, : config.n_embd] if layout == "c_attn" else rest[:, : config.n_embd // n_heads]
        )
        return query.unflatten(1, (n_heads, -1)), key.unflatten(1, (-1, config.n_embd // n_heads))
    if layout == "qkv_proj":
        size = config.hidden_size // n_heads
        query, key, _ = module.qkv_proj(x).split(
            [48, size * config.num_key_value_heads, size * config.num_key_value_heads], 1
        )
        return query.unflatten(1, (-1, size)), key.unflatten(1, (-1, size))
    if layout == "thirds":
        query, key, _ = module.Wqkv(x).chunk(3, dim=1)
        return query.unflatten(1, (n_heads, -1)), key.unflatten(1, (n_heads, -1))
    if layout == "interleaved":  # per head: its query, its key, its value
        fused = module.query_key_value(x).unflatten(1, (n_heads, 3, -1))
        query, key = fused[:, :, 0], fused[:, :, 1]
        if getattr(module, "qk_layernorm", False):
            query, key = module.q_layernorm(query), module.k_layernorm(key)
        return query, key
    if layout == "falcon one kv head":
        fused = module.query_key_value(x).unflatten(1, (n_heads + 2, -1))
        return fused[:, :-2], fused[:, -2:-1]
    if layout == "falcon grouped":  # per kv head: its queries, then its key, then its value
        fused = module.query_key_value(x).unflatten(
            1, (config.num_kv_heads, n_heads // config.num_kv_heads + 2, -1)
        )
        return fused[:, :, :-2].flatten(1, 2), fused[:, :, -2]
    if layout == "codegen":  # four shards, each: queries, values, keys
        query, _, key = module.qkv_proj(x).unflatten(1, (4, 3, -1)).unbind(2)
        return query.reshape(len(x), n_heads, -1), key.reshape(len(x), n_heads, -1)
    return _latent(module, x, config)


def _normed(module: torch.nn.Module, part: str, states: torch.Tensor, config) -> torch.Tensor:
    """Norms of queries or keys that stand between projection and rotary.

    Before or after the cut into heads.
    """
    n_heads = config.num_attention_heads
    n = n_heads if part == "q" else getattr(config, "num_key_value_heads", None) or n_heads
    norm = getattr(module, f"{part}_norm", None) or getattr(module, f"{part}_layernorm", None)
    if norm is not None and norm.weight.numel() == states.shape[1] and norm.weight.dim() == 1:
        return norm(states).unflatten(1, (n, -1))
    heads = states.unflatten(1, (n, -1))
    return heads if norm is None else norm(heads)


def _latent(module: torch.nn.Module, x: torch.Tensor, config) -> tuple[torch.Tensor, torch.Tensor]:
    """DeepSeek's latent attention: dims without position, then those with.

    Of the key, these serve all heads.
    """
    n_heads, n_plain, n_rotary = (
        config.num_attention_heads,
        config.qk_nope_head_dim,
        config.qk_rope_head_dim,
    )
    query = (
        module.q_proj(x)
        if getattr(module, "q_proj", None) is not None
        else module.q_b_proj(module.q_a_layernorm(module.q_a_proj(x)))
    )
    latent, shared = module.kv_a_proj_with_mqa(x).split([config.kv_lora_rank, n_rotary], dim=1)
    plain = module.kv_b_proj(module.kv_a_layernorm(latent)).unflatten(1, (n_heads, -1))[
        ..., :n_plain
    ]
    key = torch.cat([plain, shared[:, None].expand(-1, n_heads, -1)], dim=-1)
    return query.unflatten(1, (n_heads, -1)), key


def logits_of_weights(weights: torch.Tensor) -> torch.Tensor:
    """Logarithm of attention weights: logits up to one constant a row."""
    return F.threshold(weights, 1e-30, 1e-30).log()
