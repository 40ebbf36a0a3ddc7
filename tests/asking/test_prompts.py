import pytest
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from qkcore.asking.prompts import locate
from qkcore.asking.templates import (
    TRUE_FALSE,
    YES_NO,
    PromptError,
    PromptTemplate,
    default_template,
)
from tests.tiny import puzzle, tiny_tokenizer


def pieces(tokenizer, ids):
    return [tokenizer.decode([i]) for i in ids]


def tokenizer_that_merges_full_stop_and_newline() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.WordLevel(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[.:]\n?| ?\w+|\n"), behavior="isolated")
    trainer = trainers.WordLevelTrainer(special_tokens=["<unk>"])
    tokenizer.train_from_iterator([f"{TRUE_FALSE.render(puzzle())} true false"], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")


def test_the_key_token_is_the_last_before_the_word_answer():
    tokenizer = tiny_tokenizer()
    prompt = locate(tokenizer, TRUE_FALSE, puzzle())
    before, after = prompt.tokens[: prompt.key_at + 1], prompt.tokens[prompt.key_at + 1 :]
    assert tokenizer.decode(before) == TRUE_FALSE.render(puzzle()).removesuffix("Answer:")
    assert tokenizer.decode(after) == "Answer:"


def test_a_token_that_merges_full_stop_and_newline_is_the_key_token():
    tokenizer = tokenizer_that_merges_full_stop_and_newline()
    prompt = locate(tokenizer, TRUE_FALSE, puzzle())
    assert pieces(tokenizer, [prompt.tokens[prompt.key_at]]) == [".\n"]


def test_a_candidate_brings_its_leading_space():
    tokenizer = tiny_tokenizer()
    prompt = locate(tokenizer, TRUE_FALSE, puzzle())
    assert [tokenizer.decode(ids) for ids in prompt.candidates] == [" true", " false"]


def test_opening_tokens_are_kept_and_closing_tokens_left_out():
    plain, with_bos = tiny_tokenizer(), tiny_tokenizer(begins_with_bos=True)
    expected = locate(plain, TRUE_FALSE, puzzle())
    prompt = locate(with_bos, TRUE_FALSE, puzzle())
    assert prompt.tokens == (with_bos.bos_token_id, *expected.tokens)
    assert prompt.key_at == expected.key_at + 1
    assert prompt.candidates == expected.candidates


def test_a_candidate_of_several_tokens_keeps_them_all():
    tokenizer = tiny_tokenizer()
    prompt = locate(tokenizer, TRUE_FALSE, puzzle(candidates=("true", "quite possibly")))
    assert len(prompt.candidates[1]) > 1
    assert tokenizer.decode(prompt.candidates[1]) == " quite possibly"


def test_emoji_of_several_tokens_before_the_cue_do_not_shift_the_key():
    tokenizer = tiny_tokenizer()
    prompt = locate(tokenizer, TRUE_FALSE, puzzle(statement="Max is 🦄🦄"))
    assert tokenizer.decode(prompt.tokens[prompt.key_at + 1 :]) == "Answer:"


def test_the_word_answer_inside_a_puzzle_is_not_the_cue():
    tokenizer = tiny_tokenizer()
    prompt = locate(
        tokenizer, TRUE_FALSE, puzzle(statement="Max said\nAnswer: true", context="Answer: no.")
    )
    assert tokenizer.decode(prompt.tokens[prompt.key_at + 1 :]) == "Answer:"
    assert prompt.text.count("Answer:") == 3


def test_the_models_answer_is_told_where_candidates_first_differ():
    tokenizer = tiny_tokenizer()
    prompt = locate(tokenizer, TRUE_FALSE, puzzle(candidates=("not true", "not false")))
    assert tokenizer.decode(prompt.candidates[0][: prompt.n_shared]) == " not"
    assert pieces(tokenizer, prompt.answer_tokens) == [" true", " false"]
    assert locate(tokenizer, TRUE_FALSE, puzzle()).n_shared == 0


@pytest.mark.parametrize(
    "candidates",
    [("true", "not true", "not false"), ("true", "true false"), ("not true", "not true false")],
)
def test_candidates_that_one_next_token_cannot_tell_apart_are_refused(candidates):
    with pytest.raises(
        PromptError, match=r"'p1'.*both begin with the tokens.*cannot tell them apart"
    ):
        locate(tiny_tokenizer(), TRUE_FALSE, puzzle(candidates=candidates))


def test_a_word_without_a_token_is_refused_by_name():
    with pytest.raises(PromptError, match=r"'p1'.*no token for 'dragon'"):
        locate(
            tokenizer_that_merges_full_stop_and_newline(),
            TRUE_FALSE,
            puzzle(statement="Max is dragon."),
        )


def test_yes_and_no_get_the_question_template():
    assert default_template(puzzle(candidates=("yes", "no"))) is YES_NO
    assert default_template(puzzle(candidates=("No", "Yes"))) is YES_NO
    assert default_template(puzzle(candidates=("yes", "perhaps"))) is TRUE_FALSE


def test_braces_in_a_puzzle_are_text():
    text = TRUE_FALSE.render(puzzle(context="{statement} {0} {{x}}"))
    assert "Context: {statement} {0} {{x}}\n" in text


@pytest.mark.parametrize(
    "text",
    [
        "{context}\nAnswer:",
        "{statement} {context} Answer:",
        "{context} {statement} {statement} Answer:",
        "{context} {statement}\nAnswer: ",
        "{context} {statement}\n",
        "{context} {statement.__class__} Answer:",
        "{context} {statement} {other} Answer:",
        "{context} {statement} Answer: {",
    ],
)
def test_a_template_that_cannot_be_read_back_is_refused(text):
    with pytest.raises(PromptError, match="template"):
        PromptTemplate(text)
