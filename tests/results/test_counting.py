"""What is counted at publishing, against loops over puzzles.

What stores answer from it is in test_store_counts.py.
"""

import numpy as np
import pytest

from qkcore.results import counting
from qkcore.results.reader import StoreError
from qkcore.statistics.luck import luck_line
from tests.messy import CANDIDATES, HEADS, N_HEADS, messy_puzzles, messy_scores, the_largest


def answers_on(puzzles):
    return counting.answers_of(puzzles, *messy_scores(puzzles), N_HEADS)


def known(scores):
    """The scores of the candidates that there are."""
    return [float(value) for value in scores if not np.isnan(value)]


PUZZLES = messy_puzzles()
ANSWERS = answers_on(PUZZLES)


def puzzles_in(cell):
    return [i for i, p in enumerate(PUZZLES) if (p.split, p.steps, p.distractors) == cell]


def cells_of(table):
    return {(row["split"], row["steps"], row["distractors"]) for row in table.to_pylist()}


def test_heads_and_model_are_marked_puzzle_by_puzzle():
    qk, logits = messy_scores(PUZZLES)
    for i in range(len(PUZZLES)):
        assert ANSWERS.model[i] == the_largest(known(logits[i]))
        assert ANSWERS.heads[i].tolist() == [the_largest(known(scores)) for scores in qk[i]]
    assert ANSWERS.answer.tolist() == [p.answer for p in PUZZLES]


def test_every_difficulty_of_a_split_has_a_row_also_the_unknown_ones():
    expected = {(p.split, p.steps, p.distractors) for p in PUZZLES}
    assert any(steps is None for _, steps, _ in expected)
    assert (
        cells_of(counting.head_accuracy(ANSWERS))
        == cells_of(counting.model_accuracy(ANSWERS))
        == expected
    )


def test_the_counts_of_a_head_in_a_cell():
    for row in counting.head_accuracy(ANSWERS).to_pylist():
        own = puzzles_in((row["split"], row["steps"], row["distractors"]))
        column = HEADS.index((row["layer"], row["head"]))
        right = [i for i in own if ANSWERS.heads[i, column] == PUZZLES[i].answer]
        assert (row["n"], row["n_right"]) == (len(own), len(right))
        assert row["n_right_by_answer"] == [
            sum(PUZZLES[i].answer == a for i in right) for a in range(4)
        ]


def test_the_counts_of_the_model_in_a_cell():
    for row in counting.model_accuracy(ANSWERS).to_pylist():
        own = puzzles_in((row["split"], row["steps"], row["distractors"]))
        right = [i for i in own if ANSWERS.model[i] == PUZZLES[i].answer]
        assert (row["n"], row["n_right"]) == (len(own), len(right))
        assert row["n_by_answer"] == [sum(PUZZLES[i].answer == a for i in own) for a in range(4)]
        assert row["n_right_by_answer"] == [
            sum(PUZZLES[i].answer == a for i in right) for a in range(4)
        ]


def test_areas_are_null_where_candidates_are_not_the_same_two():
    rows = counting.aucs(answers_on(messy_puzzles(300, seed=6, kinds=CANDIDATES[:2]))).to_pylist()
    assert all(
        row["auc"] is None for row in rows if row["steps"] is None and row["distractors"] is None
    )
    rows = counting.aucs(answers_on(messy_puzzles(100, seed=6, kinds=CANDIDATES[2:3]))).to_pylist()
    assert all(row["auc"] is None for row in rows)


@pytest.mark.parametrize("kind", CANDIDATES[:2])
def test_areas_are_there_for_every_difficulty_that_has_both_answers(kind):
    puzzles = messy_puzzles(200, seed=7, kinds=[kind])
    evidence = [
        {h: qk[i, 0] - qk[i, 1] for i, h in enumerate(HEADS)} for qk in messy_scores(puzzles)[0]
    ]
    rows = counting.aucs(answers_on(puzzles)).to_pylist()
    assert len({(r["split"], r["steps"], r["distractors"]) for r in rows}) == len(rows)
    for row in rows:
        own = [
            i
            for i, p in enumerate(puzzles)
            if p.split == row["split"]
            and row["steps"] in (None, p.steps)
            and row["distractors"] in (None, p.distractors)
        ]
        first, second = ([i for i in own if puzzles[i].answer == answer] for answer in (0, 1))
        if not first or not second:
            assert row["auc"] is None
            continue
        for head, area in zip(HEADS, row["auc"], strict=True):
            pairs = [
                (np.sign(evidence[a][head] - evidence[b][head]) + 1) / 2
                for a in first
                for b in second
            ]
            assert area == pytest.approx(np.mean(pairs))


def test_a_luck_line_for_each_split_and_difficulty_from_that_splits_puzzles():
    rows = counting.luck(ANSWERS).to_pylist()
    for split in ("validation", "test"):
        own = [i for i, p in enumerate(PUZZLES) if p.split == split]
        again = luck_line(ANSWERS.heads[own], ANSWERS.puzzles.iloc[own])
        found = [
            (r["steps"], r["distractors"], r["n"], r["q95"])
            for r in rows
            if (r["split"], r["measure"]) == (split, "accuracy")
        ]
        columns = (
            again[["steps", "distractors", "n", "q95"]].astype(object).where(again.notna(), None)
        )
        assert found == [tuple(row) for row in columns.itertuples(index=False)]
        for steps, distractors, n, _ in found:
            among = [
                i
                for i in own
                if steps in (None, PUZZLES[i].steps)
                and distractors in (None, PUZZLES[i].distractors)
            ]
            assert n == len(among)


def test_the_scores_of_a_head_are_kept_in_pieces_of_consecutive_puzzles(monkeypatch):
    monkeypatch.setattr(counting, "CHUNK", 64)
    qk, _ = messy_scores(PUZZLES)
    rows = [row for table in counting.head_scores(ANSWERS) for row in table.to_pylist()]
    assert len(rows) == len(HEADS) * -(-len(PUZZLES) // 64)
    for row in rows:
        column = HEADS.index((row["layer"], row["head"]))
        own = qk[row["first_place"] : row["first_place"] + 64, column]
        np.testing.assert_array_equal(np.float32(row["qk"]), own.ravel())


def test_scores_can_be_kept_in_half_the_width_and_what_that_changes_is_said():
    qk = np.array([[[1.0, 1.0001], [3.0, 1.0]], [[5.0, 2.0], [1.0, 2.0]]], dtype=np.float32)
    answers = counting.answers_of(PUZZLES[:2], qk, np.zeros((2, 2), dtype=np.float32), n_heads=2)
    halved, effect = counting.halved(answers)
    rounded = halved.qk.of_layer(0)
    assert rounded[0, 0].tolist() == [1.0, 1.0]  # float16 cannot tell them apart
    assert halved.heads.tolist() == [[-1, 0], [0, 1]]
    assert answers.heads.tolist() == [[1, 0], [0, 1]]
    was_right = PUZZLES[0].answer == 1
    assert (effect.n_changed, effect.n, effect.largest) == (1, 4, 0.5 * was_right)
    (rows,) = counting.head_scores(halved, "float16")
    bits = np.array(rows["qk_half"].to_pylist(), dtype=np.uint16)
    assert bits.view(np.float16).tolist() == rounded.swapaxes(0, 1).reshape(2, 4).tolist()


def test_scores_that_do_not_fit_half_the_width_are_refused():
    with pytest.raises(
        StoreError, match="do not fit float16, which ends at 65,504; keep them as float32"
    ):
        counting.halved(ANSWERS)
