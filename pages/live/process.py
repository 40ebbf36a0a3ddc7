"""The process that models are in, and the way to it.

Pages and scoring in one process would share one interpreter, and a scoring that lets go of it at
each of its many small steps would wait there for whoever draws a page. So models are in a process
of their own: it loads one and does pieces of work (work.py), one at a time, as the desk asks. It
can be ended when work takes too long, and when the system ends it for want of memory the pages go
on. Messages are pickled over its own pipes. Knows nothing of Streamlit.
"""

import atexit
import contextlib
import gc
import os
import pickle  # noqa: TID251 -- read from our own process only
import signal
import subprocess  # noqa: TID251 -- starts Python on this file, and nothing else
import sys
import threading
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, TypeVar, cast

from pages.live.desk import Gone
from pages.live.work import Model, Work
from pages.server.traces import without_words
from qkcore import InputError

if TYPE_CHECKING:
    from qkcore.attention.load import CausalLM

ROOT = Path(__file__).parents[2]
ENDED = "The process that scores has ended"
Made = TypeVar("Made")  # what some work gives


class WorkFailed(Exception):
    """An error that nobody foresaw, over there: its kind, and a traceback without words."""

    def __init__(self, kind: str, trace: str) -> None:
        super().__init__(kind, trace)
        self.kind, self.trace = kind, trace


class Ends(NamedTuple):
    """The two pipes of a process, and what to do with it."""

    ask: BinaryIO  # to write questions to
    said: BinaryIO  # to read answers from
    is_alive: Callable[[], bool]
    stop: Callable[[], None]  # end it at once
    why: Callable[[], str]  # a sentence, once it has ended


class ScoringProcess:
    """The process as the desk sees it: started when it is first needed, and again after it ended.

    Args:
        threads: how many threads the model may use; None for torch's own choice.
    """

    def __init__(self, threads: int | None = None) -> None:
        self._threads = threads
        self._ends: Ends | None = None
        self._model: Model | None = None  # that is in it
        self._changing = threading.Lock()

    def load(self, model: Model, say: Callable[[str], None]) -> "ScoringProcess":
        """Have a model loaded in place of the one before; the process itself, to `do` work with.

        Raises:
            InputError: when the model cannot be had.
            Gone: when the process ends meanwhile.
            WorkFailed: when something went wrong that nobody foresaw.
        """
        self._model = None
        self._asked(model, say)
        self._model = model
        return self

    def do(self, work: Work[Made]) -> Made:
        """What comes of a piece of work on the model that was loaded. Raises as `load` does.

        Where the process has ended since, another loads the model first.
        """
        ends, model = self._ends, self._model
        if model is not None and (ends is None or not ends.is_alive()):
            self.stop()
            self.load(model, lambda stage: None)
        return cast(Made, self._asked(work, lambda stage: None))

    def stop(self) -> None:
        """End the process, whatever it does; the next who asks gets another."""
        with self._changing:
            ends, self._ends = self._ends, None
        if ends is not None:
            ends.stop()

    def _asked(self, what: Model | Work[Any], say: Callable[[str], None]) -> object:
        with self._changing:
            ends = self._ends = self._ends or started(self._threads)
        try:
            ends.ask.write(pickle.dumps(what))
            ends.ask.flush()
            while True:
                kind, *rest = pickle.load(ends.said)  # noqa: S301 -- our own process's words
                if kind != "stage":
                    break
                say(*rest)
        except (EOFError, OSError, ValueError, pickle.UnpicklingError):  # ended, maybe in mid-word
            with self._changing:
                if self._ends is ends:
                    self._ends = None
            ends.stop()
            raise Gone(ends.why()) from None
        if kind == "refused":
            raise InputError(*rest)
        if kind == "failed":
            raise WorkFailed(*rest)
        return rest[0]


def started(threads: int | None) -> Ends:
    """A new process, which has not yet imported what a model needs."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    environment = os.environ | {"PYTHONPATH": path}
    if threads is not None:
        environment["OMP_NUM_THREADS"] = str(threads)
    # -P: a folder named pages where the server was started is not ours.
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "pages.live.process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        start_new_session=True,  # Ctrl-C is for the server, whose end is the end of this too
    )
    ask, said = cast("BinaryIO", process.stdin), cast("BinaryIO", process.stdout)
    atexit.register(process.kill)

    def stop() -> None:
        atexit.unregister(process.kill)
        process.kill()
        process.wait()

    def why() -> str:
        status = process.wait()
        if status == -signal.SIGKILL:
            return (
                f"{ENDED}: the system ended it, most often for want of memory. Please try again, "
                "or with a smaller model."
            )
        return f"{ENDED} (status {status}); please try again."

    return Ends(ask, said, lambda: process.poll() is None, stop, why)


def serve(asked: BinaryIO, said: BinaryIO) -> None:
    """Load models and do work, as it is asked for, until nobody can ask any more."""

    def say(*words: object) -> None:
        said.write(pickle.dumps(words))  # first whole: what cannot be said leaves nothing half said
        said.flush()

    lm: CausalLM | None = None
    beside: dict[Hashable, Any] = {}
    while True:
        try:
            what: Model | Work[Any] = pickle.load(asked)  # noqa: S301 -- from who started this
        except EOFError:
            return
        try:
            if isinstance(what, Model):
                lm, beside = None, {}
                gc.collect()
                lm = what.loaded(lambda stage: say("stage", stage))
                say("done", None)
            elif lm is not None:
                say("done", what.done_with(lm, beside))
            else:
                say("refused", "No model is loaded; please try again.")
        except BrokenPipeError:
            return
        except InputError as error:
            say("refused", str(error))
        except Exception as error:
            say("failed", type(error).__name__, without_words(error))


def _main() -> None:
    """The process: what is printed goes to its errors, for its output is for answers."""
    asked, said = sys.stdin.buffer, os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    with contextlib.suppress(BrokenPipeError):
        serve(asked, said)


if __name__ == "__main__":
    _main()
