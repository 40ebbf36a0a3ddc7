"""Positions and candidates with tokenizers of every common kind, each trained on the spot."""

import pytest
from tokenizers import (
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import PreTrainedTokenizerFast

from qkcore.asking.prompts import locate
from qkcore.asking.templates import TRUE_FALSE, PromptError
from tests.tiny import CORPUS, puzzle

SPECIAL = ["<unk>", "<s>", "</s>"]


def wrapped(tokenizer, **options):
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", **options)


def bpe_that_merges_full_stop_and_newline():
    """Byte-level BPE with the splitting of today's large models.

    Punctuation takes the newlines after it along.
    """
    tokenizer = Tokenizer(models.BPE())
    pattern = Regex(r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(pattern, "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=500, initial_alphabet=alphabet)
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


def sentencepiece_like(begins_with_bos=True):
    """Unigram over text in which spaces are "▁" and one is put in front.

    Newlines are characters of their own.
    """
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=True)
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="first")
    tokenizer.train_from_iterator(
        CORPUS, trainers.UnigramTrainer(vocab_size=200, special_tokens=SPECIAL, unk_token="<unk>")
    )
    if begins_with_bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
        )
    return wrapped(tokenizer, bos_token="<s>", eos_token="</s>")


def wordpiece_like():
    """Lower case, white space dropped, pieces inside a word marked "##"."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.train_from_iterator(
        CORPUS, trainers.WordPieceTrainer(vocab_size=300, special_tokens=SPECIAL)
    )
    return wrapped(tokenizer)


KINDS = {
    "bpe that merges": (bpe_that_merges_full_stop_and_newline, ".\n"),
    "sentencepiece with bos and eos": (sentencepiece_like, "\n"),
    "sentencepiece without bos": (lambda: sentencepiece_like(begins_with_bos=False), "\n"),
    "wordpiece": (wordpiece_like, "."),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_key_token_ends_the_statement(kind):
    make, ending = KINDS[kind]
    tokenizer = make()
    encoding = tokenizer(TRUE_FALSE.render(puzzle()), return_offsets_mapping=True)
    prompt = locate(tokenizer, TRUE_FALSE, puzzle())
    start, end = encoding["offset_mapping"][prompt.key_at]
    assert TRUE_FALSE.render(puzzle())[start:end].endswith(ending)
    assert end <= len(TRUE_FALSE.render(puzzle())) - len("Answer:")


@pytest.mark.parametrize("kind", KINDS)
def test_candidates_are_the_tokens_that_the_whole_text_ends_in(kind):
    tokenizer = KINDS[kind][0]()
    prompt = locate(tokenizer, TRUE_FALSE, puzzle(candidates=("true", "false yes")))
    for candidate, ids in zip(("true", "false yes"), prompt.candidates, strict=True):
        whole = tokenizer(f"{TRUE_FALSE.render(puzzle())} {candidate}")["input_ids"]
        closing = [tokenizer.eos_token_id] if whole[-1] == tokenizer.eos_token_id else []
        assert [*prompt.tokens, *ids, *closing] == whole
    assert len(prompt.candidates[1]) > 1


def test_a_candidate_is_tokenized_as_it_stands_in_the_text_and_not_as_a_text_of_its_own():
    tokenizer = bpe_that_merges_full_stop_and_newline()
    (ids, _) = locate(tokenizer, TRUE_FALSE, puzzle()).candidates
    assert list(ids) == tokenizer(" true")["input_ids"]
    assert list(ids) != tokenizer("true")["input_ids"]


def test_candidates_that_a_tokenizer_does_not_tell_apart_are_refused():
    with pytest.raises(PromptError, match=r"'True' and 'true'|'true' and 'True'"):
        locate(wordpiece_like(), TRUE_FALSE, puzzle(candidates=("true", "True")))


def test_an_unknown_candidate_is_refused():
    with pytest.raises(PromptError, match="no token for"):
        locate(wordpiece_like(), TRUE_FALSE, puzzle(candidates=("true", "☃")))
