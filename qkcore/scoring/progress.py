"""How a job gets on: done, left, speed, and what heads and model have got right so far.

A bar on a terminal; elsewhere a line a minute; and, if asked for, a file of JSON lines. Speed is
that of the last minutes, so that an hour at half speed shows. Knows nothing of models or files of
parts.
"""

import json
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TextIO

import numpy as np
from tqdm import tqdm

from qkcore import InputError
from qkcore.puzzles.puzzle import Puzzle
from qkcore.results.parts import Part
from qkcore.statistics.marks import margins
from qkcore.wording import head_name

RECENT = 600.0  # seconds that speed looks back
EVERY = 60.0  # seconds between two lines


@dataclass
class RunningAccuracy:
    """What model and heads have right of the validation puzzles that were scored so far."""

    puzzles: Sequence[Puzzle]
    layers: Sequence[int]  # of the heads, in the order of a part
    n: int = 0
    model: int = 0
    heads: np.ndarray | None = None  # (layer * head,) puzzles right
    _places: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._places = {
            puzzle.puzzle_id: place
            for place, puzzle in enumerate(self.puzzles)
            if puzzle.split == "validation"
        }

    def add(self, part: Part) -> None:
        """Count a part's puzzles."""
        rows = [row for row, one in enumerate(part.puzzle_ids) if one in self._places]
        if not rows:
            return
        asked = [self.puzzles[self._places[part.puzzle_ids[row]]] for row in rows]
        answers = np.array([puzzle.answer for puzzle in asked])
        right = (margins(part.qk[rows], answers[:, None]) > 0).sum(axis=0)
        self.heads = right if self.heads is None else self.heads + right
        self.model += int((margins(part.logits[rows], answers) > 0).sum())
        self.n += len(rows)

    def numbers(self) -> dict[str, object]:
        """n, the model's accuracy, and the best head's with its name; empty before the first."""
        if self.heads is None or not len(self.heads):
            return {}
        best = int(self.heads.argmax())
        n_heads = len(self.heads) // len(self.layers)
        return {
            "n_validation": self.n,
            "model_accuracy": self.model / self.n,
            "head": head_name(self.layers[best // n_heads], best % n_heads),
            "head_accuracy": int(self.heads[best]) / self.n,
        }

    def sentence(self) -> str:
        """The same, to be read."""
        if not (found := self.numbers()):
            return ""
        return (
            f"best head so far {found['head']} {found['head_accuracy']:.1%}, "
            f"model {found['model_accuracy']:.1%} (n = {self.n:,} validation)"
        )


class Among(NamedTuple):
    """A run that is one of many: its title, and how long the later ones will take."""

    title: str  # such as "run 7 of 24: SmolLM2 on PARARULE-Plus"
    seconds_after: Callable[[float], float]  # from this run's speed, in puzzles a second


class Progress:
    """Counts what is done, and says so; to be closed.

    >>> with Progress(128, 64, "puzzle", is_shown=False) as progress:
    ...     progress.add(32)
    ...     progress.n_done, progress.n_all
    (96, 128)
    """

    def __init__(
        self,
        n_all: int,
        n_done: int,
        unit: str,
        *,
        is_shown: bool = True,
        log: Path | None = None,
        accuracy: RunningAccuracy | None = None,
        among: Among | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin.

        Raises:
            InputError: when the log cannot be written.
        """
        self.n_all, self.n_done, self._unit, self._clock = n_all, n_done, unit, clock
        self._accuracy, self._among = accuracy, among
        self._bar = None
        if is_shown and sys.stderr.isatty():
            title = None if among is None else among.title
            self._bar = tqdm(total=n_all, initial=n_done, unit=unit, desc=title)
        self._speaks = is_shown and self._bar is None
        self._log = None if log is None else opened(log)
        self._seen = deque([(clock(), n_done)])
        self._spoken = clock()
        self.event("start")

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, _: object) -> None:
        if kind is not None:
            self.event("stopped", why=f"{error}" or kind.__name__)
        else:
            self.event("done")
            if self._speaks:
                self._say()
        if self._bar is not None:
            self._bar.close()
        if self._log is not None:
            self._log.close()

    @property
    def speed(self) -> float:
        """Units a second, of late; 0 before anything is done."""
        (since, before), (now, done) = self._seen[0], self._seen[-1]
        return (done - before) / (now - since) if now > since else 0.0

    @property
    def seconds_left(self) -> float | None:
        """From the speed of late; None while nobody knows."""
        return (self.n_all - self.n_done) / self.speed if self.speed > 0 else None

    def count(self, part: Part) -> None:
        """Take a part into the running accuracy."""
        if self._accuracy is not None:
            self._accuracy.add(part)

    def add(self, n: int) -> None:
        """So many units more are done."""
        self.reach(self.n_done + n)

    def reach(self, n_done: int) -> None:
        """So many units are done by now."""
        n, self.n_done = n_done - self.n_done, n_done
        now = self._clock()
        self._seen.append((now, self.n_done))
        while len(self._seen) > 2 and self._seen[1][0] < now - RECENT:
            self._seen.popleft()
        if self._bar is not None:
            accuracy = "" if self._accuracy is None else self._accuracy.sentence()
            told = "; ".join(filter(None, (self._of_all(), accuracy)))
            self._bar.set_postfix_str(told, refresh=False)
            self._bar.update(n)
        elif self._speaks and now - self._spoken >= EVERY:
            self._spoken = now
            self._say()

    def event(self, name: str, **what: object) -> None:
        """A line of the log: when, what, and the numbers of that moment."""
        if self._log is None:
            return
        row: dict[str, object] = {"time": time.time(), "event": name, "unit": self._unit}
        row |= {"done": self.n_done, "all": self.n_all, "per_second": float(f"{self.speed:.4g}")}
        row["seconds_left"] = self.seconds_left
        if self._among is not None:
            row["run"] = self._among.title
        row |= self._accuracy.numbers() if self._accuracy is not None else {}
        try:
            self._log.write(json.dumps(row | what) + "\n")
            self._log.flush()
        except OSError as error:  # a log is not worth a run
            print(f"the log cannot be written any more: {error.strerror}", file=sys.stderr)
            self._log = None

    def _of_all(self) -> str:
        """How long this run and all later ones will take; nothing where nobody knows."""
        if self._among is None or self.seconds_left is None:
            return ""
        seconds = self.seconds_left + self._among.seconds_after(self.speed)
        return f"about {in_words(seconds)} for all"

    def _say(self) -> None:
        title = "" if self._among is None else f"{self._among.title}, "
        line = f"{title}{self.n_done:,} of {self.n_all:,} {self._unit}s"
        if self.speed > 0:
            line += f", {speed_in_words(self.speed)}, {in_words(self.seconds_left)} left"
        if told := self._of_all():
            line += f" here; {told}"
        if self._accuracy is not None and (said := self._accuracy.sentence()):
            line += f"; {said}"
        print(line, file=sys.stderr, flush=True)


def opened(log: Path) -> TextIO:
    """The log, to be written on.

    Raises:
        InputError: when it cannot be.
    """
    try:
        return log.open("a")
    except OSError as error:
        raise InputError(
            f"the log {log} cannot be written ({error.strerror}); name another file with --log-file"
        ) from None


def speed_in_words(speed: float) -> str:
    """Units a second, as people say it; a large model takes longer than a second for one.

    >>> speed_in_words(12.34), speed_in_words(0.0432)
    ('12.3 a second', '0.043 a second')
    """
    return f"{speed:.1f} a second" if speed >= 1 else f"{speed:.2g} a second"


def in_words(seconds: float | None) -> str:
    """A time as people say it.

    >>> in_words(42), in_words(3_700), in_words(200_000), in_words(None)
    ('42 s', '1 h 2 min', '2 d 7 h', 'unknown time')
    """
    if seconds is None:
        return "unknown time"
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes // 1440} d {minutes % 1440 // 60} h"
