"""Claims on stores where it is known what holds: in both directions, raw and fair."""

import pytest

from qkcore.protocol.claims import claims_of
from qkcore.puzzles.puzzle import puzzle_set_sha256
from qkcore.results.store import ResultStore
from qkcore.statistics.evidence import Measured
from qkcore.statistics.holds import FAILS, HOLDS, OPEN, Lead, all_of, any_of, judged, p_of
from tests.protocol.planted import HEAD, OTHER, plant, puzzles_of


def always(share):
    return lambda puzzle: share


def outcomes(path, *run_ids):
    """(key, set) to (raw, fair) outcome."""
    with ResultStore.open(path) as store:
        found = claims_of(store, run_ids)
        return {(one.key, one.on): (one.raw.outcome, one.fair.outcome) for one in found}


def by_key(path, *run_ids):
    return {key: both for (key, _), both in outcomes(path, *run_ids).items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("claims")


def test_a_head_that_is_right_where_a_model_fails_on_hard_puzzles_makes_claims_hold(folder):
    path = folder / "good.duckdb"
    run = plant(
        path,
        "good",
        puzzles_of("good"),
        {HEAD: always(1.0)},
        lambda puzzle: 0.9 if puzzle.steps == 1 and not puzzle.distractors else 0.5,
    )
    found = by_key(path, run)
    for key in ("hard_steps", "hard_distractors", "hard_both", "wider_steps", "robust", "up_to"):
        assert found[key] == (HOLDS, HOLDS), key


def test_a_head_that_falls_where_the_model_stays_makes_claims_fail(folder):
    path = folder / "bad.duckdb"
    run = plant(
        path,
        "bad",
        puzzles_of("bad"),
        {HEAD: lambda puzzle: 1.0 if puzzle.steps == 1 and not puzzle.distractors else 0.6},
        always(0.9),
    )
    found = by_key(path, run)
    for key in ("hard_steps", "hard_distractors", "hard_both", "wider_steps", "up_to"):
        assert found[key] == (FAILS, FAILS), key
    # The calibrated model is at 90 % without distractors, the head at 80 %: nothing to lose.
    assert found["robust"] == (FAILS, OPEN)


def test_a_model_that_only_leans_makes_a_claim_hold_raw_and_not_fair(folder):
    path = folder / "lean.duckdb"
    run = plant(path, "lean", puzzles_of("lean"), {HEAD: always(0.8)}, always(1.0), lean=5.0)
    found = by_key(path, run)
    assert found["hard_steps"] == found["hard_distractors"] == (HOLDS, FAILS)
    assert found["up_to"] == (HOLDS, FAILS)


def test_a_head_that_guesses_on_the_twin_makes_a_claim_hold_raw_and_not_fair(folder):
    path, puzzles = folder / "twin.duckdb", puzzles_of("set")
    twins = puzzles_of("set-twin", parent=puzzle_set_sha256(puzzles))
    plant(path, "set-twin", twins, {HEAD: always(0.5)}, always(0.5))
    run = plant(path, "set", puzzles, {HEAD: always(0.95)}, always(0.6))
    found = outcomes(path, run, "set-twin")
    assert found["hard_steps", "set"] == (HOLDS, FAILS)
    assert {on for _, on in found if on.startswith("set")} == {"set"}  # a twin is no set of its own


def test_heads_that_are_good_elsewhere_carry_over_and_others_do_not(folder):
    carried, stuck = folder / "carried.duckdb", folder / "stuck.duckdb"
    for path, own in ((carried, HEAD), (stuck, OTHER)):
        plant(path, "first", puzzles_of("first"), {HEAD: always(0.95)}, always(0.75))
        plant(path, "second", puzzles_of("second"), {own: always(0.95)}, always(0.75))
    assert by_key(carried, "first", "second")["carried"] == (HOLDS, HOLDS)
    assert by_key(stuck, "first", "second")["carried"] == (FAILS, FAILS)


def test_where_no_head_is_ahead_nothing_can_be_carried_over(folder):
    path = folder / "behind.duckdb"
    for name in ("one", "two"):
        plant(path, name, puzzles_of(name, 24), {HEAD: always(0.7)}, always(0.9))
    with ResultStore.open(path) as store:
        (claim,) = (one for one in claims_of(store, ["one", "two"]) if one.key == "carried")
    assert claim.raw.outcome == claim.fair.outcome == OPEN
    assert "no head is ahead" in claim.raw.why


def test_too_few_groups_are_never_ruled_on():
    sure = Measured(0.5, 0.45, 0.55)
    assert judged(Lead("the model", sure, 900, 19), 0.05).outcome == OPEN
    assert judged(Lead("the model", sure, 900, 20), 0.05).outcome == HOLDS


def test_one_of_many_has_to_be_surer():
    lead = Lead("the model", Measured(0.1, 0.02, 0.18), 400, 100)
    assert p_of(lead.found) == pytest.approx(0.0143, abs=1e-4)  # z = 0.1 / (0.08 / 1.96)
    assert judged(lead, 0.05, n_looked_at=3).outcome == HOLDS
    assert judged(lead, 0.05, n_looked_at=4).outcome == OPEN


def test_all_need_every_rival_and_any_needs_one():
    ahead, behind, wide = (
        judged(Lead(name, Measured(value, value - half, value + half), 400, 100), 0.05)
        for name, value, half in (("a", 0.2, 0.1), ("b", -0.1, 0.05), ("c", 0.02, 0.1))
    )
    assert [one.outcome for one in (ahead, behind, wide)] == [HOLDS, FAILS, OPEN]
    assert all_of([ahead, wide, behind]) == behind
    assert all_of([ahead, wide]) == wide
    assert any_of([wide, ahead, behind]) == ahead
    assert any_of([behind, wide]) == wide
    assert any_of([]).outcome == OPEN
