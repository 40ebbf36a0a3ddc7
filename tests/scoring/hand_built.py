"""Transformers built by hand, of which is known who uses what, and puzzles for them.

A statement's last word alone gives the answer away ("Max is w3." is true, "Max is w4." is false).
All weights are small noise but for a few numbers in two heads: READER's queries at a candidate and
keys at a word meet where the word's answer stands (so it is right on every puzzle), and a carrier's
query at the cue finds the word, and its output takes the word's answer to the output matrix. All
features are as long as they are because every embedding has length sqrt(SIZE), which norms keep.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from qkcore.attention.load import CausalLM, vouch_for
from qkcore.puzzles.puzzle import Puzzle
from qkcore.scoring.ablate import ablate
from qkcore.scoring.precompute import precompute

SIZE, N_HEADS, HEAD_SIZE, N_WORDS = 64, 8, 16, 80
READER = (3, 2)  # in the last layer, so that nothing reads what it writes but the output
BACKUP = (3, 5)
ELSEWHERE = (2, 6)  # a head in another layer than the reader's
# Dims of the residual stream: a word's answer, "I am a word", "I am the cue", which candidate, and
# what the output matrix reads
ANSWER, IS_WORD, IS_CUE, CANDIDATE, TO_OUTPUT = range(5)
# and, one dim each, "I am of the words that this head carries"
OF_HEAD = range(5, 5 + N_HEADS)
LENGTH = 3.0  # of each feature
# Two of a head's dims that rotary hardly turns
FINDS, READS = 7, 15


def puzzles(n_contexts: int = 80, n_statements: int = 4) -> list[Puzzle]:
    """As many true as false, a context's statements in one group, contexts half and half."""
    words = [f"w{number}" for number in range(N_WORDS)]
    return [
        Puzzle(
            puzzle_id=f"{context}-{number}",
            context=f"Max is c{context}.",
            statement=f"Max is {words[(context * 7 + number * 13) % N_WORDS]}.",
            candidates=("true", "false"),
            answer=(context * 7 + number * 13) % N_WORDS % 2,
            steps=1,
            distractors=0,
            group=f"g{context}",
            split="test" if context % 2 else "validation",
        )
        for context in range(n_contexts)
        for number in range(n_statements)
    ]


@cache
def tokenizer() -> PreTrainedTokenizerFast:
    """A token is a word with the space before it and the newline after it."""
    text = (
        "Decide from the context whether the statement is true or false.\nContext: Max is c.\n"
        "Statement: Max is w.\nAnswer: true false"
    )
    cut = pre_tokenizers.Split(Regex(r" ?[^ \n]+\n?"), "isolated")
    known = [piece for piece, _ in cut.pre_tokenize_str(text)]
    known += [f" w{number}.\n" for number in range(N_WORDS)] + [f" c{n}.\n" for n in range(80)]
    vocabulary = {word: number for number, word in enumerate(dict.fromkeys(["<unk>", *known]))}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    made.pre_tokenizer, made.decoder = cut, decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=made, unk_token="<unk>", pad_token="<unk>")


def _noise(seed: int = 0) -> LlamaForCausalLM:
    """A model that does nothing much, with the features in its embeddings."""
    vocabulary = tokenizer().get_vocab()
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=SIZE,
        intermediate_size=32,
        num_hidden_layers=4,
        num_attention_heads=N_HEADS,
        num_key_value_heads=N_HEADS,
        head_dim=HEAD_SIZE,
        max_position_embeddings=256,
        tie_word_embeddings=False,
        initializer_range=0.02,
        rope_parameters=dict(rope_type="default", rope_theta=1e12),
    )
    torch.manual_seed(seed)
    model = LlamaForCausalLM(config).float().eval()
    rows = torch.randn(len(vocabulary), SIZE)
    rows[:, : OF_HEAD.stop] = 0
    features = torch.zeros_like(rows)
    for word, row in vocabulary.items():
        if word.startswith(" w") and word.endswith(".\n"):
            number = int(word[2:-2] or 0)
            features[row, ANSWER] = LENGTH if number % 2 == 0 else -LENGTH
            features[row, IS_WORD] = LENGTH
            features[row, OF_HEAD[number // 2 % N_HEADS]] = LENGTH
    features[vocabulary["Answer:"], IS_CUE] = LENGTH
    features[vocabulary[" true"], CANDIDATE] = LENGTH
    features[vocabulary[" false"], CANDIDATE] = -LENGTH
    left = (SIZE - features.square().sum(-1, keepdim=True)).sqrt()
    with torch.no_grad():
        model.get_input_embeddings().weight.copy_(
            features + rows / rows.norm(dim=-1, keepdim=True) * left
        )
        output = model.get_output_embeddings().weight
        output[vocabulary[" true"], TO_OUTPUT] = 1
        output[vocabulary[" false"], TO_OUTPUT] = -1
    return model


def _reads(model: LlamaForCausalLM, layer: int, head: int) -> None:
    """Have a head's QK-score tell a word's answer."""
    attention, row = model.model.layers[layer].self_attn, head * HEAD_SIZE + READS
    with torch.no_grad():
        attention.q_proj.weight[row, CANDIDATE] = 1
        attention.k_proj.weight[row, ANSWER] = 1


def _carries(model: LlamaForCausalLM, layer: int, head: int, amount: float) -> None:
    """Have a head look from the cue to the word, and take its answer to the output matrix."""
    attention, first = model.model.layers[layer].self_attn, head * HEAD_SIZE
    with torch.no_grad():
        attention.q_proj.weight[first + FINDS, IS_CUE] = 3
        attention.k_proj.weight[first + FINDS, IS_WORD] = 3
        attention.v_proj.weight[first, ANSWER] = 1
        attention.o_proj.weight[TO_OUTPUT, first] = amount / LENGTH


def shared() -> LlamaForCausalLM:
    """One head reads all answers; it and the others of its layer carry an eighth of the words each.

    A head that meets another's word looks at the cue itself.
    """
    model = _noise()
    _reads(model, *READER)
    attention = model.model.layers[READER[0]].self_attn
    for head in range(N_HEADS):
        _carries(model, READER[0], head, amount=6)
        with torch.no_grad():
            row = head * HEAD_SIZE + FINDS
            attention.k_proj.weight[row, IS_WORD] = 0
            attention.k_proj.weight[row, OF_HEAD[head]] = 3
            attention.k_proj.weight[row, IS_CUE] = 1.5
    return model


def carried() -> LlamaForCausalLM:
    """One head reads the answer and takes it to the output: without it, chance."""
    model = _noise()
    _reads(model, *READER)
    _carries(model, *READER, amount=6)
    return model


def unused() -> LlamaForCausalLM:
    """One head reads the answer and nobody uses it; another, elsewhere, carries it unread."""
    model = _noise()
    _reads(model, *READER)
    _carries(model, *ELSEWHERE, amount=6)
    return model


def backed_up() -> LlamaForCausalLM:
    """Two heads read and carry, each so much that the last norm makes one as good as both."""
    model = _noise()
    for head in (READER, BACKUP):
        _reads(model, *head)
        _carries(model, *head, amount=200)
    return model


BUILT: dict[str, Callable[[], LlamaForCausalLM]] = {
    "carried": carried,
    "unused": unused,
    "backed up": backed_up,
    "shared": shared,
}


@cache
def built(name: str) -> CausalLM:
    """One of them, checked as any other model is."""
    return vouch_for(BUILT[name](), tokenizer(), name)


def ablated(name: str, path: Path, kinds: tuple[str, ...] = ("mean",)) -> str:
    """Score one of them into a store, and switch off the best head and the two best.

    Returns:
        The run's id.
    """
    lm, asked = built(name), puzzles()
    run_id = precompute(lm, asked, path, puzzle_set="words", show_progress=False)
    for kind in kinds:
        ablate(lm, asked, path, kind=kind, ks=(1, 2), show_progress=False)
    return run_id
