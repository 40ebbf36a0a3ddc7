"""Bundles: chosen runs as one file or folder that somebody else can open.

A bundle is a zip file, or a folder, of two files: results.duckdb, a store, and manifest.json, which
says what it is and pins the store by its hash. The manifest's own hash is the bundle's fingerprint.
Opening trusts neither the names nor the sizes that a zip file states. Knows nothing of the screen.
"""

import hashlib
import json
import os
import tempfile
import zipfile
import zlib
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from qkcore import __version__
from qkcore.results.raw import is_beside
from qkcore.results.reader import StoreError
from qkcore.results.schema import SCHEMA_VERSION
from qkcore.results.store import ResultStore
from qkcore.sharing.excerpt import chosen_runs, copy_runs
from qkcore.sharing.fetch import FetchError, fetch, is_address, shown_address
from qkcore.sharing.hub import HubError, fetch_from_hub, is_on_hub
from qkcore.sharing.licences import licences_in

Manifest = dict[str, Any]  # what a bundle says of itself, as JSON has it

BUNDLE_VERSION = 1
MANIFEST, STORE = "manifest.json", "results.duckdb"
MAX_MANIFEST_BYTES = 5_000_000


class BundleError(StoreError):
    """A bundle that cannot be made or opened; the message says why and what to do.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from qkcore import BundleError, open_bundle
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     try:
    ...         open_bundle("gone.zip", Path(folder))
    ...     except BundleError as error:
    ...         print(error)
    there is no bundle at gone.zip; make one with `python -m qkcore bundle`
    """


def write_bundle(
    store: Path,
    out: Path,
    run_ids: Sequence[str] = (),
    with_texts: bool | Collection[str] = True,
    licences: Mapping[str, str] | None = None,
) -> Manifest:
    """Make a bundle of these runs of a store; returns its manifest with its "fingerprint".

    None named: all of them. A path that ends in .zip becomes a file, any other a folder. Texts go
    along or not, or those of the puzzle sets named. Licences are notes by puzzle set.

    Raises:
        StoreError: when the store cannot be read, or has not these runs.
        BundleError: when there is something at the path already, or a licence is for a set that is
            not in the bundle.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from qkcore import demo_store, write_bundle
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     manifest = write_bundle(demo_store(), Path(folder, "results.zip"), with_texts=False)
    >>> manifest["puzzle_sets"]["made-up"]["n_puzzles"]
    1440
    """
    if out.exists():
        raise BundleError(f"{out} exists already; name another path, or delete it first")
    if not out.absolute().parent.is_dir():
        raise BundleError(f"there is no folder {out.parent} to put the bundle in; make it first")
    run_ids = chosen_runs(store, run_ids)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.absolute().parent) as building:
        folder = Path(building) / "bundle"
        folder.mkdir()
        copy_runs(store, folder / STORE, run_ids, with_texts)
        # Of the whole store: it has texts that the copy may lack, and a twin's parent.
        manifest = _manifest(folder / STORE, known_licences(store, licences or {}, run_ids))
        (folder / MANIFEST).write_text(
            json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        fingerprint = _sha256(folder / MANIFEST)
        os.replace(_zipped(folder) if out.suffix == ".zip" else folder, out)
    return manifest | {"fingerprint": fingerprint}


def known_licences(
    store: Path, licences: Mapping[str, str], run_ids: Sequence[str]
) -> dict[str, str]:
    """The licence of each puzzle set of these runs: as given, else what the puzzles say.

    Raises:
        StoreError: when the store cannot be read.
        BundleError: when a licence is given for a set that is not among them.
    """
    with ResultStore.open(store) as opened:
        runs, found = opened.runs(), licences_in(opened, licences)
    names = sorted(set(runs.loc[runs["run_id"].isin(run_ids), "puzzle_set"]))
    if unknown := sorted(licences.keys() - set(names)):
        raise BundleError(
            f"there is no puzzle set {unknown[0]!r} here to have a licence; there are {names}"
        )
    return {name: found[name] for name in names}


def _manifest(store: Path, licence: Mapping[str, str]) -> Manifest:
    with ResultStore.open(store) as opened:
        runs = opened.runs()
        with_scores = {run_id for run_id in runs["run_id"] if not is_beside(opened, run_id)}
        sets = opened.frame(
            """
            select puzzle_set, count(*) as n, count(context) > 0 as has_texts
            from store.puzzles
            group by puzzle_set
            order by puzzle_set
            """
        )
    described = (
        "run_id model model_revision puzzle_set puzzle_set_sha256 rope dtype qkcore_version"
    ).split()
    return {
        "bundle_version": BUNDLE_VERSION,
        "qkcore_version": __version__,
        "store_schema_version": SCHEMA_VERSION,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "files": {STORE: {"sha256": _sha256(store), "bytes": store.stat().st_size}},
        "runs": [
            row | {"n_puzzles": int(n), "has_scores": row["run_id"] in with_scores}
            for row, n in zip(runs[described].to_dict("records"), runs["n_puzzles"], strict=True)
        ],
        "puzzle_sets": {
            row["puzzle_set"]: {
                "n_puzzles": int(row["n"]),
                "has_texts": bool(row["has_texts"]),
                "licence": licence[row["puzzle_set"]],
            }
            for row in sets.to_dict("records")
        },
    }


def _zipped(folder: Path) -> Path:
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name in (MANIFEST, STORE):
            file.write(folder / name, name)
    return path


def said_of(manifest: Manifest) -> list[str]:
    """What goes and what stays, of each puzzle set and of runs without raw scores, in lines."""
    lines = []
    for name, one in manifest["puzzle_sets"].items():
        texts = "with its texts" if one["has_texts"] else "without its texts"
        lines.append(f"puzzle set {name}, {texts}; licence: {one['licence']}")
    lines += [
        f"run {one['run_id']}, counts alone: its raw scores are in files outside of the store, and "
        "stay there"
        for one in manifest["runs"]
        if not one["has_scores"]
    ]
    return lines


def open_bundle(source: str, folder: Path, sha256: str = "", max_bytes: int = 500_000_000) -> Path:
    """Check a bundle and return the path of its store.

    Args:
        source: a folder (used where it is), a zip file (unpacked), an http(s) address (fetched and
            unpacked) or hf://datasets/USER/NAME@REVISION (kept in the hub's own cache).
        folder: where to unpack to; it exists and is ours.
        sha256: the fingerprint that the bundle must have; "" for any, which an address may not
            have, nor one on the hub without a revision.
        max_bytes: of the file that is fetched, and of the store.

    Raises:
        BundleError: when it cannot be had, is no bundle, is too large, is not what its manifest or
            the fingerprint says, or is of another version.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from qkcore import ResultStore, demo_store, open_bundle, write_bundle
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     zipped = Path(folder, "results.zip")
    ...     manifest = write_bundle(demo_store(), zipped, with_texts=False)
    ...     path = open_bundle(str(zipped), Path(folder), sha256=manifest["fingerprint"])
    ...     with ResultStore.open(path) as store:
    ...         len(store.runs()) == len(manifest["runs"])
    True
    """
    name, path = source, Path(source)
    if is_address(source):
        name, path = shown_address(source), folder / "fetched.zip"
        _fetch(source, path, sha256, max_bytes)
    elif is_on_hub(source):
        try:
            path = fetch_from_hub(source, (MANIFEST, STORE), max_bytes, is_pinned=bool(sha256))
        except HubError as error:
            raise BundleError(f"the bundle could not be fetched: {error}") from None
    if path.is_dir():
        manifest = _checked_manifest(_read_manifest_file(name, path / MANIFEST), name, sha256)
        store = path / STORE
    elif path.is_file():
        manifest, store = _unpacked(name, path, folder / STORE, sha256, max_bytes)
    else:
        raise BundleError(f"there is no bundle at {name}; make one with `python -m qkcore bundle`")
    _check_store(name, store, manifest, max_bytes)
    return store


def _fetch(address: str, path: Path, sha256: str, max_bytes: int) -> None:
    if not sha256:
        raise BundleError(
            f"a bundle from an address ({shown_address(address)}) needs its fingerprint beside it"
        )
    try:
        fetch(address, path, max_bytes)
    except FetchError as error:
        raise BundleError(f"the bundle could not be fetched: {error}") from None


def _read_manifest_file(name: str, path: Path) -> bytes:
    if not path.is_file():
        raise BundleError(
            f"{name} is no bundle: it has no {MANIFEST}; make one with `python -m qkcore bundle`"
        )
    with path.open("rb") as file:
        return file.read(MAX_MANIFEST_BYTES)


def _unpacked(
    name: str, path: Path, store: Path, sha256: str, max_bytes: int
) -> tuple[Manifest, Path]:
    """The manifest, and the store unpacked; nothing else in the file is looked at."""
    try:
        with zipfile.ZipFile(path) as file:
            with file.open(MANIFEST) as packed:
                manifest = _checked_manifest(packed.read(MAX_MANIFEST_BYTES), name, sha256)
            with file.open(STORE) as packed, store.open("wb") as unpacked:
                _copy_at_most(name, packed, unpacked, max_bytes)
    except BundleError:
        raise
    except KeyError as error:
        raise BundleError(f"{name} is no bundle: {error.args[0]}") from None
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        RuntimeError,
        ValueError,
    ) as error:
        raise BundleError(
            f"{name} is no bundle, or was cut short ({error}); copy it again"
        ) from None
    return manifest, store


def _copy_at_most(name: str, source: IO[bytes], target: IO[bytes], max_bytes: int) -> None:
    """Copy, and stop at the limit: a zip file may unpack to far more than it says."""
    left = max_bytes
    while chunk := source.read(1 << 20):
        left -= len(chunk)
        if left < 0:
            raise BundleError(_too_large(name, max_bytes))
        target.write(chunk)


def _too_large(name: str, max_bytes: int) -> str:
    allowed = f"{max_bytes / 1e6:,.0f} MB"
    return (
        f"the results in {name} are larger than {allowed}; allow more (bundle_max_mb), or bundle "
        "fewer runs"
    )


def _checked_manifest(raw: bytes, name: str, sha256: str) -> Manifest:
    found = hashlib.sha256(raw).hexdigest()
    if sha256 and found != sha256.lower():
        raise BundleError(
            f"{name} is not the bundle that was asked for: its fingerprint is {found}, not "
            f"{sha256}; get the bundle again, or correct the fingerprint if the bundle is meant to "
            "be new"
        )
    try:
        manifest = json.loads(raw)
        version, stated = manifest["bundle_version"], manifest["files"][STORE]
        kinds = ((version, int), (stated["sha256"], str), (stated["bytes"], int))
        complete = all(isinstance(value, kind) for value, kind in kinds)
    except (ValueError, KeyError, TypeError):
        complete = False
    if not complete:
        raise BundleError(
            f"{name} is no bundle: its {MANIFEST} does not say what is in it; make the bundle again"
        )
    if version > BUNDLE_VERSION:
        made_by = manifest.get("qkcore_version")
        raise BundleError(
            f"{name} was made by a newer QKScope ({made_by}); update QKScope to open it"
        )
    return manifest


def _check_store(name: str, store: Path, manifest: Manifest, max_bytes: int) -> None:
    stated = manifest["files"][STORE]
    if not store.is_file():
        raise BundleError(f"{name} is no complete bundle: it has no {STORE}; copy it again")
    if store.stat().st_size > max_bytes:
        raise BundleError(_too_large(name, max_bytes))
    if store.stat().st_size != stated["bytes"] or _sha256(store) != stated["sha256"]:
        raise BundleError(
            f"the results in {name} were changed after the bundle was made; get the bundle again"
        )
    try:
        with ResultStore.open(store):
            pass
    except StoreError as error:
        made_by = manifest.get("qkcore_version")
        raise BundleError(
            f"{name} was made by QKScope {made_by} and cannot be opened here: {error}"
        ) from None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
