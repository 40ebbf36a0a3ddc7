"""Where puzzles come from is told by themselves, whatever their set is called."""

import re
import shutil
from dataclasses import replace

import duckdb
import pytest

from qkcore import demo_store
from qkcore.puzzles.balance import balance_puzzles
from qkcore.puzzles.public_sets import import_puzzles
from qkcore.puzzles.puzzle import context_group
from qkcore.results.publish import collect, publish
from qkcore.results.store import ResultStore
from qkcore.sharing.licences import (
    NO_LICENCE,
    OUR_LICENCE,
    allows_texts,
    credits_in,
    licence_of,
    licences_in,
)
from qkcore.sharing.origins import N_SIGNS, OURS, UNKNOWN, known_sets, origin_of, origins
from qkcore.sharing.pinned import pinned_sets
from tests import ROOT
from tests.stores import planted_puzzles, planted_run, planted_scores, write_parts

SAMPLES = ROOT.parent / "shared" / "data"
THANKS = (
    "Thanks to Qiming Bao for development of the PARARULE Plus dataset and permission to freely "
    "utilise it."
)
EXPECTED = {
    "made-up": OURS,
    "everyday": OURS,
    "pararule-plus": "pararule_plus",
    "pararule-plus-twin": "pararule_plus",
    "prontoqa": "prontoqa_ood",
    "prontoqa-twin": "prontoqa_ood",
    "multi-logieval": "multi_logieval",
}


@pytest.fixture
def renamed(tmp_path):
    """The demo store with sets named 1, 2, ..., and how they were called."""
    path = tmp_path / "renamed.duckdb"
    shutil.copyfile(demo_store(), path)
    with duckdb.connect(str(path)) as connection:
        for number, name in enumerate(EXPECTED):
            for table in ("puzzles", "runs"):
                connection.execute(
                    f"update {table} set puzzle_set = ? where puzzle_set = ?", [str(number), name]
                )
    return path


def found_in(path):
    with ResultStore.open(path) as store:
        return [list(origins(store)[str(number)]) for number in range(len(EXPECTED))]


def test_a_set_is_known_by_its_contexts_whatever_it_is_called(renamed):
    expected = [[origin] for origin in EXPECTED.values()]
    with duckdb.connect(str(renamed)) as connection:  # neither ids nor hashes
        connection.execute("""
            update puzzles set puzzle_id = 'p' || place, "group" = 'g'
            where not regexp_matches(puzzle_id, '^(made-up|everyday)') and puzzle_set != '6'
            """)
    assert found_in(renamed) == expected


def test_a_set_without_texts_is_known_by_hashes_and_by_ids_that_import_gives(renamed):
    with duckdb.connect(str(renamed)) as connection:
        connection.execute("update puzzles set context = null, statement = null")
    assert found_in(renamed) == [[origin] for origin in EXPECTED.values()]
    with ResultStore.open(renamed) as store:
        assert credits_in(store) == [THANKS]
        assert THANKS in licences_in(store, {})["3"]
    with duckdb.connect(str(renamed)) as connection:
        connection.execute("update puzzles set \"group\" = 'context-0' where puzzle_set != '3'")
    assert found_in(renamed)[2] == ["pararule_plus"]


def test_puzzles_of_ones_own_in_the_form_of_a_published_set_are_not_that_set():
    ids = ("set/line1/question1", "set/example1/test_example/true")
    for context in ("Alice is a baker. If someone is kind then they are nice.", "Gary is kind."):
        assert {origin_of(one, context_group(context), context) for one in ids} == {UNKNOWN}
    assert licence_of({UNKNOWN: 2}) == NO_LICENCE
    in_part = licence_of({UNKNOWN: 1, "pararule_plus": 1})
    assert THANKS in in_part
    assert not allows_texts(in_part)
    assert not allows_texts(licence_of({UNKNOWN: 1, "prontoqa_ood": 1}))
    assert allows_texts(licence_of({"prontoqa_ood": 1}))
    assert not allows_texts(licence_of({"pararule_plus": 1}))  # it asks for a notice beside them


def test_a_twin_is_of_its_parents_origin_and_licence(planted_path, tmp_path):
    path = tmp_path / "two.duckdb"
    shutil.copyfile(planted_path, path)
    with ResultStore.open(path) as store:
        parent = store.runs()["puzzle_set_sha256"].iloc[0]
    puzzles = [
        replace(one, puzzle_id=f"{one.group}-twin-{i}", context="Other.", parent=parent)
        for i, one in enumerate(planted_puzzles(12))
    ]
    run = planted_run(puzzles, run_id="twin-1", puzzle_set="twin")
    parts = write_parts(tmp_path / "parts", puzzles, *planted_scores(puzzles))
    publish(path, run, puzzles, collect(run, puzzles, parts))
    with ResultStore.open(path) as store:
        assert licences_in(store, {}) == {"planted-set": NO_LICENCE, "twin": NO_LICENCE}
        given = {"planted-set": "MIT"}
        assert licences_in(store, given)["twin"] == "MIT"
        assert licences_in(store, given | {"twin": "no copies"})["twin"] == "no copies"
    with duckdb.connect(str(path)) as connection:
        connection.execute("""
            update puzzles set puzzle_id = 'made-up-s1-d0-00001-' || place
            where puzzle_set = 'planted-set'
            """)
    with ResultStore.open(path) as store:
        assert licences_in(store, {})["twin"] == OUR_LICENCE
    assert origin_of("everyday-o4-s2-d0-00007-b~1", "", None) == OURS
    assert origin_of("made-up-s1-d0-00001-twin-3", "", "Max is a fompus.") == OURS


def test_what_is_known_is_of_the_sets_that_are_pinned():
    assert set(known_sets()) == {one.name for one in pinned_sets()}
    assert all(
        re.fullmatch(r"[0-9a-f]{8}", s) for one in known_sets().values() for s in one.contexts
    )
    assert [one.name for one in pinned_sets() if one.credit in one.licence and one.credit] == [
        "pararule_plus"
    ]


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the samples of the published sets are not here")
@pytest.mark.parametrize("one", pinned_sets(), ids=lambda one: one.name)
def test_what_is_known_is_what_the_samples_have(one):
    known, puzzles = known_sets()[one.name], import_puzzles(one.format, [SAMPLES / one.name])
    signs = {puzzle.group.removeprefix("context-")[:N_SIGNS] for puzzle in puzzles}
    assert signs == known.contexts
    if known.words:
        twins = balance_puzzles(puzzles[::20]).puzzles
        assert all(known.has(puzzle.context) for puzzle in (*puzzles, *twins))
