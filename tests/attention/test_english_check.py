"""Models made by hand that know the text, know only its words, or know it with other weights."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from qkcore.attention.english_check import (
    MIN_GAIN,
    TEXT,
    EnglishCheck,
    english_check,
    require_english,
)
from qkcore.attention.geometry import UnsupportedModelError
from tests.attention.gguf_writer import in_pairs

WORDS = sorted(set(TEXT.split()))
N_WORDS = len(WORDS)


def by_words(text):
    """A tokenizer: one token a word."""
    return {"input_ids": [WORDS.index(word) for word in text.split()]}


class Table(nn.Module):
    """Tells the next word from the last one: (word, next word) logits."""

    def __init__(self, table):
        super().__init__()
        self.table = table
        self.embeddings = nn.Embedding(N_WORDS, 1)

    def get_input_embeddings(self):
        return self.embeddings

    def forward(self, input_ids, use_cache):
        return SimpleNamespace(logits=self.table[input_ids])


def knows_the_text(sureness=5.0):
    table = torch.zeros(N_WORDS, N_WORDS)
    words = by_words(TEXT)["input_ids"]
    table[words[:-1], words[1:]] = sureness
    return table


def knows_the_words():
    """The next word is likely what is frequent, whatever came before."""
    counts = torch.bincount(torch.tensor(by_words(TEXT)["input_ids"]), minlength=N_WORDS)
    return counts.log().expand(N_WORDS, N_WORDS)


def test_a_model_that_knows_the_text_reads_it():
    found = require_english("table", Table(knows_the_text()), by_words)
    assert found == english_check(Table(knows_the_text()), by_words)
    assert found.text < 2 < found.guessing < found.shuffled
    assert found.guessing == pytest.approx(math.log(N_WORDS))
    assert str(found) == (
        f"{found.text:.2f} nats a token, with its words shuffled {found.shuffled:.2f}"
    )


def test_a_model_that_guesses_is_as_surprised_as_there_are_words():
    found = english_check(Table(torch.zeros(N_WORDS, N_WORDS)), by_words)
    assert found.text == pytest.approx(found.guessing)
    assert found.shuffled == pytest.approx(found.guessing)


@pytest.mark.parametrize(
    ("table", "why"),
    [
        (torch.zeros(N_WORDS, N_WORDS), "guesses"),
        (knows_the_words(), "reads a heap of words as well"),
        (-knows_the_text(), "is surprised by what is there"),
        (torch.full((N_WORDS, N_WORDS), torch.nan), "gives no number"),
    ],
)
def test_a_model_that_does_not_read_is_refused_with_its_figures(table, why):
    with pytest.raises(UnsupportedModelError, match=r"^table does not read plain English: ") as no:
        require_english("table", Table(table), by_words)
    assert f"(guessing: {math.log(N_WORDS):.2f})" in str(no.value)
    assert str(english_check(Table(table), by_words)) in str(no.value)


@pytest.mark.parametrize(
    ("text", "shuffled", "is_read"),
    [
        (3.5, 6.7, True),
        (3.5, 3.5 + MIN_GAIN, True),
        (3.5, 3.4 + MIN_GAIN, False),
        (10.9, 20.0, False),  # worse than guessing, though better than a heap
    ],
)
def test_reading_is_better_than_a_heap_of_words_and_than_guessing(text, shuffled, is_read):
    assert EnglishCheck(text, shuffled, guessing=10.8).is_read == is_read


class Attention(nn.Module):
    """Two heads of six dims, one kv head, and a norm."""

    head_dim = 6

    def __init__(self):
        super().__init__()
        self.q_proj = nn.Linear(5, 12)
        self.k_proj = nn.Linear(5, 6, bias=False)
        self.norm = nn.LayerNorm(12, bias=False)


class Fused(nn.Module):
    """The same in one weight: two heads of queries, one of keys, one of values."""

    head_dim = 6
    config = SimpleNamespace(num_key_value_heads=1)

    def __init__(self):
        super().__init__()
        self.qkv_proj = nn.Linear(5, 24)


class Knowing(Table):
    """Has one table while its weights are the right ones, else another."""

    def __init__(self, table, otherwise, attention=Attention):
        super().__init__(table)
        self.otherwise = otherwise
        torch.manual_seed(0)
        self.attention = attention()
        self.right = {name: weight.clone() for name, weight in self.named_parameters()}
        self.n_calls = 0
        self.fails_at = None

    def forward(self, input_ids, use_cache):
        self.n_calls += 1
        if self.n_calls == self.fails_at:
            raise IndexError("index out of range in self")
        named = self.named_parameters()
        is_right = all(torch.equal(weight, self.right[name]) for name, weight in named)
        return SimpleNamespace(logits=(self.table if is_right else self.otherwise)[input_ids])

    def reorder(self, order):
        attention = self.attention
        for weight, n_heads in (
            (attention.q_proj.weight, 2),
            (attention.q_proj.bias, 2),
            (attention.k_proj.weight, 1),
        ):
            weight.data = torch.from_numpy(order(weight.detach().numpy(), n_heads))


def reader():
    """Reads with the right weights only."""
    return Knowing(knows_the_text(), -knows_the_text())


def in_halves(rows, n_heads):
    """The way back from pairs: even rows of each head, then odd ones."""
    heads = rows.reshape(n_heads, -1, *rows.shape[1:])
    return (
        torch.cat([torch.tensor(heads[:, ::2]), torch.tensor(heads[:, 1::2])], 1)
        .reshape(rows.shape)
        .numpy()
    )


def test_a_model_that_reads_as_it_is_is_not_refused():
    assert require_english("right", reader(), by_words).text < 2


@pytest.mark.parametrize(
    ("spoil", "how"),
    [
        (lambda model: model.reorder(in_pairs), "rows of its queries and keys in halves"),
        (lambda model: model.reorder(in_halves), "rows of its queries and keys in pairs"),
        (lambda model: model.attention.norm.weight.data.add_(1), "its norms one smaller"),
        (lambda model: model.attention.norm.weight.data.sub_(1), "its norms one larger"),
    ],
)
def test_a_model_that_reads_with_other_weights_was_misread(spoil, how):
    model = reader()
    spoil(model)
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    with pytest.raises(UnsupportedModelError, match=rf"it reads English better with .*{how}") as no:
        require_english("spoilt", model, by_words)
    assert "nats a token against" in str(no.value)
    assert all(torch.equal(weight, before[name]) for name, weight in model.named_parameters())


@pytest.mark.parametrize(("order", "how"), [(in_pairs, "in halves"), (in_halves, "in pairs")])
def test_rows_of_one_weight_for_all_are_put_back_and_those_of_values_left(order, how):
    model = Knowing(knows_the_text(), -knows_the_text(), Fused)
    for weight in model.attention.parameters():
        weight.data[:18] = torch.from_numpy(order(weight.detach().numpy()[:18], 3))
    with pytest.raises(UnsupportedModelError, match=f"rows of its queries and keys {how}"):
        require_english("spoilt", model, by_words)


def test_a_change_that_helps_and_does_not_make_it_read_is_no_reason():
    model = Knowing(-knows_the_text(20.0), torch.zeros(N_WORDS, N_WORDS))
    with pytest.raises(UnsupportedModelError, match="does not read plain English"):
        require_english("random", model, by_words)


@pytest.mark.parametrize("call", range(1, 8))
def test_weights_are_as_before_also_when_a_pass_fails(call):
    model = reader()
    model.fails_at = call
    with pytest.raises(UnsupportedModelError, match=r"^right fails on a short English text: index"):
        require_english("right", model, by_words)
    assert all(torch.equal(weight, model.right[name]) for name, weight in model.named_parameters())
