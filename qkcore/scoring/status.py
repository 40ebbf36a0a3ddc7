"""How far unfinished runs are: done, left, speed, time to go, and what failed.

Reads the names and times of files or objects only, so it is quick, needs no model and disturbs
nobody; whether parts are whole is `verify`'s to say.
"""

import json
from contextlib import suppress
from fnmatch import filter as matching
from pathlib import Path
from typing import Any

from qkcore.results.object_store import Address, Folder
from qkcore.results.parts import PART_SIZE, n_parts, part_name
from qkcore.results.store import ResultStore
from qkcore.scoring.progress import RECENT, in_words, speed_in_words
from qkcore.scoring.shards import FAILED, JOB, all_parts, is_held, names_in

MOST_FAILURES = 5  # that are listed, the last ones


def status(store: Path, parts: str | Path | None = None) -> list[str]:
    """What to say of every run whose parts lie beside the store, and how many are finished.

    Args:
        store: that holds finished runs; it may not exist yet.
        parts: where else parts lie, a folder or an address.

    Raises:
        StoreError: when the store is there and cannot be read.
        InputError: when an object store does not answer, or the address is none.
    """
    n_runs = 0
    if store.exists():
        with ResultStore.open(store) as opened:
            n_runs = len(opened.runs())
    runs = f"{n_runs:,} finished {'run' if n_runs == 1 else 'runs'}"
    folders = _folders(all_parts(store, parts))
    if not folders:
        return [f"{store}: {runs}, none unfinished"]
    lines = [f"{store}: {runs}, {len(folders):,} unfinished"]
    for folder in folders:
        lines += _of(folder)
    return lines


def _folders(around: Folder) -> list[Folder]:
    """Those of unfinished runs, in order."""
    if isinstance(around, Address):
        listed = around.listed()
        return [around / name for name in sorted(listed) if listed[name].is_folder]
    names = sorted(names_in(around))
    return [around / name for name in names if (around / name).is_dir()]


def _of(folder: Folder) -> list[str]:
    """What to say of one run."""
    job = _job(folder)
    if job is None:
        return [f"{folder.name}: nothing is known of it; the command that began it goes on with it"]
    n_all = int(job["n_puzzles"])
    there = _times(folder, n_parts(n_all))
    n_done = sum(min(PART_SIZE, n_all - index * PART_SIZE) for index in there)
    times = sorted(there.values())
    state = "running" if is_held(folder) else "stopped"
    line = f"{folder.name}: {state}, {n_done:,} of {n_all:,} puzzles {job['verb']}"
    if n_done < n_all:
        line += f", {n_all - n_done:,} left"
    if speed := _speed(times):
        line += f", {speed_in_words(speed)}, {in_words((n_all - n_done) / speed)} to go"
    if state == "stopped":
        line += "; the command that began it goes on with it"
    failures = _failures(folder)
    shown = [f"  failed: {one}" for one in failures[-MOST_FAILURES:]]
    if len(failures) > MOST_FAILURES:
        shown.insert(0, f"  {len(failures):,} failures; the last {MOST_FAILURES}:")
    return [line, *shown]


def _job(folder: Folder) -> dict[str, Any] | None:
    try:
        row: dict[str, Any] = json.loads((folder / JOB).read_text())
    except (OSError, ValueError):
        return None
    return row


def _times(folder: Folder, n_most: int) -> dict[int, float]:
    """When each part that is there was done, in seconds."""
    names = {part_name(index): index for index in range(n_most)}
    if isinstance(folder, Address):
        listed = folder.listed()
        return {names[one]: (listed[one].mtime_ns or 0) / 1e9 for one in names if one in listed}
    found = {}
    for name in names.keys() & names_in(folder):
        with suppress(FileNotFoundError):  # just published
            found[names[name]] = (folder / name).stat().st_mtime
    return found


def _speed(times: list[float]) -> float:
    """Puzzles a second between the parts of the last minutes of work; 0 where nobody knows.

    >>> _speed([0.0, 5_000.0, 5_002.0, 5_004.0])
    32.0
    """
    recent = [one for one in times if one >= times[-1] - RECENT]
    if len(recent) < 2 or recent[-1] == recent[0]:
        return 0.0
    return (len(recent) - 1) * PART_SIZE / (recent[-1] - recent[0])


def _failures(folder: Folder) -> list[str]:
    """What failed and why, oldest first."""
    stem, _, kind = FAILED.partition(".")
    lines = []
    for name in sorted(matching(names_in(folder), f"{stem}*.{kind}")):
        with suppress(OSError):
            lines += (folder / name).read_text().splitlines()
    found = []
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:  # a line that was cut off
            continue
        part = "" if row.get("part") is None else f"part {row['part']}: "
        found.append(f"{part}{row.get('why')}")
    return found
