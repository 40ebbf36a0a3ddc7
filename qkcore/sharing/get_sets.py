"""Published puzzle sets into a folder: fetched, or copied from elsewhere, and checked.

A file is there whole and checked, or not at all. What came is written down (sets.json): a file that
was other bytes before, though its revision is the same, is refused too.
"""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from qkcore.sharing.fetch import FetchError, fetch
from qkcore.sharing.pinned import MANIFEST, PinnedFile, PinnedSet, SetsError, pinned_sets

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
    record = _read_record(folder / RECORD)
    for one in pinned:
        if not names or one.name in names:
            try:
                _get_set(one, folder, source, record, say)
            finally:
                _write(folder / RECORD, _as_json(record))
    return record


def _get_set(
    one: PinnedSet,
    folder: Path,
    source: Path | None,
    record: Record,
    say: Callable[[str], None],
) -> None:
    before = record.get(one.name, {})
    is_same_place = before.get("address") == one.address
    files: Record = dict(before.get("files", {})) if is_same_place else {}
    record[one.name] = {"address": one.address, "licence": one.licence, "files": files}
    lacking, samples = [], []
    for file in one.files:
        target, name = folder / one.name / file.path, f"{one.name}/{file.path}"
        content = _content(file, target, source and source / one.name / file.path, name)
        if content is None:
            files.pop(file.path, None)
            lacking.append(file.path)
            continue
        files[file.path] = _noted(file, content, files.get(file.path, {}), name)
        _write(target, content)
        if "is_sample" in files[file.path]:
            samples.append(file.path)
    if not files:
        raise SetsError(
            f"{source} has no file of {one.name}, such as {one.name}/{one.files[0].path}; name a "
            "folder that `qkscope get-sets` made"
        )
    _tell(one, files, lacking, samples, say)


def _noted(file: PinnedFile, content: bytes, before: Record, name: str) -> Record:
    """What the record says of a file; it must not have been another whole file before."""
    sha256 = hashlib.sha256(content).hexdigest()
    was = sha256 if "is_sample" in before else before.get("sha256", sha256)
    if was != sha256:
        raise SetsError(
            f"{name} is not the file that was here before: its SHA-256 should be {was} and is "
            f"{sha256}; delete it, or {RECORD} if it is meant to be another"
        )
    noted: Record = {"sha256": sha256, "bytes": len(content), "checked": file.how}
    return noted | {"is_sample": True} if file.is_sample(content) else noted


def _content(file: PinnedFile, target: Path, copy: Path | None, name: str) -> bytes | None:
    """A file's bytes, checked: those that are there, else of the copy (None where it has none).

    A sample that is there gives way to the whole file where that can be fetched.
    """
    if target.is_file():
        content = target.read_bytes()
        file.check(content, name)
        if copy is not None or not file.is_sample(content):
            return content
    if copy is not None and not copy.is_file():
        return None
    content = copy.read_bytes() if copy is not None else _fetched(file, target)
    file.check(content, name)
    return content


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


def _tell(
    one: PinnedSet,
    files: Record,
    lacking: list[str],
    samples: list[str],
    say: Callable[[str], None],
) -> None:
    hows = [file["checked"] for file in files.values()]
    counted = ", ".join(f"{hows.count(how)} {how}" for how in dict.fromkeys(hows))
    say(f"{one.name}: {one.title}, {len(files)} files; checked: {counted}")
    say(f"  from {one.address}")
    say(f"  licence: {one.licence}")
    if lacking:
        say(f"  left out, since the copy lacks them: {', '.join(lacking)}")
    if samples:
        say(f"  samples, not whole files: {len(samples)} ({samples[0]}, ...)")
