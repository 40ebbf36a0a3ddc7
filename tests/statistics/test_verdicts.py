"""Each rule on numbers set by hand, and all of them on made-up runs of which the truth is known."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from qkcore.statistics.evidence import Evidence, Measured, Rival, Twin, against, measured
from qkcore.statistics.remains import what_is_left
from qkcore.statistics.verdicts import NAMES, verdict
from tests.statistics.planted import evidence_on


def about(value: float, half: float = 0.04) -> Measured:
    return Measured(value, value - half, value + half)


def rival(name: str, accuracy: float, head: float = 0.88, half: float = 0.04) -> Rival:
    return Rival(name, about(accuracy), about(head - accuracy, half))


# SmolLM2-135M on PARARULE-Plus, roughly
STORY = Evidence(
    head_name="L15 H7",
    head=about(0.88),
    model=rival("the model", 0.5),
    calibrated_model=rival("the calibrated model", 0.702),
    majority=rival("the commonest answer", 0.5),
    luck=0.564,
    n=326,
    n_groups=40,
    rule=rival('"contains not"', 1.0),
)
TWIN = Twin(
    head=about(0.489),
    calibrated_model=rival("the calibrated model", 0.498, head=0.489),
    luck=0.543,
    n=652,
    n_groups=80,
)
BETTER_TWIN = replace(
    TWIN, head=about(0.8), calibrated_model=rival("the calibrated model", 0.5, head=0.8)
)


def test_a_head_that_a_rule_beats_needs_a_twin_to_tell():
    found = verdict(STORY)
    assert found.name == "surface rule"
    assert found.sentence == (
        'A surface rule does as well: L15 H7 is 12.0 points (8.0 to 16.0) behind "contains not". '
        "Make a balanced twin to tell whether it does more than that."
    )


def test_a_head_that_is_at_luck_on_the_twin_is_explained():
    found = verdict(replace(STORY, twin=TWIN))
    assert found.name == "surface rule"
    assert found.sentence.startswith("A surface rule explains it: L15 H7 is ")
    assert "on the balanced twin it gets" in found.sentence


def test_a_head_that_holds_on_the_twin_leaves_something_though_a_rule_is_better_on_the_set():
    found = verdict(replace(STORY, twin=BETTER_TWIN))
    assert found.name == "something is left"
    assert "25.7 points (21.7 to 29.7) ahead of guessing" in found.sentence
    assert found.sentence.endswith("on the balanced twin.")


def test_a_head_must_beat_guessing_on_the_twin_and_the_calibrated_model_there():
    by_chance = replace(TWIN, head=about(0.53), luck=0.5)  # 49 to 57 %
    assert verdict(replace(STORY, twin=by_chance)).name == "surface rule"
    as_good = replace(
        BETTER_TWIN, calibrated_model=rival("the calibrated model", 0.79, head=0.8, half=0.03)
    )
    found = verdict(replace(STORY, twin=as_good))
    assert found.name == "calibration"
    assert "on the balanced twin L15 H7 gets 80.0" in found.sentence


def test_a_model_that_an_offset_makes_as_good_is_named():
    as_good = rival("the calibrated model", 0.875)
    found = verdict(replace(STORY, calibrated_model=as_good, calibrated_lead=about(0.01)))
    assert found.name == "calibration"
    assert found.sentence == (
        "Calibration explains it: with one offset a candidate the model gets 87.5\u00a0%, and of "
        "the gap of +38.0 points (+34.0 to +42.0) +0.5 points (−3.5 to +4.5) are left; with the "
        "head calibrated too +1.0 points (−3.0 to +5.0)."
    )


def test_a_commonest_answer_as_good_as_the_head_is_a_trivial_rule():
    found = verdict(replace(STORY, rule=None, majority=rival("the commonest answer", 0.87)))
    assert found.name == "surface rule"
    assert "ahead of the commonest answer" in found.sentence


def test_a_head_that_always_says_the_same_is_named_before_all_else_but_few_groups():
    constant = replace(STORY, head_says="yes", luck=0.99)
    assert verdict(constant).name == "always the same answer"
    assert 'L15 H7 always says "yes", whatever the puzzle' in verdict(constant).sentence
    assert verdict(replace(constant, n_groups=19)).name == "too few puzzles"


def test_a_head_at_the_luck_line_is_not_above_it():
    assert verdict(replace(STORY, luck=0.88)).name == "not above luck"
    assert verdict(replace(STORY, luck=0.8799)).name == "surface rule"


def test_a_model_as_good_as_the_head_leaves_no_gap():
    found = verdict(replace(STORY, model=rival("the model", 0.95)))
    assert found.name == "no gap"
    assert "7.0 points (3.0 to 11.0) behind the model itself" in found.sentence


def test_intervals_that_leave_open_half_of_the_gap_say_so():
    unsure = replace(
        STORY, rule=None, calibrated_model=rival("the calibrated model", 0.78, half=0.12)
    )
    assert verdict(unsure).name == "too few puzzles"
    assert "after calibration +10.0 points (−2.0 to +22.0)" in verdict(unsure).sentence
    explained = rival("the calibrated model", 0.82, half=0.12)
    assert verdict(replace(STORY, calibrated_model=explained)).name == "calibration"


def test_a_rule_that_surely_explains_the_gap_is_not_held_up_by_an_offset_that_may():
    # Gemma 3 270M on PARARULE-Plus, roughly: the gap is 16 points, and calibration leaves 5 or 11
    head = dict(head=0.663, half=0.06)
    gemma = replace(
        STORY,
        head=about(0.663),
        model=rival("the model", 0.5, **head),
        calibrated_model=rival("the calibrated model", 0.617, **head),
        majority=rival("the commonest answer", 0.5, **head),
        luck=0.54,
        rule=rival('"contains not"', 1.0, **head),
    )
    assert verdict(replace(gemma, rule=None)).name == "too few puzzles"
    found = verdict(gemma)
    assert found.name == "surface rule"
    assert '33.7 points (27.7 to 39.7) behind "contains not"' in found.sentence
    perhaps = replace(gemma, rule=Rival("a rule", about(0.65), about(0.01, half=0.1)))
    assert verdict(perhaps).name == "too few puzzles"


def test_every_rival_must_be_beaten_also_one_that_is_not_the_best():
    unsure = Rival("the commonest answer", about(0.6), about(0.28, half=0.3))
    found = verdict(replace(STORY, rule=None, majority=unsure))
    assert found.name == "too few puzzles"


def test_few_groups_of_the_twin_are_too_few():
    assert (
        "of the twin in 19 groups"
        in verdict(replace(STORY, twin=replace(TWIN, n_groups=19))).sentence
    )


def test_the_steps_fall_to_what_the_best_rival_leaves():
    steps = what_is_left(replace(STORY, twin=TWIN))
    assert [(step.label, round(step.left.value, 3)) for step in steps] == [
        ("gap to the model", 0.38),
        ("after calibration", 0.178),
        ("after the commonest answer", 0.178),
        ("after luck", 0.178),
        ("after the best surface rule", -0.12),
        ("on the balanced twin", -0.054),
    ]
    assert steps[2].best == "the calibrated model"
    without = what_is_left(replace(STORY, rule=None))
    assert [step.label for step in without][-1] == "after luck"


# Evidence


def test_marks_make_the_same_numbers_as_counting_by_hand():
    head, other = np.tile([True, True, False, True], 25), np.tile([True, False, True, False], 25)
    group, answer = np.arange(100) // 2, np.arange(100) % 2
    assert measured(head, group).value == 0.75
    assert measured(head, group, answer).value == pytest.approx((0.5 + 1) / 2)
    found = against("the model", other, head, group)
    assert found.accuracy.value == 0.5
    assert found.lead.value == pytest.approx(0.25)
    balanced = against("the model", other, head, group, answer)
    assert balanced.lead.value == pytest.approx(((0.5 - 1) + (1 - 0)) / 2)
    assert balanced.lead.low < balanced.lead.value < balanced.lead.high


# Made-up runs

N_DRAWS = 30


def verdicts_of(kind: str, **more) -> Counter:
    rngs = (np.random.default_rng(seed) for seed in range(N_DRAWS))
    return Counter(verdict(evidence_on(kind, rng, **more)).name for rng in rngs)


@pytest.mark.parametrize("more", [{"rule_works": False}, {"twin": True}])
def test_a_logical_head_is_recognised_in_19_runs_of_20(more):
    found = verdicts_of("logical", **more)
    assert found["something is left"] >= stats.binom.ppf(0.005, N_DRAWS, 0.95)


@pytest.mark.parametrize(
    ("kind", "more", "name"),
    [
        ("word", {}, "surface rule"),
        ("word", {"twin": True}, "surface rule"),
        ("constant", {}, "always the same answer"),
        ("guess", {"rule_works": False}, "not above luck"),
        ("calibration", {"rule_works": False}, "calibration"),
    ],
)
def test_other_heads_get_their_verdict_and_are_seldom_called_logical(kind, more, name):
    found = verdicts_of(kind, **more)
    assert found["something is left"] <= stats.binom.ppf(0.995, N_DRAWS, 0.05)
    assert found[name] >= stats.binom.ppf(0.005, N_DRAWS, 0.95) - 2
    assert set(found) <= set(NAMES)


def test_a_run_of_few_contexts_is_never_judged():
    assert verdicts_of("logical", n_groups=15) == {"too few puzzles": N_DRAWS}
