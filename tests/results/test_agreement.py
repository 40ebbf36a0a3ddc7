"""How far two runs agree, against the same counted puzzle by puzzle (tests/messy.py)."""

from dataclasses import replace

import pytest
from scipy import stats

from qkcore.results.agreement import agreement
from qkcore.results.store import ResultStore
from tests.messy import (
    HEADS,
    add_run,
    among,
    messy_puzzles,
    messy_store,
    records,
    the_largest,
)
from tests.stores import (
    planted_puzzles,
    planted_run,
    planted_scores,
    planted_store,
    publish_parts,
    write_parts,
)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Runs of one set; "half" is on half of its puzzles and as many others, in another order."""
    path = messy_store(tmp_path_factory.mktemp("agreement") / "runs.duckdb")
    puzzles = messy_puzzles()
    add_run(path, "rival", puzzles, "messy-set", seed=1)
    others = [replace(one, puzzle_id=f"other {one.puzzle_id}") for one in puzzles[::2]]
    add_run(path, "half", [*puzzles[1::2], *others][::-1], "half-set", seed=2)
    add_run(path, "learnt", [replace(one, split="test") for one in puzzles], "learnt-set", seed=3)
    return path


@pytest.fixture(scope="module")
def store(path):
    with ResultStore.open(path) as store:
        yield store


def best(rows):
    def n_right(head):
        return sum(row.is_right(head) for row in among(rows, "validation"))

    return min(HEADS, key=lambda head: (-n_right(head), head))


@pytest.mark.parametrize("other", ["rival", "half"])
def test_agreement_is_what_counting_puzzle_by_puzzle_gives(store, path, other):
    own, theirs = (records(path, run_id) for run_id in ("messy", other))
    by_id = {row.puzzle_id: row for row in among(theirs, "test")}
    pairs = [(row, by_id[row.puzzle_id]) for row in among(own, "test") if row.puzzle_id in by_id]
    accuracies = [
        [sum(pair[side].is_right(head) for pair in pairs) / len(pairs) for head in HEADS]
        for side in (0, 1)
    ]
    equal = {
        head: sum(the_largest(a.qk[head]) == the_largest(b.qk[head]) for a, b in pairs) / len(pairs)
        for head in HEADS
    }
    found = agreement(store, "messy", other)
    assert (found.n, found.n_one, found.n_heads) == (len(pairs), len(among(own, "test")), 6)
    assert found.rank == pytest.approx(stats.spearmanr(*accuracies).statistic)
    assert found.equal == pytest.approx(sum(equal.values()) / len(equal))
    assert found.chosen == (best(own), best(theirs))
    assert found.chosen_equal == pytest.approx(equal[best(own)])
    assert found.is_same_head == (best(own) == best(theirs))


def test_half_of_the_puzzles_are_shared(store):
    found = agreement(store, "messy", "half")
    assert 0 < found.n < found.n_one


def test_a_run_agrees_with_itself(store):
    found = agreement(store, "messy", "messy")
    assert (found.rank, found.equal, found.chosen_equal) == (pytest.approx(1), 1.0, 1.0)
    assert found.is_same_head
    assert found.n == found.n_one


def test_a_run_without_validation_puzzles_chooses_no_head(store):
    found = agreement(store, "learnt", "messy")
    assert found.chosen[0] is None
    assert found.chosen_equal is None
    assert not found.is_same_head
    assert agreement(store, "messy", "learnt").chosen_equal is not None


def test_puzzles_of_the_same_id_and_another_text_are_not_shared(store):
    assert agreement(store, "messy", "namesake") is None


def test_runs_with_other_heads_have_no_agreement(tmp_path):
    path = planted_store(tmp_path / "s.duckdb")
    planted_store(path, run_id="wide", n_layers=6, n_heads=2)
    with ResultStore.open(path) as store:
        assert agreement(store, "planted-1", "wide") is None


@pytest.mark.parametrize("with_texts", [True, False])
def test_another_set_shares_its_puzzles_also_where_it_lacks_their_texts(tmp_path, with_texts):
    path, puzzles = planted_store(tmp_path / "s.duckdb"), planted_puzzles(48)
    parts = write_parts(tmp_path / "parts", puzzles, *planted_scores(puzzles, seed=1))
    run = planted_run(puzzles, run_id="short", puzzle_set="short-set")
    publish_parts(path, run, puzzles, parts, with_texts)
    with ResultStore.open(path) as store:
        found = agreement(store, "planted-1", "short")
        assert (found.n, found.n_one) == (48, 60)
