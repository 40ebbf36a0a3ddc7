"""Multiple choice: which tokens are read of a prompt that lists its options."""

from dataclasses import replace

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from qkcore.asking.options import roles_named
from qkcore.asking.prompts import locate
from qkcore.asking.templates import (
    OPTIONS,
    TRUE_FALSE,
    Chat,
    PromptError,
    PromptTemplate,
    template_name,
    template_named,
)
from qkcore.scoring.recipe import Recipe
from tests.tiny import puzzle, tiny_tokenizer

ASKED = puzzle("Which of these is true of Max?", candidates=("Max is red.", "Max is metallic."))


@pytest.fixture(scope="module")
def tokenizer():
    return tiny_tokenizer()


def test_options_stand_a_line_each_and_the_text_ends_in_the_cue(tokenizer):
    text = locate(tokenizer, OPTIONS, ASKED).text
    assert text.endswith("Max?\nOptions:\nA. Max is red.\nB. Max is metallic.\nAnswer:")


def test_a_key_is_read_at_the_end_of_each_options_line(tokenizer):
    prompt = locate(tokenizer, OPTIONS, ASKED)
    read_up_to = [tokenizer.decode(prompt.tokens[: at + 1]) for at in prompt.option_ends]
    assert read_up_to[0].endswith("A. Max is red.\n")
    assert read_up_to[1].endswith("B. Max is metallic.\n")
    assert prompt.key_at == prompt.option_ends[-1]


def test_the_model_is_asked_for_a_letter(tokenizer):
    prompt = locate(tokenizer, OPTIONS, ASKED)
    assert [tokenizer.decode(ids) for ids in prompt.candidates] == [" A", " B"]


def test_where_a_tokenizer_drops_ends_of_lines_the_texts_last_token_is_read():
    words = "A B . : Options Answer Max is red metallic".split()
    whole = Tokenizer(models.WordLevel({word: n for n, word in enumerate(["?", *words])}, "?"))
    whole.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.Punctuation()]
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=whole)
    prompt = locate(tokenizer, OPTIONS, replace(ASKED, candidates=("red", "Max is metallic.")))
    assert [tokenizer.decode(prompt.tokens[at]) for at in prompt.option_ends] == ["red", "."]


def test_a_run_says_its_roles_by_its_template():
    assert template_named(template_name(OPTIONS)) == OPTIONS
    assert [roles_named(template_name(one)) for one in (OPTIONS, TRUE_FALSE, None, Chat())] == [
        "options",
        "answer",
        "answer",
        "answer",
    ]


def test_options_in_other_words_are_found_too(tokenizer):
    own = PromptTemplate("{context} {statement}\n{options}\nThe letter is")
    prompt = locate(tokenizer, own, ASKED)
    assert prompt.text.endswith("\nThe letter is")
    assert tokenizer.decode(prompt.tokens[: prompt.option_ends[-1] + 1]).endswith("metallic.\n")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{context} {statement} {options}\nAnswer:", "on a line of its own"),
        ("{context}\n{options}\n{statement} Answer:", r"hold \{context\} once and then"),
    ],
)
def test_a_template_whose_options_have_no_lines_is_refused(text, reason):
    with pytest.raises(PromptError, match=reason):
        PromptTemplate(text)


def test_options_are_not_asked_as_a_chat():
    with pytest.raises(PromptError, match="ask without --chat"):
        Chat(OPTIONS)


def test_more_options_than_letters_are_refused(tokenizer):
    many = replace(ASKED, candidates=tuple(f"Max is {n}." for n in range(27)))
    with pytest.raises(PromptError, match="'p1' has 27 candidates, but options are named by 26"):
        locate(tokenizer, OPTIONS, many)


@pytest.mark.parametrize(
    ("roles", "text"), [("options", TRUE_FALSE.text), ("answer", OPTIONS.text)]
)
def test_a_template_of_other_roles_is_refused_before_a_model_is_loaded(roles, text):
    with pytest.raises(PromptError, match="with --roles options it lists"):
        Recipe("no such model", template=text, roles=roles).load()


def test_roles_alone_ask_in_the_words_that_are_usual():
    assert Recipe("m", roles="options").asked_by() == OPTIONS
    assert Recipe("m").asked_by() is None
