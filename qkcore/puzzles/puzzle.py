"""Puzzles as data, and the JSONL file they live in.

A file is one puzzle a line, with the names of `Puzzle`'s fields. Loading promises that what comes
back is whole and consistent, or raises a `PuzzleError` that names file, line and field. Knows
nothing of models, and of logic only that a puzzle has an answer.
"""

import difflib
import hashlib
import json
import os
import random
import re
import reprlib
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from qkcore import InputError

SPLITS = ("validation", "test")
MAX_DIFFICULTY = 1_000  # steps and distractors beyond this are a slip of the pen


class PuzzleError(InputError):
    """A puzzle or puzzle file that cannot be used; the message says what, where, what to do.

    >>> from qkcore import Puzzle, PuzzleError
    >>> try:
    ...     Puzzle("p1", "Max is a cat.", "Max is red.", ("true",), 0, None, None, "g1", "test")
    ... except PuzzleError as error:
    ...     print(error)
    field 'candidates' holds 1 of the two or more that a puzzle needs; add one
    """


@dataclass(frozen=True, slots=True)
class Puzzle:
    """One exam question.

    Raises:
        PuzzleError: naming the field, when a field has the wrong type or contradicts another.

    >>> from qkcore import Puzzle
    >>> texts = ("Max is a cat. Every cat is happy.", "Max is happy.")
    >>> one = Puzzle("p1", *texts, ("true", "false"), 0, 1, 0, group="g1", split="test")
    >>> one.candidates[one.answer]
    'true'
    """

    puzzle_id: str  # unique within its set
    context: str
    statement: str
    candidates: tuple[str, ...]  # ("true", "false")
    answer: int | None  # index into candidates; None when nobody knows it
    steps: int | None
    distractors: int | None
    group: str  # puzzles that share a context; a group never straddles the splits
    split: str  # "validation" or "test"
    # Of a balanced twin: `puzzle_set_sha256` of the set whose contexts it has
    parent: str | None = None

    def __post_init__(self) -> None:
        for field in ("puzzle_id", "context", "statement", "group"):
            check_text(field, getattr(self, field))
        _check_candidates(self.candidates)
        for field in ("steps", "distractors"):
            _check_count(field, getattr(self, field))
        is_index = isinstance(self.answer, int) and not isinstance(self.answer, bool)
        if self.answer is not None and not (is_index and 0 <= self.answer < len(self.candidates)):
            raise PuzzleError(
                f"answer {self.answer!r} is not among its candidates {_listed(self.candidates)}"
            )
        if self.split not in SPLITS:
            raise PuzzleError(f"split {self.split!r} is neither 'validation' nor 'test'")
        _check_parent(self.parent)


def context_group(context: str) -> str:
    """The group of puzzles that share this context, when the file names none.

    >>> context_group("Max is a wumpus.")
    'context-47f686f84341'
    """
    return "context-" + hashlib.sha256(context.encode()).hexdigest()[:12]


def assign_splits(
    puzzles: Sequence[Puzzle], seed: int = 0, validation_share: float = 0.5
) -> list[Puzzle]:
    """The same puzzles, each with a split.

    Groups stay whole and every number of steps is shared out alike. Groups are shuffled with `seed`
    among those of the same steps (the largest in the group), then dealt so that the validation
    count of each stratum follows `validation_share` (0 to 1), counted in puzzles.

    >>> from qkcore import assign_splits, generate_puzzles
    >>> puzzles = assign_splits(generate_puzzles(1, 0, n=40), validation_share=0.2)
    >>> sum(puzzle.split == "validation" for puzzle in puzzles)
    8
    """
    if not 0 <= validation_share <= 1:
        raise PuzzleError(f"validation share {validation_share} is not between 0 and 1")
    groups: dict[str, list[Puzzle]] = defaultdict(list)
    for puzzle in puzzles:
        groups[puzzle.group].append(puzzle)
    strata: dict[int, list[str]] = defaultdict(list)
    for name, members in groups.items():
        strata[max((-1 if p.steps is None else p.steps) for p in members)].append(name)
    rng = random.Random(seed)
    split_of: dict[str, str] = {}
    for steps in sorted(strata):
        names = sorted(strata[steps])
        rng.shuffle(names)
        n_dealt = n_validation = 0
        for name in names:
            size = len(groups[name])
            is_validation = n_validation + size / 2 <= validation_share * (n_dealt + size)
            split_of[name] = "validation" if is_validation else "test"
            n_dealt += size
            n_validation += size if is_validation else 0
    return [replace(puzzle, split=split_of[puzzle.group]) for puzzle in puzzles]


def puzzle_set_sha256(puzzles: Iterable[Puzzle]) -> str:
    """Hex digest over every field of every puzzle, in order: what a stored run is tied to."""
    digest = hashlib.sha256()
    for puzzle in puzzles:
        digest.update(_line(puzzle).encode() + b"\n")
    return digest.hexdigest()


def save_puzzles(puzzles: Iterable[Puzzle], path: str | Path) -> None:
    """Write one puzzle a line; an existing file is replaced whole, or left as it was.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from qkcore import generate_puzzles, load_puzzles, save_puzzles
    >>> puzzles = generate_puzzles(steps=1, distractors=0, n=4)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_puzzles(puzzles, Path(folder, "puzzles.jsonl"))
    ...     load_puzzles(Path(folder, "puzzles.jsonl")) == puzzles
    True
    """
    path = Path(path)
    try:
        _replace(path, puzzles)
    except OSError as error:
        raise PuzzleError(f"{path}: cannot be written ({error.strerror}); check the path") from None


def _replace(path: Path, puzzles: Iterable[Puzzle]) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.writelines(_line(puzzle) + "\n" for puzzle in puzzles)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def load_puzzles(path: str | Path, seed: int = 0) -> list[Puzzle]:
    """Read a puzzle file.

    A line needs only `context`, `statement`, `candidates` and `answer` (a candidate's text, its
    index from 0, or null). Missing ids become `line-N`; a missing group is the group of its
    context; when no line names a split, `assign_splits` deals them with `seed`. The puzzles of a
    balanced twin name their `parent`.

    Raises:
        PuzzleError: naming file, line and field.

    >>> import json
    >>> import tempfile
    >>> from pathlib import Path
    >>> from qkcore import load_puzzles
    >>> row = {"context": "Max is a cat.", "statement": "Max is a cat."}
    >>> row |= {"candidates": ["true", "false"], "answer": "true"}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "puzzles.jsonl")
    ...     n_characters = path.write_text(json.dumps(row))
    ...     load_puzzles(path)[0].puzzle_id
    'line-1'
    """
    path = Path(path)
    puzzles: list[Puzzle] = []
    line_of: dict[str, int] = {}
    split_lines: list[int] = []
    unsplit_lines: list[int] = []
    for number, line in _lines(path):
        try:
            row = _row(line)
            (split_lines if row.get("split") is not None else unsplit_lines).append(number)
            puzzle = _puzzle(row, number)
        except PuzzleError as error:
            raise PuzzleError(f"{path}, line {number}: {error}") from None
        if puzzle.puzzle_id in line_of:
            raise PuzzleError(
                f"{path}, line {number}: puzzle_id {puzzle.puzzle_id!r} is already used on line "
                f"{line_of[puzzle.puzzle_id]}; give each puzzle an id of its own"
            )
        line_of[puzzle.puzzle_id] = number
        puzzles.append(puzzle)
    if not puzzles:
        raise PuzzleError(f"{path}: holds no puzzles; write one puzzle (a JSON object) a line")
    if split_lines and unsplit_lines:
        raise PuzzleError(
            f"{path}, line {unsplit_lines[0]}: field 'split' is missing, but line {split_lines[0]} "
            "has one; give it on every line or on none"
        )
    if unsplit_lines:
        return assign_splits(puzzles, seed)
    _check_groups_whole(path, puzzles, line_of)
    return puzzles


def _check_groups_whole(path: Path, puzzles: list[Puzzle], line_of: dict[str, int]) -> None:
    first: dict[str, Puzzle] = {}
    for puzzle in puzzles:
        other = first.setdefault(puzzle.group, puzzle)
        if other.split != puzzle.split:
            raise PuzzleError(
                f"{path}, line {line_of[puzzle.puzzle_id]}: group {puzzle.group!r} is in split "
                f"{puzzle.split!r} here and in {other.split!r} on line {line_of[other.puzzle_id]}; "
                "puzzles of one group (or context) belong in one split"
            )


def _lines(path: Path) -> Iterable[tuple[int, str]]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PuzzleError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    for number, raw in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        try:
            line = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise PuzzleError(
                f"{path}, line {number}: byte 0x{raw[error.start]:02x} at position "
                f"{error.start + 1} is not UTF-8; save the file as UTF-8"
            ) from None
        if line.strip():
            yield number, line


def _row(line: str) -> dict[str, Any]:
    try:
        row = json.loads(line, object_pairs_hook=unique_keys)
    except json.JSONDecodeError as error:
        raise PuzzleError(
            f"not valid JSON ({error.msg}, column {error.colno}); write one puzzle a line"
        ) from None
    except PuzzleError:
        raise
    # A number of thousands of digits, or brackets nested as deep
    except (ValueError, RecursionError):
        raise PuzzleError(
            "not a puzzle: nested too deeply or a number too long; write one puzzle (a JSON "
            "object) a line"
        ) from None
    if not isinstance(row, dict):
        raise PuzzleError(
            f"holds a {type(row).__name__}, not a JSON object; write one puzzle (an object) a line"
        )
    known = [field.name for field in fields(Puzzle)]
    for name in ("context", "statement", "candidates", "answer"):
        if name not in row:
            near = difflib.get_close_matches(name, [key for key in row if key not in known], n=1)
            hint = f" (found {near[0]!r}: rename it)" if near else ""
            raise PuzzleError(f"field {name!r} is missing{hint or '; add it'}")
    for key in row:
        near = [] if key in known else difflib.get_close_matches(key, known, n=1, cutoff=0.8)
        if near and near[0] not in row:
            raise PuzzleError(f"field {key!r} is not known; did you mean {near[0]!r}?")
    return row


def unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """A JSON object whose fields are all different.

    For `json.loads(..., object_pairs_hook=unique_keys)`.
    """
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [key for key, _ in pairs]
        twice = next(key for key in names if names.count(key) > 1)
        raise PuzzleError(f"field {twice!r} stands twice; keep one")
    return row


def _puzzle(row: dict[str, Any], number: int) -> Puzzle:
    named = row["candidates"]
    candidates = tuple(named) if isinstance(named, list) else named
    _check_candidates(candidates)
    check_text("context", row["context"])
    return Puzzle(
        puzzle_id=f"line-{number}" if row.get("puzzle_id") is None else row["puzzle_id"],
        context=row["context"],
        statement=row["statement"],
        candidates=candidates,
        answer=_answer_index(row["answer"], candidates),
        steps=row.get("steps"),
        distractors=row.get("distractors"),
        group=context_group(row["context"]) if row.get("group") is None else row["group"],
        split="test" if row.get("split") is None else row["split"],
        parent=row.get("parent"),
    )


def _answer_index(answer: object, candidates: tuple[str, ...]) -> int | None:
    if isinstance(answer, bool):
        raise PuzzleError(
            f"answer is the JSON value {str(answer).lower()}; write it in quotes, "
            f'"{str(answer).lower()}"'
        )
    if answer is None or isinstance(answer, int):
        return answer
    if answer not in candidates:
        raise PuzzleError(
            f"answer {answer!r} is not among its candidates {_listed(candidates)}; write one of "
            "them"
        )
    return candidates.index(answer)


def _line(puzzle: Puzzle) -> str:
    row = {field.name: getattr(puzzle, field.name) for field in fields(Puzzle)}
    row["answer"] = None if puzzle.answer is None else puzzle.candidates[puzzle.answer]
    if puzzle.parent is None:
        del row["parent"]  # most sets are no twin; their lines and hashes are what they always were
    return json.dumps(row, ensure_ascii=False)


def check_text(field: str, value: object) -> None:
    """Refuse what is no text, empty, or holds half a character (which no file can store)."""
    if not isinstance(value, str):
        raise PuzzleError(f"field {field!r} must be text, found {reprlib.repr(value)}")
    if not value.strip():
        raise PuzzleError(f"field {field!r} is empty; fill it in or leave the puzzle out")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise PuzzleError(
            f"field {field!r} holds half a character (\\u{ord(value[error.start]):04x})"
        ) from None


def _check_candidates(candidates: object) -> None:
    if not isinstance(candidates, tuple):
        raise PuzzleError(f"field 'candidates' must be a list of texts, found {candidates!r}")
    for candidate in candidates:
        check_text("candidates", candidate)
        if candidate != candidate.strip():
            raise PuzzleError(
                f"candidate {candidate!r} begins or ends with white space; the prompt adds its own "
                "space"
            )
    if len(candidates) < 2:
        raise PuzzleError(
            f"field 'candidates' holds {len(candidates)} of the two or more that a puzzle needs; "
            "add one"
        )
    if len(set(candidates)) < len(candidates):
        raise PuzzleError(f"candidates {_listed(candidates)} are not all different; change one")


def _check_count(field: str, value: object) -> None:
    is_number = isinstance(value, int) and 0 <= value <= MAX_DIFFICULTY
    if value is not None and (isinstance(value, bool) or not is_number):
        raise PuzzleError(
            f"field {field!r} must be a whole number from 0 to {MAX_DIFFICULTY:,} or null, found "
            f"{value!r}"
        )


def _check_parent(value: object) -> None:
    if value is not None and not (isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value)):
        raise PuzzleError(
            f"field 'parent' must be the 64 hex digits of the set that this puzzle's twin was made "
            f"of, or null, found {reprlib.repr(value)}"
        )


def _listed(candidates: Sequence[str]) -> str:
    return "(" + ", ".join(repr(candidate) for candidate in candidates) + ")"
