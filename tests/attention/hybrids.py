"""Tiny configurations of models in which not every layer has softmax heads, and which have them.

Used by test_hybrids.py. `recomputed` here knows nothing of qkcore, as in architectures.py.
"""

import torch

from tests.attention import architectures
from tests.attention.architectures import EXPERTS, FULL, GROUPED, LATENT, OWN_HEAD_DIM

DELTA = dict(
    linear_num_key_heads=2,
    linear_num_value_heads=4,
    linear_key_head_dim=8,
    linear_value_head_dim=8,
    linear_conv_kernel_dim=4,
)
MAMBA = dict(
    mamba_n_heads=12,
    mamba_d_head=8,
    mamba_d_state=8,
    mamba_n_groups=1,
    mamba_expand=2,
    mamba_chunk_size=8,
    mamba_d_conv=4,
)
SHARED_EXPERT = EXPERTS | dict(shared_expert_intermediate_size=32)
CONVOLVED = dict(
    num_hidden_layers=4, layer_types=["conv", "full_attention", "full_attention", "conv"]
)
ZAMBA = FULL | dict(
    num_hidden_layers=7,
    num_key_value_heads=6,
    attention_head_dim=16,
    n_mamba_heads=12,
    mamba_headdim=8,
    mamba_d_state=8,
    mamba_ngroups=1,
    chunk_size=8,
    adapter_rank=4,
    use_shared_attention_adapter=True,
    layers_block_type=["mamba", "hybrid", "mamba", "hybrid", "mamba", "mamba", "hybrid"],
)

# name -> (model type, configuration, layout of the projections, layers that have heads)
HYBRIDS = {
    "qwen3_next": (
        "qwen3_next",
        OWN_HEAD_DIM | SHARED_EXPERT | DELTA | dict(num_hidden_layers=5),
        "gated",
        (3,),
    ),
    "qwen3_5_text": (
        "qwen3_5_text",
        OWN_HEAD_DIM | DELTA | dict(num_hidden_layers=8),
        "gated",
        (3, 7),
    ),
    "qwen3_5_moe_text": (
        "qwen3_5_moe_text",
        OWN_HEAD_DIM | SHARED_EXPERT | DELTA | dict(num_hidden_layers=5),
        "gated",
        (3,),
    ),
    "granitemoehybrid": (
        "granitemoehybrid",
        GROUPED
        | EXPERTS
        | MAMBA
        | dict(
            num_hidden_layers=4,
            shared_intermediate_size=32,
            layer_types=["mamba", "attention", "attention", "mamba"],
        ),
        "separate",
        (1, 2),
    ),
    "nemotron_h": (
        "nemotron_h",
        OWN_HEAD_DIM
        | dict(
            layer_types=["mamba", "attention", "moe", "attention", "mlp"],
            num_hidden_layers=5,
            mamba_num_heads=12,
            mamba_head_dim=8,
            ssm_state_size=8,
            n_groups=1,
            chunk_size=8,
            n_routed_experts=4,
            num_experts_per_tok=2,
            moe_intermediate_size=32,
            moe_shared_expert_intermediate_size=32,
        ),
        "separate",
        (1, 3),
    ),
    "bamba": (
        "bamba",
        GROUPED | MAMBA | dict(num_hidden_layers=5, attn_layer_indices=[1, 4]),
        "separate",
        (1, 4),
    ),
    "falcon_h1 (both in each layer)": (
        "falcon_h1",
        OWN_HEAD_DIM | MAMBA | dict(mamba_d_ssm=96, key_multiplier=0.5),
        "scaled key",
        (0, 1, 2),
    ),
    "zamba": (
        "zamba",
        ZAMBA | dict(n_mamba_heads=2),
        "separate",
        (1, 3, 6),
    ),
    "zamba2 (two shared blocks)": ("zamba2", ZAMBA | dict(num_mem_blocks=2), "adapters", (1, 3, 6)),
    "zamba2 (one shared block)": ("zamba2", ZAMBA | dict(num_mem_blocks=1), "adapters", (1, 3, 6)),
    "jamba": (
        "jamba",
        GROUPED
        | EXPERTS
        | dict(
            num_hidden_layers=4,
            attn_layer_period=3,
            attn_layer_offset=2,
            mamba_d_state=8,
            mamba_dt_rank=4,
        ),
        "separate",
        (2,),
    ),
    "recurrent_gemma (window)": (
        "recurrent_gemma",
        OWN_HEAD_DIM | dict(num_hidden_layers=6, head_dim=8, lru_width=48, attention_window_size=9),
        "separate",
        (2, 5),
    ),
    "minimax": (
        "minimax",
        OWN_HEAD_DIM | EXPERTS | dict(num_hidden_layers=4, block_size=8),
        "separate",
        (0, 2),
    ),
    "olmo_hybrid": ("olmo_hybrid", GROUPED | DELTA | dict(num_hidden_layers=4), "separate", (3,)),
    "kimi_linear (latent attention)": (
        "kimi_linear",
        LATENT
        | DELTA
        | dict(
            num_hidden_layers=4,
            q_lora_rank=None,
            linear_attn_config=dict(
                kda_layers=[1, 3],  # from 1
                full_attn_layers=[2, 4],
                num_heads=4,
                head_dim=8,
                short_conv_kernel_size=4,
            ),
            num_experts=4,
            num_experts_per_token=2,
        ),
        "latent",
        (1, 3),
    ),
    "bailing_hybrid (latent attention)": (
        "bailing_hybrid",
        LATENT
        | EXPERTS
        | dict(num_hidden_layers=4, q_lora_rank=16, layer_group_size=2, head_dim=8),
        "latent",
        (1, 3),
    ),
    "lfm2": ("lfm2", GROUPED | CONVOLVED, "separate", (1, 2)),
    "lfm2_moe": ("lfm2_moe", GROUPED | EXPERTS | CONVOLVED, "separate", (1, 2)),
}


def attentions(model: torch.nn.Module) -> list[torch.nn.Module]:
    """The softmax attention modules, each once: those that project queries and scale products."""
    return [
        module
        for module in model.modules()
        if hasattr(module, "scaling")
        and (hasattr(module, "kv_a_proj_with_mqa") or hasattr(module, "q_proj"))
    ]


def recomputed(
    layout: str, module: torch.nn.Module, x: torch.Tensor, config, call: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """(query, key) before rotary, as `architectures.recomputed`, in a pass's nth attention."""
    if layout == "gated":  # per head: its query, then what its output is multiplied by
        query, _ = module.q_proj(x).unflatten(1, (config.num_attention_heads, 2, -1)).unbind(2)
        key = module.k_proj(x).unflatten(1, (config.num_key_value_heads, -1))
        return module.q_norm(query), module.k_norm(key)
    if layout == "adapters":  # each use of a shared block adds a difference of low rank
        parts = zip(
            (module.q_proj, module.k_proj),
            (module.linear_q_adapter_list, module.linear_k_adapter_list),
            strict=True,
        )
        return tuple(
            (shared(x) + adapters[call](x)).unflatten(1, (config.num_attention_heads, -1))
            for shared, adapters in parts
        )
    known = "latent" if layout == "latent" else "separate"
    query, key = architectures.recomputed(known, module, x, config)
    return query, key * config.key_multiplier if layout == "scaled key" else key
