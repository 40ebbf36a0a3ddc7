"""Publishing by blocks of heads gives the very tables that counting all heads at once does."""

import errno

import numpy as np
import pytest

from qkcore.results import counting, spool
from qkcore.results.publish import collect, publish
from qkcore.results.reader import StoreError
from qkcore.statistics import blocks, luck
from tests.messy import CANDIDATES, messy_puzzles
from tests.same_tables import assert_same_tables
from tests.stores import planted_run, write_parts

N_LAYERS, N_HEADS = 3, 5  # blocks of 2 and 3 heads, so that a layer's end is inside of one


def run_on(puzzles, kinds):
    """Scores with ties, of puzzles of these kinds, and a run."""
    most = max(len(kind) for kind in kinds)
    rng = np.random.default_rng(3)
    qk = rng.normal(size=(len(puzzles), N_LAYERS * N_HEADS, most)).round(1).astype(np.float32)
    logits = rng.normal(size=(len(puzzles), most)).astype(np.float32)
    for place, puzzle in enumerate(puzzles):
        qk[place, :, len(puzzle.candidates) :] = np.nan
        logits[place, len(puzzle.candidates) :] = np.nan
    return qk, logits, planted_run(puzzles, n_layers=N_LAYERS, n_heads=N_HEADS)


@pytest.mark.parametrize("kinds", [CANDIDATES[:1], CANDIDATES], ids=["two candidates", "mixed"])
def test_every_table_is_the_same_bits(kinds, tmp_path, monkeypatch):
    puzzles = messy_puzzles(200, kinds=kinds)
    qk, logits, run = run_on(puzzles, kinds)
    parts = write_parts(tmp_path / "parts", puzzles, qk, logits)
    at_once = counting.answers_of(puzzles, qk, logits, N_HEADS, seconds=4.0)
    publish(tmp_path / "whole.duckdb", run, puzzles, at_once)  # 64 heads and more at once: all
    monkeypatch.setattr(blocks, "AT_ONCE", 2)
    monkeypatch.setattr(luck, "HEADS_AT_ONCE", 4)
    monkeypatch.setattr(luck, "PUZZLES_AT_ONCE", 7)
    publish(tmp_path / "blocks.duckdb", run, puzzles, collect(run, puzzles, parts))
    assert len(blocks.blocks(N_LAYERS * N_HEADS)) > 5
    assert_same_tables(tmp_path / "whole.duckdb", tmp_path / "blocks.duckdb")


def test_the_file_of_scores_has_no_name_so_nothing_is_left_of_it(tmp_path):
    puzzles = messy_puzzles(100)
    qk, logits, run = run_on(puzzles, CANDIDATES)
    parts = write_parts(tmp_path / "parts", puzzles, qk, logits)
    answers = collect(run, puzzles, parts)
    assert sorted((tmp_path / "parts").iterdir()) == parts  # while it is open
    for place in range(N_LAYERS):
        own = qk[:, place * N_HEADS : (place + 1) * N_HEADS]
        np.testing.assert_array_equal(answers.qk.of_layer(place), own)


def test_no_room_for_the_scores_is_said_and_the_parts_stay(tmp_path, monkeypatch):
    puzzles = messy_puzzles(100)
    qk, logits, run = run_on(puzzles, CANDIDATES)
    parts = write_parts(tmp_path / "parts", puzzles, qk, logits)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(spool.os, "pwrite", full)
    with pytest.raises(StoreError, match=r"parts: No space left on device\. .* Make room"):
        collect(run, puzzles, parts)
    assert sorted((tmp_path / "parts").iterdir()) == parts
