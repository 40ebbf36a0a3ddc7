"""Heads are switched off in models of which is known what each head does, and whose it is."""

import numpy as np
import pytest
import torch

from qkcore import InputError
from qkcore.attention.switching import Replacements
from qkcore.scoring.interventions import Interventions, answers_without
from qkcore.scoring.replacing import N_DRAWN, drawn_at, replacements_of
from qkcore.scoring.score import Budget, budget_for, prompts_of, score_puzzles
from qkcore.scoring.whole_rows import laid_out
from tests.scoring.hand_built import BACKUP, BUILT, ELSEWHERE, N_HEADS, READER, built, puzzles
from tests.tiny import close

KINDS = ("mean", "zero", "resample")


def parts(lm):
    """(validation, test) puzzles, and the test puzzles' prompts."""
    split = {
        name: [one for one in puzzles() if one.split == name] for name in ("validation", "test")
    }
    return split["validation"], split["test"], prompts_of(lm, split["test"])


def right(answers, asked):
    """The share of (puzzle, candidate) logits that are right."""
    return float((answers.argmax(-1) == [one.answer for one in asked]).mean())


def leads(answers, asked):
    """(puzzle,) the right candidate's logit minus the other's."""
    own = np.array([one.answer for one in asked])
    rows = np.arange(len(own))
    return answers[rows, own] - answers[rows, 1 - own]


def answered(name, off, kind="mean"):
    lm = built(name)
    validation, test, prompts = parts(lm)
    given = Interventions(lm, replacements_of(lm, validation, kind)).answers(prompts, off)
    return given, test


def others(*heads):
    return [[(layer, head)] for layer, _ in heads for head in range(N_HEADS)
            if (layer, head) not in heads]  # fmt: skip


@pytest.mark.parametrize("name", BUILT)
def test_by_construction_the_reader_and_the_model_are_right_on_every_puzzle(name):
    scored = list(score_puzzles(built(name), puzzles()))
    qk = np.stack([one.qk for one in scored])
    answer = np.array([one.puzzle.answer for one in scored])
    is_right = qk.argmax(-1) == answer[:, None, None]
    shares = is_right.mean(0)
    readers = [READER, BACKUP] if name == "backed up" else [READER]
    assert all(shares[head] == 1 for head in readers)
    assert np.delete(shares.ravel(), [8 * layer + head for layer, head in readers]).max() < 0.9
    assert all(one.logits.argmax() == one.puzzle.answer for one in scored)


@pytest.mark.parametrize("kind", KINDS)
def test_without_the_head_that_carries_the_answer_the_model_guesses_and_controls_do_nothing(kind):
    controls = others(READER)
    answers, test = answered("carried", [[READER], *controls], kind)
    assert 0.4 <= right(answers[0], test) <= 0.6
    assert all(right(one, test) == 1 for one in answers[1:])


@pytest.mark.parametrize("kind", KINDS)
def test_a_head_that_nobody_uses_changes_nothing(kind):
    answers, test = answered("unused", [[], [READER], [ELSEWHERE]], kind)
    whole, without = (leads(one, test) for one in answers[:2])
    assert right(answers[1], test) == 1
    assert abs(without - whole).max() < 0.05 * whole.mean()
    assert 0.4 <= right(answers[2], test) <= 0.6


@pytest.mark.parametrize("kind", ["mean", "zero"])
def test_of_two_heads_that_back_each_other_up_one_alone_changes_nothing_and_both_all(kind):
    answers, test = answered("backed up", [[], [READER], [BACKUP], [READER, BACKUP]], kind)
    whole = leads(answers[0], test)
    for one in answers[1:3]:
        assert right(one, test) == 1
        assert abs(leads(one, test) - whole).max() < 0.05 * whole.mean()
    assert 0.4 <= right(answers[3], test) <= 0.6


@pytest.mark.parametrize("kind", ["mean", "zero"])
def test_where_heads_share_the_work_controls_hurt_as_much(kind):
    answers, test = answered("shared", [[READER], *others(READER)], kind)
    of_layer = [right(answers[0], test)]
    of_layer += [right(one, test) for one, ((layer, _),) in
                 zip(answers[1:], others(READER), strict=True) if layer == READER[0]]  # fmt: skip
    # Each head has an eighth of the words, of which half are guessed
    assert all(0.85 <= share <= 0.97 for share in of_layer)
    assert len(of_layer) == N_HEADS


def test_a_head_that_repeats_what_it_said_elsewhere_speaks_against_its_backup():
    """So "resample" hurts where "mean" does not: what it puts there is an answer too."""
    answers, test = answered("backed up", [[READER], [READER, BACKUP]], "resample")
    assert 0.6 <= right(answers[0], test) <= 0.9
    assert 0.3 <= right(answers[1], test) <= 0.7


def test_cutting_the_path_of_the_head_that_carries_is_as_good_as_switching_it_off():
    lm = built("carried")
    _, test, prompts = parts(lm)
    cut = Interventions(lm, Replacements("knock-out")).answers(prompts, [[READER], [(3, 3)]])
    assert 0.4 <= right(cut[0], test) <= 0.6
    assert right(cut[1], test) == 1


def test_an_answer_does_not_depend_on_the_batch_or_on_what_else_is_switched_off():
    lm = built("carried")
    validation, _, prompts = parts(lm)
    off = [[READER], [(1, 3), (2, 4)], [(3, 0)], [(0, 1)], []]
    for kind in (*KINDS, "knock-out"):
        changed = replacements_of(lm, validation, kind)
        together = Interventions(lm, changed).answers(prompts[:6], off)
        small = Interventions(lm, changed, Budget(max_tokens=64)).answers(prompts[:6], off)
        assert close(together, small)
        # "resample" draws by row, and a row holds all statements of a context
        if kind != "resample":
            alone = [answers_without(lm, one, off, kind, changed) for one in prompts[:6]]
            assert close(together, np.stack(alone, axis=1))


def test_what_is_drawn_stays_among_its_own_kind():
    lm = built("carried")
    validation, _, prompts = parts(lm)
    n_other, n_cues, _ = N_DRAWN
    for laid in laid_out(lm, prompts[:8], budget_for(lm)):
        drawn, rows = drawn_at(laid), laid.rows
        for row, group in enumerate(laid.groups):
            n = len(group)
            cues, ends = drawn[row, rows.logits_at[row, :n]], drawn[row, rows.key_at[row, :n]]
            assert ((cues >= n_other) & (cues < n_other + n_cues)).all()
            assert ((ends >= n_other + n_cues) & (ends < sum(N_DRAWN))).all()
            left = torch.ones(drawn.shape[1], dtype=torch.bool)
            left[rows.logits_at[row, :n]] = left[rows.key_at[row, :n]] = False
            assert (drawn[row, left] < n_other).all()
    # The carrier's output at a cue is an answer or its opposite, elsewhere next to nothing
    found = replacements_of(lm, validation, "resample").drawn[READER[0]][:, READER[1], 0].abs()
    cues = found[n_other : n_other + n_cues]
    assert cues.min() > 2 > 1.5 > found[:n_other].max()


def test_switched_off_by_zero_a_row_of_one_head_is_that_of_the_other_rows_heads():
    """Rows of one pass have different heads off, and none sees another's."""
    lm = built("carried")
    _, _, prompts = parts(lm)
    off = [[(3, head)] for head in range(N_HEADS)]
    together = answers_without(lm, prompts[0], off, kind="zero")
    for variant, found in zip(off, together, strict=True):
        assert close(answers_without(lm, prompts[0], [variant], kind="zero")[0], found)


@pytest.mark.parametrize(
    ("off", "options", "sentence"),
    [
        ([[(9, 0)]], {"kind": "zero"}, "carried has no head L9 H0; it has heads 0 to 7 in layers"),
        ([[(1, 8)]], {"kind": "zero"}, "carried has no head L1 H8"),
        ([[(1, 1)]], {}, "kind 'mean' needs what replacements_of"),
        ([[(1, 1)]], {"kind": "mean", "means": Replacements("zero")}, "kind 'mean' needs what"),
    ],
)
def test_what_cannot_be_switched_off_is_said_in_a_sentence(off, options, sentence):
    lm = built("carried")
    (prompt,) = prompts_of(lm, puzzles()[:1])
    with pytest.raises(InputError, match=sentence):
        answers_without(lm, prompt, off, **options)


def test_no_puzzles_to_take_outputs_from_is_said_in_a_sentence():
    with pytest.raises(InputError, match="takes heads' outputs from validation puzzles"):
        replacements_of(built("carried"), [], "mean")
    with pytest.raises(InputError, match="kind 'half' is not known"):
        replacements_of(built("carried"), puzzles(), "half")
