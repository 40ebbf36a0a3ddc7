"""Tiny checkpoints that see, of many types, and the queries and keys that their weights make.

Used by test_eyes.py and coverage_table.py. What is made here is the complete model, with its
vision tower: it is what a checkpoint given text only has to agree with.
"""

from collections.abc import Iterator
from tempfile import TemporaryDirectory

import torch
from transformers import AutoModelForImageTextToText, PreTrainedTokenizerFast
from transformers.models.auto import CONFIG_MAPPING

from qkcore.attention.geometry import UnsupportedModelError
from qkcore.attention.load import load_model
from tests.attention.architectures import OWN_HEAD_DIM, recomputed

TEXT = OWN_HEAD_DIM
TOWER = dict(
    hidden_size=16,
    intermediate_size=16,
    num_hidden_layers=1,
    num_attention_heads=2,
    image_size=28,
    patch_size=14,
)
QWEN_TOWER = dict(depth=1, hidden_size=16, intermediate_size=16, num_heads=2, out_hidden_size=48)
QWEN_TOKENS = dict(
    image_token_id=419, video_token_id=418, vision_start_token_id=417, vision_end_token_id=416
)
GEMMA_TOKENS = dict(boi_token_index=418, eoi_token_index=417, image_token_index=419)
WINDOW = dict(sliding_window=20)


def _sections(*sizes: int) -> dict:
    """Rotary embedding by time, height and width (half dims of each)."""
    return dict(rope_parameters=dict(rope_type="default", mrope_section=list(sizes)))


SEEING = {
    "gemma3": dict(
        text_config=TEXT
        | WINDOW
        | dict(
            layer_types=["sliding_attention", "full_attention", "sliding_attention"],
            query_pre_attn_scalar=10,
        ),
        vision_config=TOWER,
        mm_tokens_per_image=4,
        **GEMMA_TOKENS,
    ),
    "gemma4": dict(
        text_config=TEXT
        | WINDOW
        | dict(
            layer_types=["sliding_attention", "sliding_attention", "full_attention"],
            global_head_dim=16,
            vocab_size_per_layer_input=420,
            hidden_size_per_layer_input=8,
            num_kv_shared_layers=0,
        ),
        vision_config=TOWER | dict(head_dim=8, num_key_value_heads=2),
        audio_config=None,
        image_token_id=419,
        boi_token_id=418,
        eoi_token_id=417,
        video_token_id=416,
        audio_token_id=415,
    ),
    "mistral3": dict(
        text_config=TEXT | dict(model_type="mistral", sliding_window=None),
        vision_config=TOWER | dict(model_type="pixtral", head_dim=8),
        image_token_index=419,
    ),
    "llama4": dict(
        text_config=TEXT
        | dict(
            layer_types=["chunked_attention", "chunked_attention", "full_attention"],
            attention_chunk_size=32,
            intermediate_size_mlp=64,
            num_local_experts=2,
            num_experts_per_tok=1,
            moe_layers=[1],
            no_rope_layers=[1, 1, 0],
            attn_temperature_tuning=False,
        ),
        vision_config=TOWER
        | dict(vision_output_dim=16, projector_input_dim=16, projector_output_dim=16),
        image_token_index=419,
    ),
    "qwen3_5": dict(
        text_config=TEXT
        | dict(
            layer_types=["linear_attention", "full_attention", "full_attention"],
            linear_num_key_heads=2,
            linear_num_value_heads=2,
            linear_key_head_dim=8,
            linear_value_head_dim=8,
        ),
        vision_config=QWEN_TOWER,
        **QWEN_TOKENS,
    ),
    "qwen2_5_vl": dict(
        text_config={name: value for name, value in TEXT.items() if name != "head_dim"}
        | _sections(1, 1, 2)
        | dict(bos_token_id=0, eos_token_id=0),
        vision_config=QWEN_TOWER,
        **QWEN_TOKENS,
    ),
    "qwen3_vl": dict(
        text_config=TEXT | _sections(1, 2, 2),
        vision_config=QWEN_TOWER | dict(deepstack_visual_indexes=[0], num_position_embeddings=16),
        **QWEN_TOKENS,
    ),
}
# Their queries and keys are changed again after rotary, so nothing is read before it.
AFTER_ONLY = ("llama4",)


def seeing(model_type: str, seed: int = 0, **options) -> torch.nn.Module:
    """The complete random model in float32; norms and biases are off their neutral start too."""
    config = CONFIG_MAPPING[model_type](**SEEING[model_type])
    torch.manual_seed(seed)
    model = AutoModelForImageTextToText.from_config(config, dtype=torch.float32, **options).eval()
    for parameter in model.parameters():
        if parameter.dim() == 1:
            parameter.data += 0.2 * torch.randn_like(parameter)
    return model


def text_attentions(model: torch.nn.Module) -> list[torch.nn.Module]:
    """The attention modules of the language model, by layer."""
    return [
        module
        for name, module in model.named_modules()
        if name.endswith("self_attn") and "language_model" in name
    ]


def query_and_key(
    module: torch.nn.Module, x: torch.Tensor, config
) -> tuple[torch.Tensor, torch.Tensor]:
    """(token, head, dim) and (token, kv head, dim) before rotary, from x (token, feature)."""
    if config.model_type != "qwen3_5_text":
        return recomputed("separate", module, x, config)
    # Half of what this one projects is a gate on what the head puts out, not a query.
    query, _gate = module.q_proj(x).unflatten(1, (config.num_attention_heads, -1)).chunk(2, dim=-1)
    key = module.k_proj(x).unflatten(1, (config.num_key_value_heads, -1))
    return module.q_norm(query), module.k_norm(key)


def seeing_lines(tokenizer: PreTrainedTokenizerFast) -> Iterator[str]:
    """Lines of docs/models.md: how each of them is read, or why it is not."""
    for name in SEEING:
        with TemporaryDirectory() as folder:
            seeing(name).save_pretrained(folder)
            tokenizer.save_pretrained(folder)
            try:
                geometry = load_model(folder, device="cpu").geometry
            except UnsupportedModelError as error:
                yield f"| {name} | | refused | refused | {error} |\n"
                continue
        pre, row = (
            "yes" if is_so else "no"
            for is_so in ("pre" in geometry.ropes, geometry.is_side_by_side)
        )
        yield f"| {name} | {geometry.model_type} | {pre} | yes | {row} |\n"
