"""One worker and a line of visitors: who is served when, and what happens when things go wrong."""

import threading

import pytest

from pages.live.desk import UNSEEN, Busy, Desk
from qkcore.puzzles.puzzle import PuzzleError


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def loaded():
    return []


@pytest.fixture
def desk(clock, loaded):
    def load(name, say):
        say("reading " + name)
        loaded.append(name)
        return name.upper()

    return Desk(load, clock=clock)


class Gate:
    """Work that waits until it is let through."""

    def __init__(self):
        self.began, self.open = threading.Event(), threading.Event()

    def __call__(self, model):
        self.began.set()
        assert self.open.wait(60)
        return model


def finished(job):
    assert job.done.wait(60)
    return job


def test_work_is_done_with_the_model_asked_for(desk):
    job = finished(desk.submit("a", "bundled", lambda model: model + "!", visitor="v"))
    assert (job.result, job.error) == ("BUNDLED!", None)


def test_a_model_is_loaded_once_and_let_go_when_another_comes(desk, loaded):
    for number, model in enumerate(["a", "a", "b", "a"]):
        finished(desk.submit(number, model, lambda model: model, visitor="v"))
    assert loaded == ["a", "b", "a"]


def test_the_line_has_an_order_and_says_the_place_in_it(desk):
    gate = Gate()
    first = desk.submit(1, "m", gate, visitor="a")
    assert gate.began.wait(60)
    second, third = (
        desk.submit(number, "m", lambda model: model, visitor=str(number)) for number in (2, 3)
    )
    assert [desk.look(job) for job in (first, second, third)] == [0, 1, 2]
    gate.open.set()
    for job in (first, second, third):
        assert finished(job).error is None
    assert desk.look(third) == 0


def test_a_full_line_sends_the_next_visitor_away_kindly(desk):
    gate = Gate()
    desk.submit(0, "m", gate, visitor="a")
    assert gate.began.wait(60)
    desk.submit(1, "m", gate, visitor="b", max_waiting=1)
    with pytest.raises(Busy, match="try again in a minute"):
        desk.submit(2, "m", gate, visitor="c", max_waiting=1)
    gate.open.set()


def test_a_second_click_gets_the_same_job(desk):
    gate = Gate()
    job = desk.submit("same", "m", gate, visitor="a")
    assert gate.began.wait(60)
    assert desk.submit("same", "m", gate, visitor="a") is job
    gate.open.set()
    finished(job)


def test_a_new_question_takes_the_place_of_the_visitors_waiting_one(desk):
    gate = Gate()
    desk.submit(0, "m", gate, visitor="a")
    assert gate.began.wait(60)
    earlier = desk.submit(1, "m", lambda model: 1, visitor="b")
    later = desk.submit(2, "m", lambda model: 2, visitor="b")
    assert "in its place" in finished(earlier).error
    gate.open.set()
    assert finished(later).result == 2


def test_what_was_answered_before_is_answered_at_once_and_not_counted(desk):
    finished(desk.submit("k", "m", lambda model: 5, visitor="a", per_minute=1))
    again = desk.submit("k", "m", lambda model: 6, visitor="a", per_minute=1)
    assert again.done.is_set()
    assert again.result == 5


def test_a_large_result_is_not_kept(desk):
    class Large:
        n_bytes = 2**30

    finished(desk.submit("k", "m", lambda model: Large(), visitor="a"))
    assert finished(desk.submit("k", "m", lambda model: "again", visitor="a")).result == "again"


def test_asking_too_often_says_how_long_to_wait(desk, clock):
    for number in range(3):
        finished(desk.submit(number, "m", lambda model: model, visitor="a", per_minute=3))
    clock.now = 20
    with pytest.raises(Busy, match="more than 3 puzzles a minute; please wait 40 seconds"):
        desk.submit(9, "m", lambda model: model, visitor="a", per_minute=3)
    finished(desk.submit(9, "m", lambda model: model, visitor="b", per_minute=3))
    clock.now = 61
    finished(desk.submit(10, "m", lambda model: model, visitor="a", per_minute=3))


def test_many_sessions_of_one_address_are_one_visitor_in_the_end(desk):
    for number in range(5):
        finished(
            desk.submit(
                number,
                "m",
                lambda model: model,
                visitor=str(number),
                address="10.0.0.9",
                per_minute=1,
            )
        )
    with pytest.raises(Busy):
        desk.submit(9, "m", lambda model: model, visitor="9", address="10.0.0.9", per_minute=1)


def test_a_sentence_reaches_the_visitor_and_a_bug_does_not(desk):
    def refuse(model):
        raise PuzzleError("too long by 3 tokens")

    assert finished(desk.submit(1, "m", refuse, visitor="a")).error == "too long by 3 tokens"
    error = finished(desk.submit(2, "m", lambda model: 1 / 0, visitor="a")).error
    assert "ZeroDivisionError" in error
    assert "division by zero" not in error
    assert finished(desk.submit(3, "m", lambda model: "fine", visitor="a")).result == "fine"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_worker_that_dies_is_replaced_for_the_next_visitor(desk):
    def die(model):
        raise KeyboardInterrupt

    assert "try again" in finished(desk.submit(1, "m", die, visitor="a")).error
    job = desk.submit(2, "m", lambda model: "served", visitor="b")
    for _ in range(6_000):  # as a page looks
        if job.done.wait(0.01):
            break
        desk.look(job)
    assert job.result == "served"


def test_a_worker_that_hangs_is_left_behind_and_the_line_goes_on(desk, clock):
    gate = Gate()
    stuck = desk.submit(1, "m", gate, visitor="a", seconds=30)
    assert gate.began.wait(60)
    waiting = desk.submit(2, "m", lambda model: model, visitor="b")
    clock.now = 29
    assert desk.look(waiting) == 1
    clock.now = 31
    waiting.seen = 31
    desk.look(waiting)
    assert "longer than 30 seconds" in finished(stuck).error
    assert finished(waiting).result == "M"
    gate.open.set()


def test_nobody_is_served_who_has_left(desk, clock):
    gate = Gate()
    desk.submit(1, "m", gate, visitor="a", seconds=1_000)
    assert gate.began.wait(60)
    left = desk.submit(2, "m", lambda model: model, visitor="b")
    clock.now = UNSEEN + 1
    gate.open.set()
    assert "Nobody was waiting" in finished(left).error


def test_a_model_that_cannot_be_loaded_leaves_none_in_memory(clock, loaded):
    def load(name, say):
        loaded.append(name)
        if name == "bad":
            raise PuzzleError("model type 'x' is not read rightly")
        return name

    desk = Desk(load, clock=clock)
    finished(desk.submit(1, "good", lambda model: model, visitor="a"))
    assert (
        "not read rightly"
        in finished(desk.submit(2, "bad", lambda model: model, visitor="a")).error
    )
    assert finished(desk.submit(3, "good", lambda model: model, visitor="a")).result == "good"
    assert loaded == ["good", "bad", "good"]
