"""What scoring costs where candidates cannot share a row: `python -m tests.bench.bench_hybrids`.

Small random hybrids of 40M to 60M parameters (Mamba 2, gated delta rule, convolutions), one thread.
Ratios of CPU time to plain calls of the model with whole prompts, one call a prompt, measured in
turn in one process, the best of each pass over several rounds (tests/bench/laps).
"""

import argparse

import torch
from transformers import AutoModelForCausalLM
from transformers.models.auto import CONFIG_MAPPING

from qkcore.attention.load import CausalLM, vouch_for
from qkcore.scoring.score import prompts_of, score_prompts
from tests.bench.bench_scoring import statements_about_one_context
from tests.bench.laps import best_seconds
from tests.tiny import tiny_tokenizer

COMMON = dict(
    vocab_size=8_000,
    hidden_size=512,
    intermediate_size=1_408,
    num_hidden_layers=12,
    num_attention_heads=8,
    num_key_value_heads=4,
    max_position_embeddings=2_048,
)
MIXED = ["mamba", "mamba", "attention"] * 4
MODELS = {
    "granitemoehybrid": dict(
        layer_types=MIXED,
        num_local_experts=0,
        shared_intermediate_size=1_408,
        mamba_n_heads=16,
        mamba_d_head=64,
        mamba_d_state=64,
        mamba_n_groups=1,
        mamba_expand=2,
    ),
    "qwen3_5_text": dict(
        head_dim=64,
        linear_num_key_heads=8,
        linear_num_value_heads=8,
        linear_key_head_dim=64,
        linear_value_head_dim=64,
    ),
    "lfm2": dict(layer_types=["conv", "conv", "full_attention"] * 4),
}


def hybrid(model_type: str) -> CausalLM:
    """One of `MODELS`, with random weights."""
    torch.manual_seed(0)
    config = CONFIG_MAPPING[model_type](**COMMON | MODELS[model_type])
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    return vouch_for(model, tiny_tokenizer(), model_type)


def plain(lm: CausalLM, prompts: list) -> None:
    """Each prompt by itself through the model, with the logits of its last token."""
    for prompt in prompts:
        with torch.inference_mode():
            lm.model(torch.tensor([prompt.tokens]), use_cache=False, logits_to_keep=1)


def ours(lm: CausalLM, prompts: list) -> None:
    """The project's own way, two candidates each."""
    for _ in score_prompts(lm, prompts):
        pass


def main() -> None:
    """Print two ratios a model."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.models:
        lm = hybrid(name)
        prompts = prompts_of(lm, statements_about_one_context())
        n_weights = sum(weights.numel() for weights in lm.model.parameters())
        print(
            f"{name}: {n_weights / 1e6:.0f}M weights, heads in {len(lm.geometry.head_layers)} of "
            f"{lm.geometry.n_layers} layers, {prompts[0].n_context} tokens of context; goes on "
            f"from copied states: {lm.geometry.is_continued}"
        )
        one = prompts[:1]
        took = best_seconds(
            {
                "one plain": lambda lm=lm, one=one: plain(lm, one),
                "one": lambda lm=lm, one=one: ours(lm, one),
                "ten plain": lambda lm=lm, prompts=prompts: plain(lm, prompts),
                "ten": lambda lm=lm, prompts=prompts: ours(lm, prompts),
            },
            options.rounds,
            type(lm.model),
        )
        for title, way in (
            ("two candidates / one prompt", "one"),
            ("ten statements / ten prompts", "ten"),
        ):
            print(f"  {title}: {took[way].processor / took[f'{way} plain'].processor:.2f}")


if __name__ == "__main__":
    main()
