"""Tiny models with random weights and tokenizers trained on the spot.

Real code paths in milliseconds.
"""

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
from transformers.models.auto import CONFIG_MAPPING

from qkcore.puzzles.puzzle import Puzzle

CORPUS = [
    "Decide from the context whether the statement is true or false.\nContext: Max is a wumpus. "
    "Every wumpus is a tumpus. Tumpuses are not metallic.\nStatement: Max is metallic.\nAnswer: "
    "true false yes no unknown",
    "Answer the question from the context.\nQuestion: Does Ben drink water?\nAnswer: yes",
] * 4

# Sizes that differ from each other, so that a mixed-up axis cannot pass; head_dim is not
# hidden_size / n_heads.
SIZES = {
    "llama": dict(num_attention_heads=6, num_key_value_heads=2, head_dim=10, hidden_size=48),
    "mistral": dict(
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        hidden_size=48,
        sliding_window=None,
    ),
    "qwen2": dict(num_attention_heads=6, num_key_value_heads=3, hidden_size=48),
    "qwen3": dict(num_attention_heads=4, num_key_value_heads=1, head_dim=18, hidden_size=48),
    "gpt2": dict(n_head=4, n_embd=48, n_positions=512),
}


def tiny_tokenizer(begins_with_bos: bool = False) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer that knows every text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<s>", "<pad>"],
        initial_alphabet=alphabet,
        show_progress=False,  # it prints empty lines
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    if begins_with_bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", 0)]
        )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", pad_token="<pad>")


def tiny_model(model_type: str, n_layers: int = 3, seed: int = 0, **changes) -> torch.nn.Module:
    """A random float32 causal LM of the type; weights large enough that heads differ clearly."""
    common = dict(vocab_size=420, initializer_range=0.3)
    if model_type == "gpt2":
        common |= dict(n_layer=n_layers)
    else:
        common |= dict(
            num_hidden_layers=n_layers, intermediate_size=64, max_position_embeddings=512
        )
    config = CONFIG_MAPPING[model_type](**common | SIZES[model_type] | changes)
    torch.manual_seed(seed)
    return AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()


def puzzle(statement: str = "Max is metallic.", **changes) -> Puzzle:
    """A small true-or-false puzzle; name only what the test is about."""
    fields = dict(
        puzzle_id="p1",
        context="Max is a wumpus. Every wumpus is a tumpus. Tumpuses are not metallic.",
        statement=statement,
        candidates=("true", "false"),
        answer=1,
        steps=2,
        distractors=0,
        group="g1",
        split="test",
    )
    return Puzzle(**fields | changes)


def close(ours, theirs) -> bool:
    """Whether two arrays or tensors differ by rounding only: 1e-4 of the largest value."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert np.isfinite(theirs).all()
    return np.allclose(ours, theirs, rtol=0, atol=1e-4 * float(np.abs(theirs).max()))
