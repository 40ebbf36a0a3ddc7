"""What is bundled: the model really answers, and the demo store really comes from it.

Both are small.
"""

import numpy as np
import pytest

from qkcore.attention.load import load_model
from qkcore.puzzles.generate import generate_puzzles
from qkcore.puzzles.puzzle import Puzzle, puzzle_set_sha256
from qkcore.results.store import ResultStore
from qkcore.scoring.score import score_puzzles
from tests import ROOT

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
    run = store.runs().iloc[0]
    assert run["model_revision"] == lm.revision
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
        run_id=run["run_id"],
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
        for split in ("validation", "test"):
            cells = store.difficulties(runs.loc[style, "run_id"], split)
            assert len(cells) == 6 * 6
            assert (cells["n"] >= 100).all()
        made = generate_puzzles(range(1, 7), range(0, 6), 200, 2026, style)
        assert runs.loc[style, "puzzle_set_sha256"] == puzzle_set_sha256(made)


def test_puzzles_of_other_people_are_stored_without_their_texts(store):
    other = store.frame(
        "select * from store.puzzles where puzzle_set not in ('made-up', 'everyday')"
    )
    assert other["context"].isna().all()
    assert other["statement"].isna().all()
