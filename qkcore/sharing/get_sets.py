"""Published puzzle sets into a folder: fetched, or copied from elsewhere, and checked.

A file is there checked, or not at all; of how much of it there was nothing to check by, that is
said. What came is written down (sets.json): a file that is other bytes the next time is refused.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from qkcore.sharing.fetch import FetchError, fetch
from qkcore.sharing.pinned import (
    BEGINNING,
    HOWS,
    MANIFEST,
    NOT_CHECKED,
    SAMPLE,
    PinnedFile,
    PinnedSet,
    SetsError,
    pinned_sets,
)

RECORD = "sets.json"
MAX_BYTES = 50_000_000  # of one file; the largest of today has less than 2 MB

Record = dict[str, Any]  # by set: where from, licence, and by file its hash and how it was checked


def get_sets(
    folder: Path,
    source: Path | None = None,
    names: Sequence[str] = (),
    manifest: Path = MANIFEST,
    say: Callable[[str], None] = lambda line: None,
) -> Record:
    """Get the published sets into a folder, a folder a set; what is there already is checked.

    Args:
        folder: made where it is not there.
        source: a folder with copies, laid out as this makes it; then nothing is fetched, and what
            it lacks is left out and said. None: from the network.
        names: of the sets; none: all.
        manifest: a TOML file as sets.toml.
        say: told what was done, in lines for people.

    Returns:
        What is there now, as sets.json has it.

    Raises:
        SetsError: when a file cannot be had, or is not the one that is pinned. Those before it are
            in the folder, so a second call goes on from there.
    """
    pinned = pinned_sets(manifest)
    known = [one.name for one in pinned]
    if unknown := [name for name in names if name not in known]:
        raise SetsError(f"there is no set {unknown[0]!r}; there are {', '.join(known)}")
    if source is not None and not source.is_dir():
        raise SetsError(f"there is no folder {source} to copy the sets from; check its name")
    for above in (folder, *folder.parents):
        if above.exists() and not above.is_dir():
            raise SetsError(f"{above} is a file, and the sets go into a folder; name another")
    record = _read_record(folder / RECORD)
    for one in pinned:
        if not names or one.name in names:
            try:
                _get_set(one, folder, source, record, say, is_asked=bool(names))
            finally:
                _write(folder / RECORD, _as_json(record))
    if not record:
        raise SetsError(
            f"{source} has no file of any set, such as {known[0]}/{pinned[0].files[0].path}; name "
            "a folder that `qkscope get-sets` made"
        )
    return record


def _get_set(
    one: PinnedSet,
    folder: Path,
    source: Path | None,
    record: Record,
    say: Callable[[str], None],
    is_asked: bool,
) -> None:
    """One set; one that a copy lacks whole is left out, and said, unless it was asked for."""
    before = record.get(one.name, {})
    is_same_place = before.get("address") == one.address
    files: Record = dict(before.get("files", {})) if is_same_place else {}
    record[one.name] = {"address": one.address, "licence": one.licence, "files": files}
    lacking = []
    for file in one.files:
        target = folder / one.name / file.path
        copy = source and source / one.name / file.path
        got = _got(file, target, copy, files.get(file.path, {}), f"{one.name}/{file.path}")
        if got is None:
            files.pop(file.path, None)
            lacking.append(file.path)
            continue
        content, how = got
        sha256 = hashlib.sha256(content).hexdigest()
        files[file.path] = {"sha256": sha256, "bytes": len(content), "checked": how}
        _write(target, content)
    if not files and not is_asked:
        del record[one.name]
        say(f"{one.name}: left out, for {source} has no file of it")
        return
    if not files:
        raise SetsError(
            f"{source} has no file of {one.name}, such as {one.name}/{one.files[0].path}; name a "
            "folder that `qkscope get-sets` made"
        )
    for line in _lines(one, files, lacking, source):
        say(line)


def _got(
    file: PinnedFile, target: Path, copy: Path | None, before: Record, name: str
) -> tuple[bytes, str] | None:
    """A file's bytes and how they were checked: those there, or else of the copy or the network.

    A sample that is there gives way to the whole file where that can be had. None where the copy
    lacks a file that is not there either.
    """
    there, how = None, ""
    if target.is_file():
        there, how = _looked_at(file, target, before)
    if copy is None:
        if there is not None and not file.is_sample(there):
            return there, how
        fetched = _fetched(file, target)
        file.check(fetched, name, "it was not kept; get the sets from elsewhere, with --from")
        return fetched, file.how(fetched, is_fetched=True)
    if not copy.is_file():
        return None if there is None else (there, how)
    coming = copy.read_bytes()
    file.check(coming, str(copy), "copy it anew, or leave --from out, which fetches it")
    if there is None or (file.is_sample(there) and not file.is_sample(coming)):
        return coming, file.how(coming, is_fetched=False)
    if coming != there and not file.is_sample(coming):
        raise SetsError(
            f"{copy} is not the file that is at {target}: its SHA-256 is "
            f"{hashlib.sha256(coming).hexdigest()} and should be "
            f"{hashlib.sha256(there).hexdigest()}; delete the one that is wrong"
        )
    return there, how


def _looked_at(file: PinnedFile, target: Path, before: Record) -> tuple[bytes, str]:
    """The bytes that are there, and how they were checked; they must be those of before."""
    content = target.read_bytes()
    file.check(content, str(target), "delete it, and give the same command again")
    sha256 = hashlib.sha256(content).hexdigest()
    was = before.get("sha256", sha256)
    if was != sha256:
        raise SetsError(
            f"{target} is not the file that was here before: its SHA-256 should be {was} and is "
            f"{sha256}; delete it, or {RECORD} if it is meant to be another"
        )
    if before.get("checked") in HOWS:
        return content, before["checked"]
    return content, file.how(content, is_fetched=False)  # nobody wrote down where it is from


def _fetched(file: PinnedFile, target: Path) -> bytes:
    target.parent.mkdir(parents=True, exist_ok=True)
    fetched = target.with_name(f".{target.name}.{os.getpid()}.fetched")
    try:
        fetch(file.address, fetched, MAX_BYTES)
        return fetched.read_bytes()
    except FetchError as error:
        raise SetsError(
            f"{target.name} could not be fetched: {error}; or name a folder that has the sets with "
            "--from"
        ) from None
    finally:
        fetched.unlink(missing_ok=True)


def _write(path: Path, content: bytes) -> None:
    """Write a file, at once or not at all; one that has these bytes is left alone."""
    if path.is_file() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_bytes(content)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _read_record(path: Path) -> Record:
    if not path.is_file():
        return {}
    try:
        record: Record = json.loads(path.read_text(encoding="utf-8"))
        for one in record.values():
            for file in one["files"].values():
                file["sha256"]
    except (ValueError, TypeError, KeyError, AttributeError):
        raise SetsError(
            f"{path} cannot be read; delete it, and the sets are checked anew"
        ) from None
    return record


def _as_json(record: Record) -> bytes:
    return (json.dumps(record, indent=2, sort_keys=True) + "\n").encode()


def _lines(one: PinnedSet, files: Record, lacking: list[str], source: Path | None) -> Iterator[str]:
    """What is said of a set, for people."""
    by_how: dict[str, list[str]] = {}
    for path, file in files.items():
        by_how.setdefault(file["checked"], []).append(path)
    counted = ", ".join(f"{len(paths)} {how}" for how, paths in by_how.items())
    yield f"{one.name}: {one.title}, {len(files)} files; checked: {counted}"
    if source is not None:
        yield f"  copied from {source}"
    yield f"  published at {one.address}"
    yield f"  licence: {one.licence}"
    if lacking:
        yield f"  left out, since the copy lacks them: {', '.join(lacking)}"
    for how, sentence in (
        (SAMPLE, "samples, not whole files"),
        (BEGINNING, "begin as they should, and the rest was not checked"),
        (NOT_CHECKED, "not checked, for no hash is known"),
    ):
        if paths := by_how.get(how):
            yield f"  {sentence}: {len(paths)} ({paths[0]}{', ...' if len(paths) > 1 else ''})"
