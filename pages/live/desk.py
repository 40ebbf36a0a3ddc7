"""One model, one worker, and a line of visitors before it.

Plain threads: knows nothing of Streamlit, nor where models are (process.py does). A visitor asks
for work on a model and gets a `Job` to look at. Work is done one piece at a time by one thread,
which has the model loaded when it is not the one in memory. What goes wrong ends in the job's
`error`, one sentence; a thread that dies or hangs is replaced when the next visitor looks.
"""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

from qkcore import InputError

N_KEPT = 64  # results that are kept for whoever asks the same
MAX_KEPT_BYTES = 2**23  # of one of them, where a result says how large it is
UNSEEN = 30  # seconds after which nobody is waiting for a job any more
LOADING = 900  # seconds that loading may take, downloads included
# An address may be that of many visitors: it may ask this many times as often as one of them.
SHARED_ADDRESS = 5
STOPPED = "The worker stopped while scoring; please try again."


class Busy(InputError):
    """The line is full, or a visitor asks too often."""


class Gone(InputError):
    """The model is no longer where it was; whoever asks next has it loaded again."""


@dataclass(eq=False)
class Job:
    """One piece of work, from the moment it is asked for."""

    key: Hashable  # what is asked; the same key has the same result
    visitor: str
    model: Hashable  # whatever tells models apart
    work: Callable[[Any], Any]  # called with the model
    seconds: float  # longest that the work may take
    stage: str = "waiting"
    started: float | None = None
    seen: float = 0.0
    result: Any = None
    error: str | None = None
    done: threading.Event = field(default_factory=threading.Event)

    def finish(self, result: object = None, error: str | None = None) -> None:
        """Set the outcome; the first one counts."""
        if not self.done.is_set():
            self.result, self.error = result, error
            self.done.set()


class Desk:
    """The line and its worker.

    Args:
        load: gives the model of a name; called in the worker, with the name and a function that
            takes the stage.
        report: called with an error that nobody foresaw.
        give_up: called when work is far over its time; should have it end.
    """

    def __init__(
        self,
        load: Callable[[Any, Callable[[str], None]], object],
        report: Callable[[Exception], None] = lambda error: None,
        give_up: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._load, self._report, self._give_up, self._clock = load, report, give_up, clock
        self._changed = threading.Condition(threading.RLock())
        self._waiting: deque[Job] = deque()
        self._running: Job | None = None
        self._worker: threading.Thread | None = None
        self._model_name: Hashable = None
        self._model: object = None
        self._kept: OrderedDict[Hashable, object] = OrderedDict()
        self._asked: dict[str, deque[float]] = {}

    def submit(
        self,
        key: Hashable,
        model: Hashable,
        work: Callable[[Any], Any],
        *,
        visitor: str,
        address: str = "",
        seconds: float = 60,
        max_waiting: int = 16,
        per_minute: int = 600,
    ) -> Job:
        """Ask for work.

        The same question by the same visitor, or one answered before, is not done again. A visitor
        has one job in line: another question of theirs takes the place of the one before.

        Raises:
            Busy: with what to do, when the line is full or the visitor asks too often.
        """
        with self._changed:
            job = Job(key, visitor, model, work, seconds, seen=self._clock())
            if key in self._kept:
                self._kept.move_to_end(key)
                job.finish(self._kept[key])
                return job
            mine = [
                one
                for one in [self._running, *self._waiting]
                if one is not None and one.visitor == visitor
            ]
            for earlier in mine:
                if earlier.key == key:
                    return earlier
            self._count(visitor, per_minute)
            if address:
                self._count(f"address {address}", SHARED_ADDRESS * per_minute)
            for earlier in mine:
                if earlier is not self._running:
                    self._waiting.remove(earlier)
                    earlier.finish(error="Another puzzle was asked in its place.")
            if len(self._waiting) >= max_waiting:
                raise Busy(
                    f"{len(self._waiting)} visitors are waiting already; please try again in a "
                    "minute."
                )
            self._waiting.append(job)
            self._mend()
            self._changed.notify()
            return job

    def look(self, job: Job) -> int:
        """How many are served before this job; says that somebody waits for it.

        0: it is being served, or done.
        """
        with self._changed:
            job.seen = self._clock()
            self._mend()
            if job not in self._waiting:
                return 0
            return self._waiting.index(job) + (self._running is not None)

    def _count(self, who: str, per_minute: int) -> None:
        now = self._clock()
        for name in [
            name for name, times in self._asked.items() if not times or now - times[-1] > 60
        ]:
            del self._asked[name]
        times = self._asked.setdefault(who, deque())
        while times and now - times[0] > 60:
            times.popleft()
        if len(times) >= per_minute:
            wait = max(1, round(60 - (now - times[0])))
            raise Busy(
                f"That is more than {per_minute} puzzles a minute; please wait {wait} seconds."
            )
        times.append(now)

    def _mend(self) -> None:
        """Have a worker: replace one that died, or that is far over its time."""
        running = self._running
        if self._worker is not None and self._worker.is_alive():
            if running is None or running.started is None:
                return
            if self._clock() - running.started < running.seconds:
                return
            running.finish(
                error=f"This took longer than {running.seconds:,.0f} seconds and was given up; try "
                "a shorter puzzle."
            )
            self._model_name = self._model = None
            self._give_up()  # the thread, if it ever comes back, sees that it was replaced
        if running is not None:
            running.finish(error=STOPPED)
        self._running = None
        self._worker = threading.Thread(target=self._serve, name="scoring", daemon=True)
        self._worker.start()

    def _serve(self) -> None:
        me = threading.current_thread()
        while True:
            with self._changed:
                while not self._waiting and self._worker is me:
                    self._changed.wait()
                if self._worker is not me:
                    return
                job = self._waiting.popleft()
                if self._clock() - job.seen > UNSEEN:
                    job.finish(error="Nobody was waiting for this any more; ask again.")
                    continue
                self._running = job
            self._do(job, me)
            with self._changed:
                if self._worker is not me:
                    return
                self._running = None

    def _do(self, job: Job, me: threading.Thread) -> None:
        try:
            model = self._model_named(job, me)
            job.stage, job.started, limit = "scoring", self._clock(), job.seconds
            result = job.work(model)
            if self._clock() - job.started <= limit:
                self._keep(job.key, result)
            job.finish(result)
        except Gone as error:
            with self._changed:
                if self._worker is me:
                    self._model_name = self._model = None
            job.finish(error=str(error))
        except InputError as error:
            job.finish(error=str(error))
        except Exception as error:
            self._report(error)
            kind = getattr(error, "kind", type(error).__name__)
            job.finish(error=f"Scoring failed unexpectedly ({kind}); the server's log says more.")
        except BaseException:
            job.finish(error=STOPPED)
            raise

    def _model_named(self, job: Job, me: threading.Thread) -> object:
        if self._model_name == job.model:
            return self._model
        self._model_name = self._model = None
        work_seconds, job.seconds = job.seconds, LOADING
        job.stage, job.started = "loading the model", self._clock()
        model = self._load(job.model, lambda stage: setattr(job, "stage", stage))
        job.seconds = work_seconds
        with self._changed:
            if self._worker is me:
                self._model_name, self._model = job.model, model
        return model

    def _keep(self, key: Hashable, result: object) -> None:
        if getattr(result, "n_bytes", 0) > MAX_KEPT_BYTES:
            return
        with self._changed:
            self._kept[key] = result
            while len(self._kept) > N_KEPT:
                self._kept.popitem(last=False)
