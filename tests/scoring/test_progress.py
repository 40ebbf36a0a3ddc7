import json

import numpy as np
import pytest

from qkcore import InputError
from qkcore.results.parts import Part
from qkcore.scoring.progress import Among, Progress, RunningAccuracy
from tests.scoring.test_precompute import several


class Clock:
    """A clock that stands where it is put."""

    now = 0.0

    def __call__(self):
        return self.now


def test_away_from_a_terminal_a_line_a_minute_is_said(capsys):
    clock = Clock()
    with Progress(10_000, 0, "puzzle", clock=clock) as progress:
        for _ in range(130):
            clock.now += 1
            progress.add(10)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "600 of 10,000 puzzles, 10.0 a second, 16 min left",
        "1,200 of 10,000 puzzles, 10.0 a second, 15 min left",
        "1,300 of 10,000 puzzles, 10.0 a second, 14 min left",
    ]


def test_a_run_among_others_is_named_and_all_are_estimated(capsys):
    clock = Clock()
    among = Among("run 7 of 24: SmolLM2 on PARARULE-Plus", lambda speed: 72_000 / speed)
    with Progress(872, 0, "puzzle", among=among, clock=clock) as progress:
        clock.now += 60
        progress.add(600)
        assert capsys.readouterr().err.splitlines() == [
            "run 7 of 24: SmolLM2 on PARARULE-Plus, 600 of 872 puzzles, 10.0 a second, 27 s left "
            "here; about 2 h 0 min for all"
        ]


def test_the_time_left_is_from_the_speed_of_late():
    clock = Clock()
    with Progress(100_000, 0, "puzzle", is_shown=False, clock=clock) as progress:
        assert progress.seconds_left is None
        for _ in range(3_600):
            clock.now += 1
            progress.add(10)
        assert progress.speed == pytest.approx(10)
        for _ in range(700):
            clock.now += 1
            progress.add(5)
        assert progress.speed == pytest.approx(5, rel=0.01)
        assert progress.seconds_left == pytest.approx((100_000 - 39_500) / 5, rel=0.01)


def test_what_was_done_before_is_not_taken_for_speed():
    clock = Clock()
    with Progress(1_000, 900, "puzzle", is_shown=False, clock=clock) as progress:
        clock.now += 10
        progress.add(10)
        assert progress.speed == pytest.approx(1)
        assert progress.seconds_left == pytest.approx(90)


def part_of(puzzles, right):
    """A part in which head h is right on the puzzles of `right[h]`, and the model on none."""
    qk = np.zeros((len(puzzles), len(right), 2), dtype=np.float32)
    logits = np.zeros((len(puzzles), 2), dtype=np.float32)
    for row, puzzle in enumerate(puzzles):
        logits[row, 1 - puzzle.answer] = 1
        for head, rows in enumerate(right):
            qk[row, head, puzzle.answer if row in rows else 1 - puzzle.answer] = 1
    return Part(tuple(one.puzzle_id for one in puzzles), qk, logits, 1.0)


def test_running_accuracy_is_of_validation_puzzles_alone():
    puzzles = several(8)  # two test, two validation, two test, two validation
    accuracy = RunningAccuracy(puzzles, layers=(3, 5))
    assert accuracy.sentence() == ""
    accuracy.add(part_of(puzzles[:4], [{0, 1}, {2}, {2, 3}, set()]))
    assert accuracy.sentence() == "best head so far L5 H0 100.0%, model 0.0% (n = 2 validation)"
    accuracy.add(part_of(puzzles[4:], [{0, 1}, {2, 3}, {0}, set()]))
    assert accuracy.sentence() == "best head so far L3 H1 75.0%, model 0.0% (n = 4 validation)"


def test_the_log_has_a_line_of_json_for_what_happens(tmp_path):
    log, clock = tmp_path / "log.jsonl", Clock()

    def stops() -> None:
        with Progress(20, 0, "puzzle", is_shown=False, log=log, clock=clock) as progress:
            clock.now += 2
            progress.add(10)
            progress.event("part", part=0)
            raise InputError("the disk is full")

    with pytest.raises(InputError, match="disk"):
        stops()
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    assert [row["event"] for row in rows] == ["start", "part", "stopped"]
    assert rows[1] | {"time": 0} == {
        "time": 0, "event": "part", "unit": "puzzle", "done": 10, "all": 20, "per_second": 5.0,
        "seconds_left": 2.0, "part": 0,
    }  # fmt: skip
    assert rows[2]["why"] == "the disk is full"
    with pytest.raises(InputError, match="name another file with --log-file"):
        Progress(1, 0, "puzzle", log=tmp_path / "no" / "log")


def test_a_log_says_when_a_job_is_done_and_what_is_slow_is_not_said_to_stand_still(
    tmp_path, capsys
):
    log, clock = tmp_path / "log.jsonl", Clock()
    with Progress(2, 0, "puzzle", log=log, clock=clock) as progress:
        for _ in range(2):
            clock.now += 25
            progress.add(1)
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    assert [row["event"] for row in rows] == ["start", "done"]
    assert (rows[1]["done"], rows[1]["per_second"], rows[1]["seconds_left"]) == (2, 0.04, 0)
    assert capsys.readouterr().err == "2 of 2 puzzles, 0.04 a second, 0 s left\n"
