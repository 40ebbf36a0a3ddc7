"""Tiny models of the types that GGUF files hold, each with the tokenizer that goes with it."""

from functools import cache

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import GemmaTokenizer, LlamaTokenizer

from tests.tiny import CORPUS, SIZES, tiny_model, tiny_tokenizer

# Most rows are a multiple of 32, the block of Q8_0.
GGUF_SIZES = {
    "llama": dict(hidden_size=96, head_dim=32),
    "mistral": dict(hidden_size=64, head_dim=24),
    "qwen2": dict(hidden_size=96),
    "qwen3": dict(hidden_size=64, head_dim=24, tie_word_embeddings=True),
    "gemma2": SIZES["llama"] | dict(hidden_size=96, head_dim=32, query_pre_attn_scalar=32),
    "gemma3_text": SIZES["llama"]
    | dict(hidden_size=96, head_dim=32, query_pre_attn_scalar=32, sliding_window=9),
    "phi3": dict(
        hidden_size=64,
        num_attention_heads=4,
        num_key_value_heads=2,
        sliding_window=9,
        pad_token_id=0,
    ),
    "gpt2": dict(n_embd=64, n_positions=512),
}
SENTENCEPIECE = {"gemma2": GemmaTokenizer, "gemma3_text": GemmaTokenizer, "phi3": LlamaTokenizer}


def gguf_model(model_type: str, **changes):
    """A random model of the type; Gemma's norms and GPT-2's biases are not as they begin."""
    import torch

    SIZES.setdefault(model_type, {})
    model = tiny_model(model_type, **GGUF_SIZES[model_type] | changes)
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim == 1:
                weight.add_(torch.randn_like(weight) * 0.2)
    return model


@cache
def gguf_tokenizer(model_type: str):
    """The tokenizer as people publish it beside the model."""
    if model_type not in SENTENCEPIECE:
        return tiny_tokenizer()
    control = ["<pad>", "</s>", "<s>", "<unk>"]
    if model_type.startswith("gemma"):
        control = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
    vocab, merges = pieces([*control, *(f"<0x{byte:02X}>" for byte in range(256))])
    tokenizer = SENTENCEPIECE[model_type](vocab=vocab, merges=merges)
    if model_type == "phi3":  # its tokenizer.json, the shape of Llama 2's
        backend = tokenizer.backend_tokenizer
        backend.pre_tokenizer = None
        backend.normalizer = normalizers.Sequence(
            [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
        )
    return tokenizer


def pieces(first: list[str]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """(vocabulary, merges) of a sentencepiece model that was trained on our puzzles' words."""
    import json

    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.Metaspace()
    learner.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=410, special_tokens=first, show_progress=False)
    )
    made = json.loads(learner.to_str())["model"]
    return made["vocab"], [tuple(pair) for pair in made["merges"]]
