"""Claims on stores where it is known what holds: in both directions, raw and fair."""

from dataclasses import replace

import pytest

from qkcore.protocol.claims import _grown, claims_of
from qkcore.protocol.leads import Leads
from qkcore.puzzles.puzzle import puzzle_set_sha256
from qkcore.results.store import ResultStore
from qkcore.statistics.evidence import Measured
from qkcore.statistics.holds import FAILS, HOLDS, OPEN, Lead, all_of, any_of, judged, p_of
from qkcore.wording import points
from tests.protocol.planted import HEAD, OTHER, plant, puzzles_of


def always(share):
    return lambda puzzle: share


def easy(high, low):
    """One share of puzzles of one step without distractors, another of all others."""
    return lambda puzzle: high if puzzle.steps == 1 and not puzzle.distractors else low


def lopsided(puzzles):
    """The same, but no puzzle of five steps is true."""
    return [one for one in puzzles if one.steps == 1 or one.answer == 1]


def says_false(puzzle):
    """Right whenever the answer is false, and on half of the others."""
    return 1.0 if puzzle.answer == 1 else 0.5


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Runs that are named for what they are."""
    path = tmp_path_factory.mktemp("claims") / "planted.duckdb"
    asked = puzzles_of("read")
    twin = puzzles_of("twin", 40, parent=puzzle_set_sha256(asked))
    plant(path, "good", puzzles_of("good", 60), {HEAD: always(1.0)}, easy(0.9, 0.5))
    plant(path, "bad", puzzles_of("bad"), {HEAD: easy(1.0, 0.6)}, always(0.9))
    plant(path, "leaning", puzzles_of("leaning"), {HEAD: always(0.8)}, always(1.0), lean=5.0)
    plant(path, "twin", twin, {HEAD: always(0.4)}, always(0.5))
    plant(path, "read", asked, {HEAD: always(0.95)}, always(0.6))
    plant(path, "alike", puzzles_of("alike"), {HEAD: always(0.95)}, always(0.75))
    plant(path, "other", puzzles_of("other"), {OTHER: always(1.0)}, always(0.85))
    plant(path, "one-sided", lopsided(puzzles_of("one-sided")), {HEAD: says_false}, always(0.4))
    with ResultStore.open(path) as opened:
        yield opened


def by_key(store, *run_ids):
    """The claims of these runs: raw and fair outcome."""
    return {one.key: (one.raw.outcome, one.fair.outcome) for one in claims_of(store, run_ids)}


def test_a_head_that_is_right_where_the_model_fails_on_hard_puzzles_makes_claims_hold(store):
    found = by_key(store, "good")
    for key in ("hard_steps", "hard_distractors", "hard_both", "wider_steps", "robust", "up_to"):
        assert found[key] == (HOLDS, HOLDS), key


def test_a_head_that_falls_where_the_model_stays_makes_claims_fail(store):
    found = by_key(store, "bad")
    for key in ("hard_steps", "hard_distractors", "hard_both", "wider_steps", "up_to"):
        assert found[key] == (FAILS, FAILS), key
    # Without distractors it has no lead over the model to lose; but fair is no kinder than raw.
    assert found["robust"] == (FAILS, FAILS)


def test_a_model_that_only_leans_makes_a_claim_hold_raw_and_not_fair(store):
    found = by_key(store, "leaning")
    for key in ("hard_steps", "hard_distractors", "up_to"):
        assert found[key] == (HOLDS, FAILS), key


def test_a_head_that_is_not_good_on_the_twin_makes_a_claim_hold_raw_and_not_fair(store):
    claims = claims_of(store, ["read", "twin"])
    assert {one.on for one in claims} == {"read", "its only set"}  # a twin is no set
    found = by_key(store, "read", "twin")
    assert found["hard_steps"] == found["up_to"] == (HOLDS, FAILS)
    hard = next(one for one in claims if one.key == "hard_steps")
    assert hard.fair.lead.over.endswith("on the balanced twin")


def test_puzzles_with_one_answer_never_make_a_claim_hold(store):
    claims = {one.key: one for one in claims_of(store, ["one-sided"])}
    hard = claims["hard_steps"]  # all 60 of five steps are false, and the head says so
    assert (hard.raw.outcome, hard.fair.outcome) == (OPEN, OPEN)
    assert hard.raw.lead.found.low > 0.4
    assert hard.raw.why.startswith('all 60 puzzles have the answer "false"')
    assert claims["wider_steps"].raw.outcome == OPEN


def test_a_head_that_one_answer_beats_is_not_ahead_of_a_bad_model():
    ahead = Lead("the model", Measured(0.2, 0.1, 0.3), 400, 100)
    assert judged(ahead, 0.05).outcome == HOLDS
    beaten = replace(ahead, constant="always saying one gets more")
    assert judged(beaten, 0.05).outcome == OPEN
    assert judged(beaten, 0.05).why == "always saying one gets more"
    behind = replace(beaten, found=Measured(-0.2, -0.3, -0.1))
    assert judged(behind, 0.05).outcome == FAILS


def test_no_fair_outcome_is_kinder_than_the_raw_one(store):
    kindness = [FAILS, OPEN, HOLDS]
    for runs in (["bad"], ["read", "twin"]):
        for one in claims_of(store, runs):
            assert kindness.index(one.fair.outcome) <= kindness.index(one.raw.outcome), one


def test_a_model_that_one_offset_makes_worse_is_a_fair_rival_too(store):
    leads = Leads(store).fair("other", OTHER)
    assert leads[0] == Leads(store).raw("other", OTHER)
    assert leads[0].over == "the model"


def test_the_best_of_all_pairs_is_told_beside_the_best_that_counts(store):
    (claim,) = (one for one in claims_of(store, ["good", "bad"]) if one.key == "carried")
    # "bad": behind at home, where its head is the same as that of "good", and so is its lead there
    assert claim.on == "2 pairs of sets"
    assert claim.raw.lead.over == "the model, L1 H2 of good on bad"
    lead = Leads(store).raw("good", HEAD).found
    assert "Of 2 pairs of a head and another set, 1 has a head" in claim.note
    assert f"is {points(lead.value, lead.low, lead.high)}: L1 H2 of bad on good" in claim.note


def test_heads_that_are_good_elsewhere_carry_over_and_others_do_not(store):
    assert by_key(store, "good", "alike")["carried"] == (HOLDS, HOLDS)
    assert by_key(store, "alike", "other")["carried"] == (FAILS, FAILS)


def test_where_no_head_is_ahead_none_can_be_carried_over(store):
    (claim,) = (one for one in claims_of(store, ["bad", "bad"]) if one.key == "carried")
    assert claim.raw.outcome == claim.fair.outcome == OPEN
    assert "no head is ahead" in claim.raw.why


def test_a_gap_that_only_shrinks_below_zero_does_not_widen():
    behind, there = (
        Lead("the model", Measured(value, value - 0.1, value + 0.1), 400, 100)
        for value in (0.3, -0.1)
    )
    assert _grown(behind, [there], 0.05).outcome == OPEN
    assert _grown(behind, [behind, there], 0.05).outcome == OPEN
    assert _grown(behind, [behind], 0.05).outcome == HOLDS


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
