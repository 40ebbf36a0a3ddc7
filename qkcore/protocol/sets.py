"""The puzzle sets of a protocol: published ones found in a folder, their twins, generated ones.

Says of each set of the protocol whether it was found, and of what files. Knows nothing of models.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from qkcore.protocol.drawing import drawn
from qkcore.protocol.frozen import Protocol, Published
from qkcore.puzzles.balance import balance_puzzles
from qkcore.puzzles.generate import generate_puzzles
from qkcore.puzzles.public_sets import NAMES, read_set
from qkcore.puzzles.puzzle import Puzzle, PuzzleError, puzzle_set_sha256
from qkcore.sharing.pinned import pinned_sets

TWIN = "-twin"  # a twin's name is its parent's with this


@dataclass(frozen=True, slots=True)
class PuzzleSet:
    """Puzzles that one run asks."""

    name: str
    kind: str  # "published", "twin" or "generated"
    puzzles: tuple[Puzzle, ...]
    has_lens: bool

    @property
    def sha256(self) -> str:
        """Of the puzzles, as a run names them."""
        return puzzle_set_sha256(self.puzzles)


@dataclass(frozen=True, slots=True)
class Sets:
    """All that is asked, and what a reader should know of how it was found."""

    sets: tuple[PuzzleSet, ...]
    notes: tuple[str, ...]  # a sentence a published set, and one a twin that cannot be made


def sets_of(protocol: Protocol, folder: Path) -> Sets:
    """Every set of a protocol: published ones as they lie in a folder, however deep.

    Raises:
        PuzzleError: when the folder holds none of the published sets, or a set is damaged.
    """
    if not folder.is_dir():
        raise PuzzleError(f"{folder}: there is no such folder; name the one with the public sets")
    sets: list[PuzzleSet] = []
    notes: list[str] = []
    for one in protocol.published:
        found, note = _published(protocol, one, folder)
        notes.append(note)
        if found is None:
            continue
        sets.append(found)
        twin, note = _twin(protocol, found)
        sets += [twin] if twin else []
        notes += [note] if note else []
    if not sets:
        patterns = ", ".join(one.files for one in protocol.published)
        raise PuzzleError(
            f"{folder}: holds none of the published sets; looked for {patterns}. Put them there as "
            "their authors publish them"
        )
    return Sets((*sets, *_generated(protocol)), tuple(notes))


def _published(protocol: Protocol, one: Published, folder: Path) -> tuple[PuzzleSet | None, str]:
    """A published set, and the sentence on it."""
    called = NAMES[one.format]
    if not any(path.is_file() for path in folder.rglob(one.files)):
        return None, f"{called}: not found (no file {one.files}); it is left out."
    read = read_set(one.format, folder, protocol.seed, pattern=one.files)
    puzzles = drawn(read.puzzles, protocol.n_validation, protocol.n_published, protocol.seed)
    files = f"{len(read.taken):,} {'file' if len(read.taken) == 1 else 'files'}"
    note = f"{called}: found in {files}, {len(puzzles):,} of {len(read.puzzles):,} puzzles used"
    if n_samples := _n_samples(one, folder):
        known = "is a sample" if n_samples == 1 else "are samples"
        note += f"; {n_samples:,} of these files {known} of the published one, not all of it"
    note += "."
    return _made(protocol, one.name, "published", puzzles), note


def _n_samples(one: Published, folder: Path) -> int:
    """How many of a set's files are known to hold the beginning of what was published only."""
    pinned = {
        Path(file.path).name: file
        for pinned_set in pinned_sets()
        if pinned_set.format == one.format
        for file in pinned_set.files
        if file.n_bytes or file.n_examples
    }
    found = [path for path in folder.rglob(one.files) if path.is_file() and path.name in pinned]
    return sum(pinned[path.name].is_sample(path.read_bytes()) for path in found)


def _twin(protocol: Protocol, parent: PuzzleSet) -> tuple[PuzzleSet | None, str]:
    """The balanced twin of the puzzles that were drawn; or why there is none."""
    if not protocol.has_twins:
        return None, ""
    try:
        twin = balance_puzzles(parent.puzzles, per_context=protocol.per_context, seed=protocol.seed)
    except PuzzleError as error:
        why = str(error).partition(";")[0].removeprefix("no twin can be made: ")
        return None, f"{parent.name}: it has no balanced twin here ({why})."
    puzzles = drawn(twin.puzzles, protocol.n_validation, protocol.n_published, protocol.seed)
    note = ""
    if twin.left_out:
        n, n_used = twin.n_contexts, twin.n_contexts - len(twin.left_out)
        note = f"{parent.name}{TWIN}: made of {n_used:,} of {n:,} contexts; the solver does not "
        note += "read the others."
    return _made(protocol, parent.name + TWIN, "twin", puzzles), note


def _generated(protocol: Protocol) -> Iterator[PuzzleSet]:
    steps, distractors = (
        range(first, last + 1) for first, last in (protocol.steps, protocol.distractors)
    )
    n = 2 * protocol.n_generated // (len(steps) * len(distractors))  # half of them are test
    for style in protocol.styles:
        puzzles = generate_puzzles(steps, distractors, n, protocol.seed, style)
        chosen = drawn(puzzles, protocol.n_validation, protocol.n_generated, protocol.seed)
        yield _made(protocol, style, "generated", chosen)


def _made(protocol: Protocol, name: str, kind: str, puzzles: list[Puzzle]) -> PuzzleSet:
    return PuzzleSet(name, kind, tuple(puzzles), name in protocol.lens)
