"""Verdicts on stores whose truth is known, from raw scores through publishing to the sentence."""

from dataclasses import replace

import numpy as np
import pytest

from qkcore.puzzles.puzzle import Puzzle, puzzle_set_sha256
from qkcore.results.store import ResultStore
from qkcore.results.verdicts import (
    areas,
    evidence_of,
    left_over,
    parent_run,
    three_gaps,
    twin_run,
    verdict_of,
)
from tests.stores import planted_puzzles, planted_run, publish_parts, write_parts

HEAD = 6  # L1 H2 of 3 layers with 4 heads
N_GROUPS = 120


def asked(is_twin: bool, parent: str | None = None) -> list[Puzzle]:
    """Four questions a context; "not" stands in the false ones, on the twin in half of them."""
    return [
        Puzzle(
            puzzle_id=f"c{context}-{number}",
            context=f"Context {context} of {'twin' if is_twin else 'set'}.",
            statement=f"X is {'not ' * (number % 2 if is_twin else number // 2)}P{number}.",
            candidates=("true", "false"),
            answer=number // 2,
            steps=1 + context % 2,
            distractors=None,
            group=f"c{context}",
            split="test" if context % 2 else "validation",
            parent=parent,
        )
        for context in range(N_GROUPS)
        for number in range(4)
    ]


def said_to(puzzles: list[Puzzle], kind: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores of heads that guess, one of which is planted; the model always says false."""
    rng = np.random.default_rng(seed)
    qk = rng.normal(size=(len(puzzles), 12, 2)).astype(np.float32)
    logits = rng.normal(size=(len(puzzles), 2)).astype(np.float32)
    logits[:, 1] += 9
    for row, puzzle in enumerate(puzzles):
        knows = rng.random() < 0.9
        if kind in ("logical", "leaning model") and knows:
            qk[row, HEAD] = 3 * np.eye(2)[puzzle.answer]
        if kind == "word" and knows:
            qk[row, HEAD] = 3 * np.eye(2)[int("not" in puzzle.statement)]
        if kind == "constant":
            qk[row, HEAD, 1] += 99
        if kind == "leaning model" and rng.random() < 0.9:
            logits[row, puzzle.answer] += 5
    return qk, logits


def store_of(path, kind: str, with_twin: bool = True, seed: int = 0):
    """A run whose best head is of a known kind, with one on the twin."""
    sets = {"run": asked(is_twin=False)}
    if with_twin:
        sets["twin"] = asked(is_twin=True, parent=puzzle_set_sha256(sets["run"]))
    for number, (name, puzzles) in enumerate(reversed(sets.items())):
        scores = said_to(puzzles, kind, seed + number)
        run = planted_run(puzzles, run_id=name, puzzle_set=f"{name}-set")
        parts = write_parts(path.with_suffix(f".{name}"), puzzles, *scores)
        publish_parts(path, run, puzzles, parts)
    return path


@pytest.mark.parametrize(
    ("kind", "with_twin", "name", "says"),
    [
        ("logical", True, "something is left", "on the balanced twin"),
        ("word", True, "surface rule", "but on the balanced twin it gets"),
        ("word", False, "surface rule", 'the surface rule "contains not"|"contains not"'),
        ("guessing", True, "not above luck", "The chosen head is not above luck"),
        ("leaning model", False, "calibration", "Calibration explains it"),
    ],
)
def test_a_planted_head_gets_its_verdict(kind, with_twin, name, says, tmp_path):
    with ResultStore.open(store_of(tmp_path / "s.duckdb", kind, with_twin)) as store:
        found = verdict_of(store, "run")
        assert found.name == name, found.sentence
        assert any(part in found.sentence for part in says.split("|")), found.sentence
        if kind != "guessing":
            assert store.best_head("run") == (1, 2)


def test_evidence_is_counted_from_single_puzzles(tmp_path):
    with ResultStore.open(store_of(tmp_path / "s.duckdb", "word")) as store:
        evidence = evidence_of(store, "run")
        assert store.best_head("run") == (1, 2)
    for name, puzzles, seed, own in (
        ("run", asked(is_twin=False), 1, evidence.head),
        ("twin", asked(is_twin=True), 0, evidence.twin.head),
    ):
        qk, _ = said_to(puzzles, "word", seed)
        right = [
            qk[row, HEAD].argmax() == puzzle.answer
            for row, puzzle in enumerate(puzzles)
            if puzzle.split == "test"
        ]
        assert own.value == pytest.approx(np.mean(right)), name
        assert own.low < own.value < own.high
    assert evidence.model.accuracy.value == 0.5
    assert evidence.rule.name == '"contains not"'
    assert (evidence.rule.accuracy.value, evidence.majority.accuracy.value) == (1.0, 0.5)
    assert (evidence.n, evidence.n_groups) == (240, 60)
    assert evidence.twin.luck == 0.5


def test_a_run_and_its_twin_find_each_other_and_nobody_else(tmp_path):
    path = store_of(tmp_path / "s.duckdb", "word")
    puzzles = asked(is_twin=False)
    other = planted_run(puzzles, run_id="other", puzzle_set="run-set", model="another")
    parts = write_parts(tmp_path / "parts", puzzles, *said_to(puzzles, "word", 3))
    publish_parts(path, other, puzzles, parts)
    with ResultStore.open(path) as store:
        assert (twin_run(store, "run"), parent_run(store, "twin")) == ("twin", "run")
        assert (twin_run(store, "twin"), parent_run(store, "run")) == (None, None)
        assert twin_run(store, "other") is None
        assert evidence_of(store, "other").twin is None


def test_what_is_left_never_rises_but_for_the_twin(tmp_path):
    with ResultStore.open(store_of(tmp_path / "s.duckdb", "word")) as store:
        steps = left_over(store, "run")
    assert steps["step"].tolist() == [
        "gap to the model",
        "after calibration",
        "after the commonest answer",
        "after luck",
        "after the best surface rule",
        "on the balanced twin",
    ]
    assert (steps["left"].iloc[:-1].diff().dropna() <= 1e-9).all()
    assert (steps["low"] <= steps["left"]).all()
    assert (steps["left"] <= steps["high"]).all()
    assert steps["rival"].iloc[4] == '"contains not"'
    assert steps["rival_accuracy"].iloc[4] == 1.0


def test_three_gaps_are_those_of_the_marks(tmp_path):
    with ResultStore.open(store_of(tmp_path / "s.duckdb", "leaning model")) as store:
        table = three_gaps(store, "run", 1, 2).set_index("comparison")
        of_head, of_model = areas(store, "run", 1, 2)
        raw = store.model_accuracy("run", "test")["accuracy"].item()
        fair = store.model_accuracy("run", "test", is_calibrated=True)["accuracy"].item()
    own = table.loc["head − model, as in the paper"]
    assert (own["than_accuracy"], own["n_groups"]) == (raw, 60)
    assert own["gap"] == pytest.approx(own["who_accuracy"] - raw)
    assert table["than_accuracy"].iloc[0] == fair > 0.85
    assert table["gap"].iloc[0] == pytest.approx(table["who_accuracy"].iloc[0] - fair)
    assert 0.9 < of_model < 1
    assert 0.9 < of_head <= 1


def test_there_is_no_verdict_without_puzzles_to_choose_on_or_to_report_on(tmp_path):
    for split in ("validation", "test"):
        puzzles = [replace(puzzle, split=split) for puzzle in planted_puzzles(30)]
        parts = write_parts(tmp_path / split, puzzles, *said_to(puzzles, "logical", 0))
        publish_parts(tmp_path / f"{split}.duckdb", planted_run(puzzles), puzzles, parts)
        with ResultStore.open(tmp_path / f"{split}.duckdb") as store:
            assert verdict_of(store, "planted-1") is None
            assert left_over(store, "planted-1").empty


def test_a_set_of_few_contexts_is_too_small_for_a_verdict(tmp_path):
    puzzles = asked(is_twin=False)[: 4 * 30]
    parts = write_parts(tmp_path / "parts", puzzles, *said_to(puzzles, "logical", 0))
    publish_parts(tmp_path / "s.duckdb", planted_run(puzzles), puzzles, parts)
    with ResultStore.open(tmp_path / "s.duckdb") as store:
        found = verdict_of(store, "planted-1")
    assert found.name == "too few puzzles"
    assert "60 puzzles in 15 groups" in found.sentence
