"""The process that models are in: real ones here, ended in every way that one can end."""

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass

import numpy as np
import psutil
import pytest

from pages.live import process
from pages.live.desk import Desk, Gone
from pages.live.process import ScoringProcess, WorkFailed
from pages.live.work import Model, Score
from qkcore import InputError, bundled_model
from qkcore.asking.links import Shared, typed_puzzle
from tests import ROOT

STARTED = process.started  # before other tests have threads in its place
ASKED = Shared(
    typed_puzzle("Max is a wumpus. Every wumpus is cold.", "Max is cold.", answer=0),
    "data/reference",
)


@dataclass(frozen=True)
class Toy(Model):
    """A model of no weights, so that a process is ready as soon as it is started."""

    def loaded(self, say):
        say("thinking of a toy")
        return f"toy {self.name}"


@dataclass(frozen=True)
class Call:
    """Work that calls a function by its name here."""

    function: str

    def done_with(self, lm, beside):
        return globals()[self.function](lm, beside)


def count(lm, beside):
    print("what is printed does not get into the answers")
    beside["n"] = beside.get("n", 0) + 1
    return lm, beside["n"], os.getpid()


def refuse(lm, beside):
    raise InputError("too long by 3 tokens")


def fail(lm, beside):
    raise KeyError(lm.upper())  # as an error quotes a puzzle


def leave(lm, beside):
    os._exit(3)


def be_killed(lm, beside):
    os.kill(os.getpid(), signal.SIGKILL)


def hang(lm, beside):
    time.sleep(600)


@pytest.fixture(scope="module")
def own():
    """One process for all tests that leave it alive."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "started", STARTED)
        found = ScoringProcess()
        yield found
        found.stop()


@pytest.fixture
def toy(own):
    own.load(Toy("one", ""), lambda stage: None)
    return own


def test_work_is_done_over_there_with_the_model_and_what_was_kept_beside_it(own):
    stages = []
    own.load(Toy("one", ""), stages.append)
    assert stages == ["thinking of a toy"]
    name, n, pid = own.do(Call("count"))
    assert (name, n) == ("toy one", 1)
    assert pid != os.getpid()
    assert own.do(Call("count")) == ("toy one", 2, pid)
    own.load(Toy("two", ""), stages.append)
    assert own.do(Call("count")) == ("toy two", 1, pid)


def test_a_sentence_comes_back_as_one_and_a_bug_without_its_words(toy):
    with pytest.raises(InputError, match="too long by 3 tokens"):
        toy.do(Call("refuse"))
    with pytest.raises(WorkFailed) as failed:
        toy.do(Call("fail"))
    assert failed.value.kind == "KeyError"
    assert "in fail" in failed.value.trace
    assert "TOY ONE" not in failed.value.trace
    assert toy.do(Call("count"))[0] == "toy one"


@pytest.mark.parametrize(
    ("end", "sentence"),
    [("leave", r"has ended \(status 3\); please try again"), ("be_killed", "for want of memory")],
)
def test_a_process_that_ends_at_work_is_a_sentence_and_the_next_work_gets_another(
    end, sentence, toy
):
    pid = toy.do(Call("count"))[2]
    with pytest.raises(Gone, match=sentence):
        toy.do(Call(end))
    name, n, other = toy.do(Call("count"))
    assert (name, n) == ("toy one", 1)
    assert other != pid


def test_a_process_that_was_ended_while_nobody_asked_is_replaced_unseen(toy):
    pid = toy.do(Call("count"))[2]
    there = psutil.Process(pid)
    there.kill()
    deadline = time.monotonic() + 60
    while toy._ends.is_alive() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert toy.do(Call("count"))[2] != pid


def test_work_that_takes_too_long_is_ended_with_its_process_and_the_line_goes_on(toy):
    desk = Desk(lambda name, say: toy.load(Toy(name, ""), say), give_up=toy.stop)
    pid = toy.do(Call("count"))[2]
    stuck = desk.submit(1, "m", lambda held: held.do(Call("hang")), visitor="a", seconds=0.2)
    waiting = desk.submit(2, "m", lambda held: held.do(Call("count")), visitor="b")
    deadline = time.monotonic() + 60
    while not waiting.done.wait(0.02) and time.monotonic() < deadline:
        desk.look(waiting)
    assert "longer than 0 seconds" in stuck.error
    assert waiting.result[2] != pid
    assert not psutil.pid_exists(pid)


def test_a_process_ends_with_whoever_started_it():
    code = (
        "import os, sys; from tests.pages.test_process import *; "
        "held = ScoringProcess(); held.load(Toy('one', ''), print); "
        "print(held.do(Call('count'))[2], flush=True); os._exit(0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    pid = int(done.stdout.split()[-1])
    deadline = time.monotonic() + 60
    while psutil.pid_exists(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not psutil.pid_exists(pid)


def test_a_real_model_scores_there_as_it_does_here(monkeypatch):
    from qkcore import load_model, score_puzzle

    monkeypatch.setattr(process, "started", STARTED)
    held = ScoringProcess(threads=1)
    held.load(Model("data/reference", str(bundled_model())), lambda stage: None)
    found = held.do(Score(ASKED, 1_000))
    held.stop()
    assert np.allclose(found.scores.qk, score_puzzle(load_model(bundled_model()), ASKED.puzzle).qk)
    assert found.alignment.products.shape[-1] == found.n_tokens


def test_the_desk_and_the_process_are_not_in_each_others_way(toy):
    """A look from another thread is answered while work is under way."""
    desk = Desk(lambda name, say: toy.load(Toy(name, ""), say), give_up=toy.stop)
    job = desk.submit(1, "m", lambda held: held.do(Call("hang")), visitor="a", seconds=600)
    looked = threading.Event()
    threading.Thread(target=lambda: (desk.look(job), looked.set()), daemon=True).start()
    assert looked.wait(60)
    toy.stop()
    assert job.done.wait(60)
    assert "for want of memory" in job.error
