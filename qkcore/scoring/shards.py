"""The one unit of work: a shard is a slice of puzzles, and gives one part in a folder, or nothing.

Says which shards are left, keeps the folder to one job at a time, writes parts and takes the folder
away in the end. The folder may be an object store's (`results/object_store`, `lease`). Scoring,
lens and ablation share it. Knows nothing of models, of stores, or of who works on the shards.
"""

import fcntl
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from qkcore import InputError
from qkcore.results.object_store import Address, Folder, Unreachable, folder_of
from qkcore.results.parts import PART_SIZE, Part, checked, part_name, part_path, write_part
from qkcore.scoring.lease import is_leased, leased, leases

JOB, FAILED, LOCK = "job.json", "failed.jsonl", "lock"  # files beside the parts
BESIDE = ".parts"  # what a store's name is followed by in that of the folder beside it


class Interrupted(InputError):
    """The run was stopped; the message says what is kept and how to go on."""


@dataclass(frozen=True, slots=True)
class Shards:
    """What is to be done, and where its parts lie."""

    folder: Folder
    puzzle_ids: tuple[str, ...]  # of all puzzles, in order
    verb: str = "scored"  # what is done to a puzzle
    with_lens: bool = False  # whether a part has to have one

    def __len__(self) -> int:
        """How many shards there are."""
        return -(-len(self.puzzle_ids) // PART_SIZE)

    def rows(self, index: int) -> slice:
        """Which puzzles a shard is about."""
        return slice(index * PART_SIZE, (index + 1) * PART_SIZE)

    def n_puzzles(self, indices: Sequence[int]) -> int:
        """How many puzzles some shards have."""
        return sum(len(self.puzzle_ids[self.rows(index)]) for index in indices)

    def paths(self) -> list[Folder]:
        """Where each shard's part is, or will be."""
        return [part_path(self.folder, index) for index in range(len(self))]

    def checked(self, index: int) -> Part | str:
        """A shard's part, or why there is none; see `parts.checked`."""
        return checked(
            part_path(self.folder, index), self.puzzle_ids[self.rows(index)], self.with_lens
        )

    def missing(self) -> list[int]:
        """The shards without a whole part of their own; a part that will not do is named."""
        found, there = [], names_in(self.folder)
        for index, path in enumerate(self.paths()):
            part = self.checked(index) if path.name in there else ""
            if isinstance(part, str):
                found.append(index)
                if part:
                    print(f"{path} {part}; its puzzles are {self.verb} again.", file=sys.stderr)
        n_all = len(self.puzzle_ids)
        if n_done := n_all - self.n_puzzles(found):
            print(f"{n_done:,} of {n_all:,} puzzles were {self.verb} before; going on.",
                  file=sys.stderr)  # fmt: skip
        return found

    def stamps(self) -> list[tuple[int, int] | None]:
        """What tells each part's file from one that comes later; None where there is none."""
        found: list[tuple[int, int] | None] = []
        if isinstance(self.folder, Address):
            listed = self.folder.listed()
            there = [listed.get(part_name(index)) for index in range(len(self))]
            return [None if one is None else (one.size, one.mtime_ns or 0) for one in there]
        for path in (part_path(self.folder, index) for index in range(len(self))):
            try:
                status = path.stat()
            except FileNotFoundError:
                found.append(None)
            else:
                found.append((status.st_ino, status.st_mtime_ns))
        return found

    def n_new(self, missing: Sequence[int], before: Sequence[tuple[int, int] | None]) -> int:
        """How many puzzles of the missing shards have a part that was not there before."""
        now = self.stamps()
        return self.n_puzzles([index for index in missing if now[index] != before[index]])

    def write(self, index: int, part: Part) -> None:
        """Write a shard's part.

        Raises:
            InputError: when there is no room for it, or it may not be written; `Unreachable` when
                an object store does not answer.
        """
        try:
            write_part(part_path(self.folder, index), part)
        except OSError as error:
            raise InputError(
                f"a part could not be written to {self.folder}: {error.strerror or error}. "
                f"{self.kept()} Make room, or let this user write there, and run the same command "
                "again to go on."
            ) from None

    def _has_parts(self) -> bool:
        """Whether any is there, or may be: an object store need not answer."""
        try:
            there = names_in(self.folder, is_patient=False)
        except Unreachable:
            return True
        return any(part_name(index) in there for index in range(len(self)))

    def kept(self) -> str:
        """How much is done and kept, as a sentence. Parts are counted, not read."""
        try:
            names = names_in(self.folder, is_patient=False)
        except Unreachable:
            return f"All parts that were written are kept in {self.folder}."
        there = [index for index in range(len(self)) if part_name(index) in names]
        return (
            f"{self.n_puzzles(there):,} of {len(self.puzzle_ids):,} puzzles are {self.verb} "
            f"and kept in {self.folder}."
        )

    def interrupted(self) -> Interrupted:
        """What to raise when the job is stopped."""
        return Interrupted(f"stopped; {self.kept()} Run the same command again to go on.")

    def note_failure(self, why: str, index: int | None = None) -> None:
        """Keep why something failed, for `--status`; said nowhere when it cannot be kept."""
        row = json.dumps({"time": time.time(), "part": index, "why": why}) + "\n"
        if isinstance(self.folder, Address):  # nothing is added to an object
            one = self.folder / FAILED.replace(".", f"-{time.time_ns()}.")
            with suppress(Unreachable):
                one.write_text(row, is_patient=False)
            return
        with suppress(OSError), (self.folder / FAILED).open("a") as file:
            file.write(row)

    @contextmanager
    def watched(self, refusals: tuple[type[Exception], ...] = ()) -> Iterator[None]:
        """While open, being stopped is said in a sentence, and any failure is noted.

        Args:
            refusals: errors that another try would meet again; where no part is kept, the job that
                met one leaves nothing. (For who holds the folder alone.)

        Raises:
            Interrupted: on Ctrl-C; finished parts are kept.
        """
        try:
            yield
        except KeyboardInterrupt:
            raise self.interrupted() from None
        except Exception as error:
            if isinstance(error, refusals) and not self._has_parts():
                remove(self.folder)
                raise
            self.note_failure(str(error))
            raise

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the folder: a second job on the same parts is turned away.

        Raises:
            InputError: when another job holds it, or nothing can be written there.
        """
        try:
            with only_worker(self.folder):
                if isinstance(self.folder, Path):
                    for leftover in self.folder.glob("*.tmp"):  # of workers that were killed
                        leftover.unlink(missing_ok=True)
                self._note_job()
                yield
        except OSError as error:
            if not str(error.filename).startswith(str(self.folder.parent)):
                raise
            raise InputError(
                f"{self.folder}: {error.strerror}. Parts of a run are kept beside its store; give "
                "the store a folder that can be written to, with room in it, or name another with "
                "--parts"
            ) from None

    def _note_job(self) -> None:
        row = {
            "verb": self.verb,
            "n_puzzles": len(self.puzzle_ids),
            "started": time.time(),
            "process": os.getpid(),
        }
        (self.folder / JOB).write_text(json.dumps(row))


def parts_folder(store: Path, name: str, parts: str | Path | None = None) -> Folder:
    """Where the parts of a run lie until it is published: beside the store, or where one says.

    >>> parts_folder(Path("s.duckdb"), "run-1"), parts_folder(Path("s.duckdb"), "run-1", "kept")
    (PosixPath('s.duckdb.parts/run-1'), PosixPath('kept/run-1'))
    """
    return all_parts(store, parts) / name


def all_parts(store: Path, parts: str | Path | None = None) -> Folder:
    """Where the folders of all unfinished runs lie.

    Raises:
        InputError: when the address is none.
    """
    return store.with_name(store.name + BESIDE) if parts is None else folder_of(parts)


def names_in(folder: Folder, is_patient: bool = True) -> set[str]:
    """What lies in it; nothing where it is not there."""
    if isinstance(folder, Address):
        return set(folder.listed(is_patient))
    try:
        return set(os.listdir(folder))
    except OSError:
        return set()


@contextmanager
def only_worker(folder: Folder) -> Iterator[None]:
    """Hold the run's folder, which is made; a second process on the same run is turned away."""
    if isinstance(folder, Address):
        with leased(folder):
            yield
        return
    while (lock := _locked(folder)) is None:
        pass
    try:
        yield
    finally:
        os.close(lock)


def _locked(folder: Path) -> int | None:
    """The folder's lock, held; None when another took the folder away in this very moment."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise InputError(
            f"another process is scoring this run in {folder}; wait for it, or stop it"
        ) from None
    with suppress(FileNotFoundError):
        if os.fstat(lock).st_ino == (folder / LOCK).stat().st_ino:
            return lock
    os.close(lock)
    return None


def is_held(folder: Folder) -> bool:
    """Whether a job is at work in the folder."""
    if isinstance(folder, Address):
        return is_leased(folder)
    try:
        lock = os.open(folder / LOCK, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False


def remove(folder: Folder) -> None:
    """Take a finished run's folder away, and the one around it if it was the last beside its store.

    The lock goes last: until then nobody else can begin there. (A lease lies beside the folder, and
    is given back by who holds it.)
    """
    if isinstance(folder, Address):
        folder.remove()
        return
    for path in folder.iterdir():
        if path.name != LOCK:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    (folder / LOCK).unlink(missing_ok=True)
    _remove_empty(folder)
    _remove_around(folder)


def remove_leftovers(folder: Folder) -> None:
    """Take away what a job left that was killed after its run was published."""
    if folder.is_dir() or (isinstance(folder, Address) and leases(folder)):
        with suppress(InputError), only_worker(folder):
            remove(folder)
    if isinstance(folder, Path):
        _remove_around(folder)


def _remove_around(folder: Path) -> None:
    """Take away what is around a run's folder if it is ours: one that somebody named stays."""
    if folder.parent.suffix == BESIDE:
        _remove_empty(folder.parent)


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):  # not empty: somebody else's parts are in it
        folder.rmdir()
