"""Multiple choice against an independent oracle: one plain pass, states hooked off projections."""

from dataclasses import replace

import pytest
import torch

from qkcore import InputError
from qkcore.asking.templates import OPTIONS, PromptError, PromptTemplate
from qkcore.attention.load import vouch_for
from qkcore.attention.rows import rows_of
from qkcore.puzzles.multiple_choice import generate_options, in_orders, with_never_right
from qkcore.results.answers import exam
from qkcore.results.matrix import row_labels
from qkcore.results.store import ResultStore
from qkcore.results.summaries import named_runs
from qkcore.results.verdicts import verdict_of
from qkcore.scoring.ablate import ablate
from qkcore.scoring.alignment import align
from qkcore.scoring.precompute import precompute
from qkcore.scoring.score import prompts_of, score_puzzle, score_puzzles
from qkcore.scoring.status import status
from tests.scoring.test_score import per_layer, plain_pass
from tests.tiny import close, puzzle, tiny_model, tiny_tokenizer

QUESTION = "Which of these is true of Max?"
TEXTS = ("Max is red.", "Max is metallic.", "Max is not a tumpus.", "None of the above.")


@pytest.fixture(scope="module")
def tokenizer():
    return tiny_tokenizer()


@pytest.fixture(scope="module")
def lm(tokenizer):
    return vouch_for(tiny_model("llama"), tokenizer, "tiny")


def asked(number=0, **changes):
    return puzzle(
        QUESTION.replace("Max", "Ben" * (number + 1)),
        puzzle_id=f"p{number}",
        **dict(candidates=TEXTS) | changes,
    )


def oracle(model_type, model, tokenizer, one, rope):
    """(layer, head, option) scores and (option,) logits of one ordinary pass over the prompt.

    The text is written out here, and positions are found by decoding what stands before them.
    """
    lines = [f"{letter}. {text}\n" for letter, text in zip("ABCDEF", one.candidates, strict=False)]
    head = (
        "Choose the option that follows from the context.\n"
        f"Context: {one.context}\nQuestion: {one.statement}\nOptions:\n"
    )
    ids = tokenizer(head + "".join(lines) + "Answer:")["input_ids"]
    read = [tokenizer.decode(ids[: n + 1]) for n in range(len(ids))]
    ends = [read.index(head + "".join(lines[: n + 1])) for n in range(len(lines))]
    states, out = plain_pass(model_type, model, ids, rope)
    scores = [
        torch.stack([per_layer(model, q, k, end, len(ids) - 1, rope) for q, k in states])
        for end in ends
    ]
    letters = [tokenizer(f" {letter}")["input_ids"] for letter in "ABCDEF"[: len(lines)]]
    shared = letters[0][:-1]  # a tokenizer that has no " A" begins all of them with " "
    assert all(one[:-1] == shared for one in letters)
    if shared:
        _, out = plain_pass(model_type, model, ids + shared, rope)
    return torch.stack(scores, dim=-1), torch.stack([out[-1, one[-1]] for one in letters])


@pytest.mark.parametrize("rope", ["raw", "pre", "post"])
@pytest.mark.parametrize("model_type", ["llama", "qwen3", "gpt2"])
def test_scores_are_the_cues_query_with_the_key_at_each_lines_end(model_type, rope, tokenizer):
    ours = score_puzzle(
        vouch_for(tiny_model(model_type), tokenizer, model_type),
        asked(),
        rope=rope,
        template=OPTIONS,
    )
    scores, logits = oracle(model_type, tiny_model(model_type), tokenizer, asked(), rope)
    assert ours.qk.shape == (3, scores.shape[1], 4)
    assert close(ours.qk, scores)
    assert close(ours.logits, logits)


def test_one_query_and_as_many_keys_as_options_are_read_of_each_statement(lm):
    prompts = prompts_of(lm, [asked(0), asked(1)], OPTIONS)
    rows = rows_of([prompts])
    assert rows.query_at.shape == rows.logits_at.shape == (1, 2)
    assert rows.keys_at.shape == (1, 8)
    for statement, prompt in enumerate(prompts):
        keys = rows.tokens[0, rows.keys_at[0, 4 * statement :][:4]].tolist()
        assert keys == [prompt.tokens[at] for at in prompt.option_ends]
        assert rows.tokens[0, rows.query_at[0, statement]] == prompt.tokens[-1]


@pytest.mark.parametrize("rope", ["pre", "post"])
def test_row_mates_padding_and_other_numbers_of_options_change_nothing(lm, rope):
    puzzles = [asked(0), asked(1), asked(2, candidates=TEXTS[:2]), asked(3, context="Max is red.")]
    together = list(score_puzzles(lm, puzzles, rope=rope, template=OPTIONS))
    for scores, one in zip(together, puzzles, strict=True):
        alone = score_puzzle(lm, one, rope=rope, template=OPTIONS)
        assert close(scores.qk, alone.qk)
        assert close(scores.logits, alone.logits)


@pytest.mark.parametrize("is_continued", [False, True])
def test_where_candidates_have_rows_of_their_own_scores_are_the_same(lm, is_continued):
    apart = replace(
        lm, geometry=replace(lm.geometry, is_side_by_side=False, is_continued=is_continued)
    )
    puzzles = [asked(0), asked(1), asked(2, context="Max is red.")]
    pairs = (score_puzzles(one, puzzles, template=OPTIONS) for one in (lm, apart))
    for shared, own in zip(*pairs, strict=True):
        assert close(own.qk, shared.qk)
        assert close(own.logits, shared.logits)


def test_options_have_no_queries_to_align(lm):
    with pytest.raises(PromptError, match="no queries of their own"):
        align(lm, asked(), template=OPTIONS)


@pytest.fixture(scope="module")
def scored(lm, tmp_path_factory):
    """(store, run id, puzzles) of generated options, with lens, beside a run in other words."""
    path = tmp_path_factory.mktemp("options") / "o.duckdb"
    puzzles = in_orders(with_never_right(generate_options(1, 0, n=12, options=3)), 2)
    settings = dict(puzzle_set="options", show_progress=False)
    run = precompute(lm, puzzles, path, template=OPTIONS, lens=True, **settings)
    own = PromptTemplate("{context} {statement}\n{options}\nThe letter is")
    other = precompute(lm, puzzles, path, template=own, **settings)
    assert run != other
    return path, run, puzzles


def test_a_run_keeps_the_scores_that_were_computed(lm, scored):
    path, run, puzzles = scored
    with ResultStore.open(path) as store:
        best = store.best_head(run)
        marks = exam(store, run, *best)
        tests = [one for one in puzzles if one.split == "test"]
        heads = [
            int(scores.of(*best).argmax()) for scores in score_puzzles(lm, tests, template=OPTIONS)
        ]
        assert marks["head"].tolist() == heads
        assert store.has_layers(run)
        assert store.worked_example(run) is None
        assert verdict_of(store, run) is not None


def test_runs_are_told_apart_by_roles_and_words(scored):
    path, run, _ = scored
    with ResultStore.open(path) as store:
        runs = named_runs(store).sort_values("run_id", key=lambda ids: ids != run)
    assert row_labels(runs) == ["tiny, options", "tiny, options, own words"]
    runs["template"] = [OPTIONS.text, "default"]
    assert row_labels(runs) == ["tiny, options", "tiny, plain"]


def test_heads_of_such_a_run_are_switched_off_but_no_one_path_is_cut(lm, scored):
    path, run, puzzles = scored
    settings = dict(template=OPTIONS, ks=[1], controls=2, limit=6, show_progress=False)
    assert ablate(lm, puzzles, path, kind="zero", **settings) == run
    with pytest.raises(InputError, match=r"a path to each of them .* use kind 'mean'"):
        ablate(lm, puzzles, path, kind="knock-out", **settings)
    assert status(path)[0].endswith(", none unfinished")
