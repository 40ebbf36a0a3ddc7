"""Puzzles asked through a tokenizer's chat template.

Positions against an oracle that reads the whole conversation.
"""

import hashlib
import io
import json

import pytest
import torch
from tokenizers import AddedToken

from qkcore.__main__ import main
from qkcore.asking.prompts import locate
from qkcore.asking.templates import TRUE_FALSE, Chat, PromptError, PromptTemplate, template_named
from qkcore.attention.load import vouch_for
from qkcore.puzzles.puzzle import puzzle_set_sha256, save_puzzles
from qkcore.results.store import ResultStore
from qkcore.scoring import precompute
from qkcore.scoring.alignment import align
from qkcore.scoring.score import prompts_of, score_puzzle
from tests.scoring.test_score import per_layer, plain_pass
from tests.tiny import close, puzzle, tiny_model, tiny_tokenizer

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + "
    "'\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LLAMA3 = (
    "{{ bos_token }}{% if not date_string is defined %}{% set date_string = strftime_now('%d %b "
    "%Y') %}{% endif %}{{ '<|start_header_id|>system<|end_header_id|>\n\nToday Date: ' + "
    "date_string + '\n\n<|eot_id|>' }}{% for m in messages %}{{ '<|start_header_id|>' + m['role'] "
    "+ '<|end_header_id|>\n\n' + m['content'] | trim + '<|eot_id|>' }}{% endfor %}"
)
INSTRUCT = "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}{{ '[INST] ' + m['content'] + ' [/INST]' }}{% else %}{{ ' ' + m['content'] + '</s>' }}{% endif %}{% endfor %}"  # noqa: E501
# no marker tokens
PLAIN_WORDS = (
    "{% for m in messages %}{{ '### ' + m['role'] + ':\n' + m['content'] + '\n\n' }}{% endfor %}"
)
KINDS = {
    "chatml": (CHATML, ("<|im_start|>", "<|im_end|>")),
    "llama 3": (LLAMA3, ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")),
    "instruct": (INSTRUCT, ("</s>",)),
    "plain words": (PLAIN_WORDS, ()),
}


def talking(chat_template, markers=()):
    """A tokenizer with a chat template; it writes <s> in front of a plain text by itself."""
    tokenizer = tiny_tokenizer(begins_with_bos=True)
    tokenizer.add_special_tokens(
        {"extra_special_tokens": [AddedToken(one, special=True) for one in markers]}
    )
    tokenizer.chat_template = chat_template
    return tokenizer


@pytest.fixture(params=KINDS)
def tokenizer(request):
    return talking(*KINDS[request.param])


def words(tokenizer, ids):
    return tokenizer.decode(ids, skip_special_tokens=False)


def test_the_prompt_is_what_the_tokenizer_itself_makes_of_the_two_turns(tokenizer):
    prompt = locate(tokenizer, Chat(TRUE_FALSE), puzzle())
    user = TRUE_FALSE.render(puzzle()).removesuffix("\nAnswer:")
    turns = [{"role": "user", "content": user}, {"role": "assistant", "content": "Answer: true"}]
    whole = tokenizer.apply_chat_template(
        turns, continue_final_message=True, date_string="26 Jul 2024", return_dict=False
    )
    assert [*prompt.tokens, *prompt.candidates[0]] == whole
    assert prompt.tokens.count(tokenizer.bos_token_id) == prompt.text.count("<s>") <= 1


def test_the_key_token_ends_the_statement_and_turn_markers_follow_it(tokenizer):
    prompt = locate(tokenizer, Chat(), puzzle())
    before, after = prompt.tokens[: prompt.key_at + 1], prompt.tokens[prompt.key_at + 1 :]
    assert words(tokenizer, before).rstrip().endswith("Statement: Max is metallic.")
    assert "Max" not in words(tokenizer, after)
    assert words(tokenizer, after).endswith("Answer:")
    assert len(words(tokenizer, after)) > len("\nAnswer:")


def test_tokens_before_the_statement_are_the_context_that_statements_share(tokenizer):
    first, second = (
        locate(tokenizer, Chat(), puzzle(text))
        for text in ("Max is metallic.", "Every wumpus is true.")
    )
    assert first.context_tokens == second.context_tokens
    assert words(tokenizer, first.context_tokens).endswith("Statement:")
    assert first.text[first.context_at :].startswith("Max is a wumpus.")


@pytest.mark.parametrize(
    "statement", ["Max is metallic.  ", "Max is 🦄🦄", "user assistant\nAnswer: Context: ."]
)
def test_odd_statements_keep_their_last_token_as_the_key(tokenizer, statement):
    prompt = locate(tokenizer, Chat(), puzzle(statement))
    assert words(tokenizer, prompt.tokens[: prompt.key_at + 1]).rstrip().endswith(statement.strip())


def test_scores_equal_those_of_separate_passes_over_the_whole_conversation(tokenizer):
    asked, model = puzzle(), tiny_model("llama")
    text = locate(tokenizer, Chat(), asked).text
    n_prompt = len(tokenizer(text, add_special_tokens=False)["input_ids"])
    ours = score_puzzle(vouch_for(tiny_model("llama"), tokenizer, "llama"), asked, template=Chat())
    for index, candidate in enumerate(asked.candidates):
        ids = tokenizer(f"{text} {candidate}", add_special_tokens=False)["input_ids"]
        ends = [
            words(tokenizer, ids[: n + 1]).rstrip().endswith("Statement: Max is metallic.")
            for n in range(n_prompt)
        ]
        key_at = ends.index(True)
        states, logits = plain_pass("llama", model, ids, "pre")
        expected = torch.stack(
            [per_layer(model, q, k, key_at, len(ids) - 1, "pre") for q, k in states]
        )
        assert close(ours.qk[..., index], expected)
        assert close(ours.logits[index], logits[n_prompt - 1, ids[n_prompt]])


def test_a_template_of_ones_own_puts_all_after_the_statement_into_the_assistants_turn():
    tokenizer = talking(CHATML)
    own = PromptTemplate("{context} Is it so: {statement}\n\nI say, so {{sic}}:")
    prompt = locate(tokenizer, Chat(own), puzzle())
    assert prompt.text.endswith(
        "Is it so: Max is metallic.<|im_end|>\n<|im_start|>assistant\nI say, so {sic}:"
    )


def test_a_date_in_the_chat_template_is_always_the_same():
    assert "Today Date: 26 Jul 2024" in locate(talking(LLAMA3), Chat(), puzzle()).text


@pytest.mark.parametrize(
    ("chat_template", "reason"),
    [
        (None, "has no chat template"),
        ("{% for m in messages %}{{ m['role'] }}{% endfor %}", "takes no user's turn"),
        (
            "{% for m in messages %}{{ m['content'] | upper }}{% endfor %}",
            "takes no user's turn|does not keep",
        ),
        (
            "{% for m in messages %}{{ m['content'] | replace('wumpus', 'cat') }}{% endfor %}",
            "'p1'.*does not keep the text",
        ),
        ("{{ messages[-1]['content'] }}", "'p1'.*does not keep the text"),
        (
            "{{ messages[0].content }}{{ raise_exception('system turns\nonly') }}",
            "takes no user's turn .*system turns",
        ),
        ("{% for", "takes no user's turn"),
    ],
)
def test_a_chat_template_that_cannot_be_used_is_refused_in_one_line(chat_template, reason):
    with pytest.raises(PromptError, match=reason) as refusal:
        locate(talking(chat_template), Chat(), puzzle())
    assert "\n" not in str(refusal.value)


def test_alignment_reads_the_same_chat(tokenizer):
    lm = vouch_for(tiny_model("llama"), tokenizer, "tiny")
    found = align(lm, puzzle(), template=Chat())
    (prompt,) = prompts_of(lm, [puzzle()], Chat())
    assert "".join(found.texts) == prompt.text
    spoken = [
        "".join(text for text, one in zip(found.texts, found.premises, strict=True) if one == n)
        for n in (0, 1)
    ]
    assert [one.strip() for one in spoken] == ["Max is a wumpus.", "Every wumpus is a tumpus."]
    scores = score_puzzle(lm, puzzle(), template=Chat()).qk
    assert abs(found.products[..., found.key_at] - scores).max() < 1e-4 * abs(scores).max()


def run_id(lm, store, template) -> str:
    """The id of a run on one puzzle, asked in this way; scored unless the store holds it."""
    return precompute.precompute(
        lm, [puzzle()], store, puzzle_set="one", template=template, show_progress=False
    )


def test_a_run_names_its_template_and_that_it_was_a_chat(tmp_path):
    tokenizer = talking(CHATML)
    lm = vouch_for(tiny_model("llama"), tokenizer, "tiny")
    own = PromptTemplate("{context} {statement}\nSo:")
    templates = [None, Chat(), own, Chat(own)]
    ids = [run_id(lm, tmp_path / "s.duckdb", template) for template in templates]
    with ResultStore.open(tmp_path / "s.duckdb") as store:
        runs = store.runs().set_index("run_id")
    assert [template_named(runs.loc[one, "template"]) for one in ids] == templates
    assert runs.loc[ids[0], "template"] == "default"
    # The revision of a model in memory stays the same
    tokenizer.chat_template = CHATML.replace("assistant", "model")
    assert run_id(lm, tmp_path / "s.duckdb", Chat()) not in ids
    assert run_id(lm, tmp_path / "s.duckdb", None) == ids[0]


def test_the_id_of_a_run_without_chat_is_made_of_what_it_always_was(tmp_path):
    """Runs that lie in a store already must be found again."""
    lm = vouch_for(tiny_model("llama"), talking(CHATML), "tiny", revision="r1")
    decisive = {
        "dtype": "float32",
        "model": "tiny",
        "model_revision": "r1",
        "part_size": 64,
        "puzzle_set": "one",
        "puzzle_set_sha256": puzzle_set_sha256([puzzle()]),
        "rope": "pre",
        "template": "default",
        "version": "0.1.0",  # the last that changed a number
    }
    key = hashlib.sha256(json.dumps(decisive).encode()).hexdigest()[:8]
    assert run_id(lm, tmp_path / "s.duckdb", None) == f"tiny-one-pre-{key}"


def test_plain_prompts_do_not_look_at_the_chat_template():
    lm = vouch_for(tiny_model("llama"), talking(CHATML), "tiny")
    assert prompts_of(lm, [puzzle()]) == prompts_of(
        vouch_for(tiny_model("llama"), talking(None), "tiny"), [puzzle()]
    )


@pytest.fixture(scope="module")
def chat_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "tiny-chat"
    tokenizer = talking(*KINDS["chatml"])
    tiny_model("qwen3").save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_check_and_score_say_how_they_asked(chat_folder, monkeypatch, capsys):
    assert main(["check", "--model", str(chat_folder), "--chat"]) == 0
    printed = capsys.readouterr().out
    assert "asked as: a chat" in printed
    assert "key token: '.', the statement's last; the chat's turn markers follow it" in printed
    assert "'<|im_end|>'" in printed
    monkeypatch.setattr(
        "sys.stdin", io.StringIO("Context: Max is a wumpus.\nStatement: Max is a wumpus.\n")
    )
    assert main(["score", "--model", str(chat_folder), "--chat", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["template"], printed["key_token"]) == ("{chat}default", ".")


def test_precompute_asks_as_a_chat_when_told_to(chat_folder, tmp_path):
    save_puzzles([puzzle()], tmp_path / "p.jsonl")
    arguments = ["--model", str(chat_folder), "--puzzles", str(tmp_path / "p.jsonl"), "--store"]
    assert main(["precompute", *arguments, str(tmp_path / "s.duckdb"), "--chat", "--quiet"]) == 0
    with ResultStore.open(tmp_path / "s.duckdb") as store:
        assert store.runs()["template"].item() == "{chat}default"


def test_chat_with_a_model_that_has_no_chat_template_is_one_line(tiny_folder, capsys):
    assert main(["check", "--model", str(tiny_folder), "--chat"]) == 2
    assert capsys.readouterr().err.startswith(
        "qkscope check: error: the tokenizer has no chat template; ask without it"
    )
