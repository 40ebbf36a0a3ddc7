"""A run's raw scores while it is published: written puzzle by puzzle, read layer by layer.

Parts come by puzzles, counts are by head. So scores go through a file that has no name: memory
holds a layer at a time, and nothing is left of the file whatever ends the process. Knows nothing of
parts or stores.
"""

import os
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from qkcore.results.reader import StoreError


class RawScores(Protocol):
    """Scores of all heads, a layer at a time."""

    @property
    def n_candidates(self) -> int:
        """Of the puzzle with the most."""

    def of_layer(self, place: int) -> np.ndarray:
        """(puzzle, head, candidate) float32 of a layer; candidates that a puzzle lacks are NaN.

        Args:
            place: of the layer among those that have heads, from 0.
        """

    def close(self) -> None:
        """Give back what it takes on the disk; nothing can be read afterwards."""


@dataclass(frozen=True, slots=True, eq=False)
class InMemory:
    """Scores that are all there.

    >>> scores = InMemory(np.arange(12, dtype=np.float32).reshape(1, 6, 2), n_heads=3)
    >>> scores.of_layer(1).tolist()
    [[[6.0, 7.0], [8.0, 9.0], [10.0, 11.0]]]
    """

    qk: np.ndarray  # (puzzle, layer * head, candidate) float32
    n_heads: int  # of a layer

    @property
    def n_candidates(self) -> int:
        """Of the puzzle with the most."""
        return self.qk.shape[-1]

    def of_layer(self, place: int) -> np.ndarray:
        """See `RawScores`."""
        return self.qk[:, place * self.n_heads : (place + 1) * self.n_heads]

    def close(self) -> None:
        """See `RawScores`; nothing is on the disk."""


class Spooled:
    """Scores in a file, which goes when this is closed or nobody holds it any more.

    >>> scores = Spooled(Path(tempfile.gettempdir()), n_puzzles=2, n_heads=1, n_candidates=2)
    >>> for puzzle in (1, 0):
    ...     scores.write(puzzle, np.full((1, 3, 2), puzzle, dtype=np.float32))
    >>> scores.of_layer(2).tolist()
    [[[0.0, 0.0]], [[1.0, 1.0]]]
    """

    def __init__(self, folder: Path, n_puzzles: int, n_heads: int, n_candidates: int) -> None:
        """Make the file.

        Args:
            folder: on the disk where it is to lie; there has to be room for all scores.
            n_puzzles: of the run.
            n_heads: of a layer.
            n_candidates: of the puzzle with the most.

        Raises:
            StoreError: when nothing can be written there.
        """
        self._shape = (n_puzzles, n_heads, n_candidates)
        self._folder = folder
        with self._in_words(), tempfile.TemporaryFile(dir=folder) as file:
            self._file = os.dup(file.fileno())
        self._closed = weakref.finalize(self, os.close, self._file)

    @property
    def n_candidates(self) -> int:
        """Of the puzzle with the most."""
        return self._shape[-1]

    def write(self, start: int, qk: np.ndarray) -> None:
        """Keep the scores of consecutive puzzles.

        Args:
            start: place of the first.
            qk: (puzzle, layer * head, candidate) float32; candidates may be fewer.

        Raises:
            StoreError: when there is no room.
        """
        n_puzzles, n_heads, n_candidates = self._shape
        a_puzzle = 4 * n_heads * n_candidates  # bytes
        own = np.full((len(qk), n_heads, n_candidates), np.nan, dtype=np.float32)
        for place in range(qk.shape[1] // n_heads):
            own[..., : qk.shape[-1]] = qk[:, place * n_heads : (place + 1) * n_heads]
            with self._in_words():
                _write(self._file, own, (place * n_puzzles + start) * a_puzzle)

    def of_layer(self, place: int) -> np.ndarray:
        """See `RawScores`."""
        found = np.empty(self._shape, dtype=np.float32)
        left, at = found.data.cast("B"), place * found.nbytes
        while left:
            n_read = os.preadv(self._file, [left], at)
            if not n_read:
                raise ValueError(f"layer {place} was not written to the end")
            left, at = left[n_read:], at + n_read
        return found

    def close(self) -> None:
        """See `RawScores`."""
        self._closed()

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(
                f"raw scores could not be laid out by layers in {self._folder}: {error.strerror}. "
                "Publishing needs room there for all of them once more. Finished parts are kept. "
                "Make room, or let this user write there, and run the same command again to go on."
            ) from None


@dataclass(frozen=True, slots=True)
class Halved:
    """Scores rounded to float16.

    >>> whole = InMemory(np.array([[[1.0001, 2.0]]], dtype=np.float32), n_heads=1)
    >>> Halved(whole).of_layer(0).tolist()
    [[[1.0, 2.0]]]
    """

    whole: RawScores

    @property
    def n_candidates(self) -> int:
        """Of the puzzle with the most."""
        return self.whole.n_candidates

    def of_layer(self, place: int) -> np.ndarray:
        """See `RawScores`; what does not fit float16 is infinite."""
        with np.errstate(over="ignore"):
            return self.whole.of_layer(place).astype(np.float16).astype(np.float32)

    def close(self) -> None:
        """See `RawScores`."""
        self.whole.close()


def _write(file: int, values: np.ndarray, at: int) -> None:
    left = values.data.cast("B")
    while left:
        n_written = os.pwrite(file, left, at)
        left, at = left[n_written:], at + n_written
