"""What is bundled: the model really answers, and the demo store really comes from it.

Both are small.
"""

import numpy as np
import pytest

from qkcore.attention.load import load_model
from qkcore.puzzles.generate import generate_puzzles
from qkcore.puzzles.puzzle import Puzzle, puzzle_set_sha256
from qkcore.results.store import ResultStore
from qkcore.results.verdicts import verdict_of
from qkcore.scoring.score import score_puzzles
from tests import ROOT
from tests.stores import demo_run

DATA = ROOT / "data"
SEED = 31_337  # neither the demo store's nor the model card's


@pytest.fixture(scope="module")
def lm():
    return load_model(DATA / "reference")


@pytest.fixture(scope="module")
def store():
    with ResultStore.open(DATA / "qkscope.duckdb") as store:
        yield store


def test_model_and_store_are_small():
    files = [*(DATA / "reference").glob("*"), DATA / "qkscope.duckdb"]
    assert sum(path.stat().st_size for path in files) < 40e6
    assert (DATA / "reference" / "model.safetensors").stat().st_size < 16e6


@pytest.mark.parametrize("style", ["made-up", "everyday"])
def test_the_model_answers_fresh_puzzles_of_one_and_two_steps(lm, style):
    puzzles = generate_puzzles((1, 2), (0, 1), 40, SEED, style)
    is_right = [
        scores.model_choice == scores.puzzle.answer for scores in score_puzzles(lm, puzzles)
    ]
    assert np.mean(is_right) > 0.9


def test_every_word_of_the_generator_is_one_token(lm):
    for puzzle in generate_puzzles(range(7), 5, 4, SEED, "made-up") + generate_puzzles(
        range(7), 5, 4, SEED, "everyday"
    ):
        words = f"{puzzle.context} {puzzle.statement}".replace(".", " .").split()
        assert len(lm.tokenizer(f" {puzzle.context} {puzzle.statement}")["input_ids"]) == len(words)


def test_the_list_of_known_words_is_what_the_tokenizer_knows(lm):
    words = (DATA / "reference" / "words.txt").read_text().split()
    assert len(words) == len(set(words)) > 250
    assert all(len(lm.tokenizer(f" {word}")["input_ids"]) == 1 for word in words)
    # A word that is not in the list falls to pieces
    assert len(lm.tokenizer(" dragon")["input_ids"]) > 1


def test_the_stored_numbers_are_those_of_the_bundled_model(lm, store):
    run = store.runs().set_index("run_id").loc[demo_run()]
    assert (run["model_revision"], run["scores"]) == (lm.revision, "float32")
    rows = store.frame(
        """
        select p.puzzle_id, any_value(p) as puzzle,
               list(s.qk order by s.candidate, s.layer, s.head) as qk,
               any_value(l.logit) as logits
        from store.scores s join store.puzzles p using (puzzle_id)
        join store.logits l on l.run_id = s.run_id and l.place = s.place
        where s.run_id = $run_id and p.puzzle_set = $puzzle_set
        group by p.puzzle_id
        order by hash(p.puzzle_id)
        limit 12
        """,
        run_id=demo_run(),
        puzzle_set=run["puzzle_set"],
    )
    names = (
        "puzzle_id",
        "context",
        "statement",
        "answer",
        "steps",
        "distractors",
        "group",
        "split",
    )
    puzzles = [
        Puzzle(candidates=tuple(row["candidates"]), **{name: row[name] for name in names})
        for row in rows["puzzle"]
    ]
    for scores, qk, logits in zip(
        score_puzzles(lm, puzzles, rope=run["rope"]), rows["qk"], rows["logits"], strict=True
    ):
        np.testing.assert_allclose(scores.qk.reshape(-1, 2).T.ravel(), qk, atol=1e-4)
        np.testing.assert_allclose(scores.logits, logits, atol=1e-4)


def test_the_store_holds_both_styles_at_every_difficulty(store):
    runs = store.runs().drop_duplicates("puzzle_set").set_index("puzzle_set")
    for style in ("made-up", "everyday"):
        cells = store.difficulties(runs.loc[style, "run_id"], "test")
        assert (len(cells), cells["n"].sum()) == (6 * 6, 720)
        made = generate_puzzles(range(1, 7), range(0, 6), 40, 2026, style)
        assert runs.loc[style, "puzzle_set_sha256"] == puzzle_set_sha256(made)


def test_the_store_opens_on_a_real_model_that_a_surface_rule_explains(store):
    first = store.runs().iloc[0]
    assert (first["model"], first["puzzle_set"]) == (
        "SmolLM2-135M-Instruct.Q4_1",
        "pararule-plus",
    )
    found = verdict_of(store, first["run_id"])
    assert found.name == "surface rule"
    assert "on the balanced twin" in found.sentence
    gap, fair, *_ = (step.left.value for step in found.steps)
    assert gap > 0.3 > fair > 0.1
    rule, twin = found.steps[-2:]
    assert (rule.best, rule.own.accuracy.value) == ('"contains not"', 1.0)
    assert abs(twin.left.value) < 0.06


def test_the_bundled_model_is_the_positive_control(store):
    heads = store.head_accuracy(demo_run(), "test").set_index(["layer", "head"])
    best = heads.loc[store.best_head(demo_run())]
    assert best["low"] > store.luck(demo_run(), "test")["q95"].item()
    assert store.model_accuracy(demo_run(), "test")["low"].item() > 0.65
