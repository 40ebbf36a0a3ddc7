"""Does a model read plain English? Asked of weights that went through many hands.

A file of another program can be read in a wrong order and still give a model that runs, whose
attention is its own and passes the self-check. Only what it makes of a text shows it: this check
reads a short text (after Charles Darwin, The Voyage of the Beagle, in the public domain) and the
same words shuffled. For converted files it also tries the known ways to be wrong, backwards: if the
model reads better with the rows of its queries and keys in another order, or with its norms moved
by one, then the file was misread.
"""

import math
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from qkcore.attention.geometry import UnsupportedModelError, input_embeddings

TEXT = Path(__file__).with_name("english.txt").read_text(encoding="utf-8").strip()
MIN_GAIN = 0.5  # nats a token that the text must be easier than its shuffled words
MIN_BETTER = 0.25  # nats a token by which other weights must do better to be believed
SHUFFLES = 2


@dataclass(frozen=True, slots=True)
class EnglishCheck:
    """How well a model reads, in nats a token: lower is better."""

    text: float
    shuffled: float  # the same words in another order, mean of `SHUFFLES`
    guessing: float  # all tokens of the vocabulary alike

    @property
    def is_read(self) -> bool:
        """Whether the model reads the text better than a heap of its words, and than guessing."""
        return self.shuffled - self.text >= MIN_GAIN and self.text < self.guessing

    def __str__(self) -> str:
        """The figures as people quote them."""
        return f"{self.text:.2f} nats a token, with its words shuffled {self.shuffled:.2f}"


def english_check(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> EnglishCheck:
    """Read the text and its shuffled words.

    Args:
        model: a causal LM in eval mode.
        tokenizer: its own.
    """
    heaps = [_shuffled(TEXT, seed) for seed in range(SHUFFLES)]
    mixed = sum(nats_per_token(model, tokenizer, heap) for heap in heaps) / SHUFFLES
    n_tokens = input_embeddings(model).shape[0]
    return EnglishCheck(nats_per_token(model, tokenizer, TEXT), mixed, math.log(n_tokens))


def nats_per_token(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, text: str) -> float:
    """Mean negative log likelihood of each token of a text but the first, given those before it.

    Of as much of the text as the model reaches.
    """
    device = input_embeddings(model).device
    config = getattr(model, "config", None)
    reach = getattr(config and config.get_text_config(), "max_position_embeddings", None)
    tokens = torch.tensor([tokenizer(text)["input_ids"][:reach]], device=device)
    with torch.inference_mode():
        logits = model(input_ids=tokens, use_cache=False).logits[0, :-1].float()
    return float(nn.functional.cross_entropy(logits, tokens[0, 1:].to(logits.device)))


def require_english(
    name: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> EnglishCheck:
    """The figures of a model that reads as it is, and not better altered.

    Raises:
        UnsupportedModelError: for any other.
    """
    try:
        found = english_check(model, tokenizer)
        better = _read_better(model, tokenizer, found)
    except Exception as error:  # of several libraries, and of whatever kind
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UnsupportedModelError(f"{name} fails on a short English text: {reason}") from error
    if better is not None:
        raise UnsupportedModelError(
            f"{name} was misread: it reads English better {better[0]} ({better[1]:.2f} nats a "
            f"token against {found.text:.2f}), so its file keeps weights in another way than its "
            "architecture says, and it is not scored"
        )
    return _read(name, found)


def require_reading(
    name: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, how: str
) -> EnglishCheck:
    """The figures of a quantised model that reads. How it might have been misread is not tried.

    Raises:
        UnsupportedModelError: for one that does not read, or fails on the text.
    """
    try:
        found = english_check(model, tokenizer)
    except Exception as error:  # of several libraries, and of whatever kind
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UnsupportedModelError(
            f"{name} ({how}) fails on a short English text: {reason}"
        ) from error
    return _read(f"{name} ({how})", found)


def _read(name: str, found: EnglishCheck) -> EnglishCheck:
    """What was found, or a refusal where the model does not read."""
    if not found.is_read:
        raise UnsupportedModelError(
            f"{name} does not read plain English: {found} (guessing: {found.guessing:.2f}); its "
            "weights or its tokenizer were damaged or misread, so it is not scored"
        )
    return found


def _read_better(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, found: EnglishCheck
) -> tuple[str, float] | None:
    """(how altered, nats a token) of the first alteration that makes the model read, or None."""
    for how, alter in ALTERATIONS.items():
        with _altered(model, alter) as is_altered:
            if is_altered and nats_per_token(model, tokenizer, TEXT) < found.text - MIN_BETTER:
                # Any change may help a heap of random numbers; this one has to make it read.
                check = english_check(model, tokenizer)
                if check.is_read:
                    return how, check.text
    return None


def _shuffled(text: str, seed: int) -> str:
    words = text.split()
    random.Random(seed).shuffle(words)  # noqa: S311 -- no secret
    return " ".join(words)


Alteration = Callable[[nn.Module], Iterator[tuple[Tensor, Tensor]]]  # (weight, what it becomes)


def _in_pairs(rows: Tensor, n_heads: int) -> Tensor:
    """(head * dim, ...) rows whose halves are interleaved: from Hugging Face's order to GGUF's."""
    return rows.unflatten(0, (n_heads, 2, -1)).transpose(1, 2).flatten(0, 2)


def _in_halves(rows: Tensor, n_heads: int) -> Tensor:
    """(head * dim, ...) rows, even ones first: the way back from `_in_pairs`."""
    return rows.unflatten(0, (n_heads, -1, 2)).transpose(1, 2).flatten(0, 2)


def _reordered(order: Callable[[Tensor, int], Tensor]) -> Alteration:
    def alter(model: nn.Module) -> Iterator[tuple[Tensor, Tensor]]:
        for module in model.modules():
            head_dim = getattr(module, "head_dim", None)
            for name in ("q_proj", "k_proj", "qkv_proj"):
                projection = getattr(module, name, None)
                if not isinstance(projection, nn.Linear) or not isinstance(head_dim, int):
                    continue
                n_heads = projection.out_features // head_dim
                if name == "qkv_proj":  # values come last, one per kv head
                    config: Any = module.config
                    n_heads -= config.num_key_value_heads
                for weight in projection.parameters():
                    rows, others = weight.data.tensor_split([n_heads * head_dim])
                    yield weight, torch.cat([order(rows, n_heads), others])

    return alter


def _moved_norms(by: float) -> Alteration:
    def alter(model: nn.Module) -> Iterator[tuple[Tensor, Tensor]]:
        for name, weight in model.named_parameters():
            if "norm" in name and name.endswith("weight"):
                yield weight, weight.data + by

    return alter


ALTERATIONS: dict[str, Alteration] = {
    "with the rows of its queries and keys in pairs": _reordered(_in_pairs),
    "with the rows of its queries and keys in halves": _reordered(_in_halves),
    "with its norms one larger": _moved_norms(1.0),
    "with its norms one smaller": _moved_norms(-1.0),
}


@contextmanager
def _altered(model: nn.Module, alter: Alteration) -> Iterator[bool]:
    """While open, the model has other weights; says whether there was anything to alter."""
    changes = [(weight, weight.data, other) for weight, other in alter(model)]
    try:
        for weight, _, other in changes:
            weight.data = other
        yield bool(changes)
    finally:
        for weight, kept, _ in changes:
            weight.data = kept
