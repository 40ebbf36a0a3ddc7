"""JSON files as somebody else published them: found, named, decoded, and taken apart with checks.

Promises that whatever is wrong with a file becomes a `PuzzleError` that names the place. Knows
nothing of any benchmark's format.
"""

import json
import os
import re
import reprlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar, overload

from qkcore.puzzles.puzzle import PuzzleError, check_text, unique_keys

Paths = str | Path | Iterable[str | Path]
Kind = TypeVar("Kind", dict[str, object], list[object], str)
DEPTH_FOLDER = re.compile(r"d\d{1,4}_Data")  # where Multi-LogiEval keeps files of one depth


class NoPuzzles(PuzzleError):
    """A file that is none of the set's, or has no puzzles in it.

    Attributes:
        reason: the same for all files that it fits, without a place: "is empty".
    """

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason or message.partition(";")[0]


class NotJson(PuzzleError):
    """A file that cannot be decoded."""


@contextmanager
def at(place: str) -> Iterator[None]:
    """Put the place before the message of a `PuzzleError` raised inside."""
    try:
        yield
    except PuzzleError as error:
        error.args = (f"{place}: {error}",)  # the same error, for its kind says what to do with it
        raise


def find_files(paths: Paths, pattern: str = "*.json*") -> dict[Path, bool]:
    """Each file once, with whether it was named itself.

    The files named, and in the folders named the *.json and *.jsonl files that match, sorted.
    """
    files: dict[Path, Path] = {}
    named: set[Path] = set()
    for path in [Path(paths)] if isinstance(paths, str | Path) else [Path(path) for path in paths]:
        if not os.path.exists(path):  # unlike Path.exists, never raises
            raise PuzzleError(f"{path}: no such file or folder; check the path")
        for file in _inside(path, pattern) if path.is_dir() else [path]:
            files.setdefault(file.resolve(), file)
        if not path.is_dir():
            named.add(path.resolve())
    if not files:
        raise PuzzleError("no path was given; name a file or folder of the benchmark")
    return {file: whole in named for whole, file in files.items()}


def _inside(folder: Path, pattern: str) -> list[Path]:
    # "._x.json" is what a Mac adds beside x.json in an archive; it holds no JSON.
    files = [
        file
        for file in folder.rglob(pattern)
        if file.suffix in (".json", ".jsonl") and file.is_file()
    ]
    found = sorted(file for file in files if not file.name.startswith("._"))
    if not found:
        raise PuzzleError(
            f"{folder}: holds no .json or .jsonl file; name the folder that has the benchmark's "
            "files"
        )
    return found


def labels(files: list[Path]) -> list[str]:
    """The shortest end of each file's path, without its suffix, that no other file shares.

    Files below a dK_Data folder are named from that folder on: there the same names recur by
    design.

    >>> paths = ("a/1hop.json", "b/1hop.json", "b/2hop.json", "c/d2_Data/pl/HS.json")
    >>> labels([Path(path) for path in paths])
    ['a/1hop', 'b/1hop', '2hop', 'd2_Data/pl/HS']
    """
    bare = Counter(file.with_suffix("") for file in files)
    names = [
        (file if bare[file.with_suffix("")] > 1 else file.with_suffix("")).parts for file in files
    ]
    n_sharing = Counter(parts[-n:] for parts in names for n in range(1, len(parts) + 1))
    return ["/".join(next(end for end in _ends(parts) if n_sharing[end] == 1)) for parts in names]


def _ends(parts: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    shortest = next(
        (n for n, part in enumerate(reversed(parts), 1) if DEPTH_FOLDER.fullmatch(part)), 1
    )
    return (parts[-n:] for n in range(shortest, len(parts) + 1))


def read_documents(path: Path) -> list[tuple[int, object]]:
    """The JSON values of a file, each with its line.

    One a line if the first line is an object, else the whole file.

    Raises:
        NoPuzzles: if the file is empty.
        NotJson: if it cannot be decoded.
        PuzzleError: if it cannot be read at all.
    """
    with at(str(path)):
        text = _decoded(path)
    lines = [
        (number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()
    ]
    pieces = lines if _is_object(lines[0][1]) else [(1, text)]
    return [(number, _json(piece, number, path)) for number, piece in pieces]


def _decoded(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PuzzleError(f"cannot be read ({error.strerror}); check the path") from None
    if not data.removeprefix(b"\xef\xbb\xbf").strip():
        raise NoPuzzles("is empty; get the file again")
    if b"\0" in data:  # UTF-16 would pass as cp1252
        raise NotJson("is not UTF-8 text; save it as UTF-8")
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise NotJson("is neither UTF-8 nor cp1252 text; save it as UTF-8")


def mentions(path: Path, names: Iterable[str]) -> bool:
    """Whether one of these field names stands in the file, however broken the rest of it is."""
    data = path.read_bytes().replace(b"\0", b"")  # UTF-16 has a zero byte in each ASCII letter
    return any(f'"{name}'.encode() in data for name in names)


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _json(text: str, line: int, path: Path) -> object:
    try:
        return json.loads(text, object_pairs_hook=unique_keys)
    except json.JSONDecodeError as error:
        place = f"{path}, line {line + error.lineno - 1}, column {error.colno}"
        raise NotJson(f"{place}: not valid JSON ({error.msg}); get the file again") from None
    except PuzzleError as error:
        raise NotJson(f"{path}, line {line} or below: {error}") from None
    # A number of thousands of digits, or brackets nested as deep
    except (ValueError, RecursionError):
        raise NotJson(
            f"{path}, line {line} or below: not readable JSON; get the file again"
        ) from None


def object_in(value: object) -> dict[str, object]:
    """The value, which must be a JSON object."""
    if not isinstance(value, dict):
        raise PuzzleError(f"must be a JSON object, found {reprlib.repr(value)}; get the file again")
    return value


@overload
def field_in(entry: object, name: str) -> object: ...
@overload
def field_in(entry: object, name: str, kind: type[Kind]) -> Kind: ...
def field_in(entry: object, name: str, kind: type = object) -> object:
    """The field of a JSON object, of the kind asked for: dict, list or str."""
    if name not in (row := object_in(entry)):
        raise PuzzleError(f"field {name!r} is missing; get the file again")
    if not isinstance(row[name], kind):
        words: dict[type, str] = {dict: "a JSON object", list: "a list", str: "text"}
        raise PuzzleError(
            f"field {name!r} must be {words[kind]}, found {reprlib.repr(row[name])}; correct it"
        )
    return row[name]


def text_in(entry: object, name: str) -> str:
    """The text of a field, without the white space around it.

    >>> text_in({"question": "Max is red. "}, "question")
    'Max is red.'
    """
    text = field_in(entry, name, str)
    check_text(name, text)
    return text.strip()


def answer_in(entry: object, name: str, candidates: tuple[str, ...]) -> int:
    """The index of the candidate that a field names, in whatever case.

    >>> answer_in({"answer": "No"}, "answer", ("yes", "no"))
    1
    """
    answer = text_in(entry, name)
    if answer.lower() not in candidates:
        raise PuzzleError(
            f"{name} {reprlib.repr(answer)} is none of {', '.join(map(repr, candidates))}; correct "
            "it"
        )
    return candidates.index(answer.lower())
