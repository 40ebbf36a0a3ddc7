"""Models in GGUF files, the format of llama.cpp: converted once into a folder, then loaded as one.

A model is named by a path that ends in .gguf or as ORG/REPO:FILE.gguf on the Hugging Face hub. The
folder lies in a cache, under the file's hash; it is written whole or not at all, and two processes
that want the same file take turns. What a file means is read by qkcore.attention.gguf_reading, in
float32: what a quantised weight stands for fits no smaller type. Before the folder is put in its
place the model has to read English (qkcore.attention.english_check).
"""

import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from tqdm import tqdm

from qkcore.attention.geometry import UnsupportedModelError
from qkcore.attention.quiet import without_bars

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

ON_HUB = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+):(?P<file>[^:]+\.gguf)", re.IGNORECASE)
ABOUT = "qkscope.json"  # in a converted folder: what it was made of; written last
CONVERSION = 1  # raised when a file is read otherwise: older folders are made again
BYTES = 4  # of a converted weight
SPARE = 1.1  # of the room that weights take, for the tokenizer and the file system
CHUNK = 2**24


@dataclass(frozen=True, slots=True)
class Converted:
    """A GGUF file as a folder that loads like any other."""

    folder: Path
    name: str  # as people know it
    sha256: str  # of the GGUF file
    quantisation: str  # the type of most of its weights, such as "Q4_K"
    nats_text: float  # of the English check, nats a token
    nats_shuffled: float


def is_gguf(model: str | os.PathLike[str]) -> bool:
    """Whether a model's name is that of a GGUF file.

    >>> [is_gguf(name) for name in ("a/b.gguf", "org/repo:b.Q4_0.GGUF", "org/repo", "folder")]
    [True, True, False, False]
    """
    return str(model).lower().endswith(".gguf")


def cache_folder() -> Path:
    """Where converted models lie: QKSCOPE_CACHE, else the platform's usual place for caches."""
    if named := os.environ.get("QKSCOPE_CACHE"):
        return Path(os.path.expanduser(named))
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "qkscope"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "qkscope"


def converted(model: str | os.PathLike[str], cache: Path | None = None) -> Converted:
    """The converted folder of a GGUF file, made if it is not there yet.

    Args:
        model: a path, or ORG/REPO:FILE.gguf, which downloads it.
        cache: where converted models lie; by default `cache_folder()`.

    Raises:
        UnsupportedModelError: in one sentence, when the file cannot be had, read or mapped, does
            not read English, or there is no room to convert it.
    """
    path, name = _found(str(model))
    cache = (cache or cache_folder()) / "gguf"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        sha256 = _sha256(path, cache)
        # Looked at before the lock is: the cache may be read-only by now.
        made = _made(cache, sha256, name)
        if made is None:
            with _lock(cache / f"{sha256[:16]}.lock"):
                made = _made(cache, sha256, name)
                if made is None:
                    _remove_leftovers(cache, sha256)
                    made = _convert(path, name, sha256, cache / sha256[:16])
    except OSError as error:
        raise UnsupportedModelError(_sentence(error, cache)) from error
    return made


def known(model: str | os.PathLike[str], cache: Path | None = None) -> Converted | None:
    """The converted folder of a GGUF file that is here and was converted before; else None.

    Nothing is converted or downloaded.
    """
    path, name = Path(os.path.expanduser(str(model))), None
    if not path.is_file():
        from huggingface_hub import try_to_load_from_cache

        on_hub = ON_HUB.fullmatch(str(model))
        found = try_to_load_from_cache(on_hub["repo"], on_hub["file"]) if on_hub else None
        if not isinstance(found, str):
            return None
        path, name = Path(found), str(model)
    cache = (cache or cache_folder()) / "gguf"
    try:
        return _made(cache, _sha256(path, cache), name or path.stem)
    except OSError:
        return None


def _found(model: str) -> tuple[Path, str]:
    """(file, name) of a model; a download where it is on the hub."""
    path = Path(os.path.expanduser(model))
    if os.path.isfile(path):
        if not os.access(path, os.R_OK):
            raise UnsupportedModelError(f"{model} may not be read by this user")
        return path, path.stem
    on_hub = ON_HUB.fullmatch(model)
    if on_hub is None:
        raise UnsupportedModelError(
            f"there is no file {model}; name a GGUF file, or one on the Hugging Face hub as "
            "ORG/REPO:FILE.gguf"
        )
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(on_hub["repo"], on_hub["file"])), model
    except Exception as error:  # of whichever HTTP library the hub's client stands on
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UnsupportedModelError(
            f"{on_hub['file']} cannot be had from {on_hub['repo']} on the Hugging Face hub "
            f"({reason}); check the names, or the network"
        ) from error


def _sha256(path: Path, cache: Path) -> str:
    """The file's hash; looked up where a file of this place, size and times was hashed before."""
    state = path.stat()
    key = f"{path.resolve()} {state.st_size} {state.st_mtime_ns} {state.st_ctime_ns}"
    known = cache / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.sha256"
    with suppress(OSError):
        found = known.read_text(encoding="utf-8", errors="replace").strip()
        if re.fullmatch(r"[0-9a-f]{64}", found):
            return found
    digest = hashlib.sha256()
    with (
        path.open("rb") as file,
        tqdm(total=state.st_size, unit="B", unit_scale=True, desc="Hashing", leave=False) as bar,
    ):
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            bar.update(len(chunk))
    with suppress(OSError):  # a cache that has the folder may be read-only
        _write(known, digest.hexdigest())
    return digest.hexdigest()


def _made(cache: Path, sha256: str, name: str) -> Converted | None:
    """The folder of a file that was converted before, by this version of the reading."""
    folder = cache / sha256[:16]
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        version = about.pop("conversion")
        made = Converted(**about | {"folder": folder, "name": name})
    except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
        return None  # not there, or of another version
    return made if (version, made.sha256) == (CONVERSION, sha256) else None


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Two processes that want the same file take turns: the second finds it converted."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another process is converting this file; waiting for it.", file=sys.stderr)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _remove_leftovers(cache: Path, sha256: str) -> None:
    """Remove what killed processes left.

    Of this file, whose lock we hold, and of all others that nobody is converting.
    """
    for leftover in cache.glob(".*.tmp"):
        owner = leftover.name.split(".")[1]
        if owner == sha256[:16]:
            shutil.rmtree(leftover)
        elif leftover.is_dir() and (lock := cache / f"{owner}.lock").is_file():
            with lock.open() as file, suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(leftover)


def _convert(path: Path, name: str, sha256: str, folder: Path) -> Converted:
    """Write the folder beside its place, and move it there when it is whole."""
    from qkcore.attention.english_check import require_english
    from qkcore.attention.gguf_reading import look_at, read_model, read_tokenizer, reading_once

    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    bar = tqdm(total=5, desc=f"Converting {path.name}", unit="step")
    with bar as progress, without_bars(), reading_once():
        header = look_at(path, name)
        _check_room(folder.parent, name, SPARE * BYTES * header.n_weights)
        progress.update()
        tokenizer = read_tokenizer(path, name, header)
        progress.update()
        model = read_model(path, name, header)
        progress.update()
        found = require_english(name, model, tokenizer)
        progress.update()
        made = Converted(folder, name, sha256, header.quantisation, found.text, found.shuffled)
        try:
            temporary.mkdir()
            _save(tokenizer, temporary)
            _save(model, temporary)
            about = {"conversion": CONVERSION} | asdict(made)
            del about["folder"]
            _write(temporary / ABOUT, json.dumps(about, indent=2) + "\n")
            if folder.exists():  # of an older version
                shutil.rmtree(folder)
            temporary.replace(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        progress.update()
    return made


def _check_room(folder: Path, name: str, need: float) -> None:
    if (free := shutil.disk_usage(folder).free) < need:
        raise UnsupportedModelError(
            f"converting {name} takes {_gb(need)} in {folder}, where {_gb(free)} are free; make "
            "room, or name another folder in QKSCOPE_CACHE"
        )


def _gb(n_bytes: float) -> str:
    return f"{n_bytes / 1e9:.{1 if n_bytes >= 1e9 else 3}f} GB"


def _save(what: "PreTrainedModel | PreTrainedTokenizerBase", folder: Path) -> None:
    """Save a model or a tokenizer as others' caches are: readable by whom the umask lets read."""
    try:
        what.save_pretrained(folder)
    except OSError:
        raise
    except Exception as error:  # of libraries in Rust, which know no OSError
        if found := re.search(r"\(os error (\d+)\)", str(error)):
            raise OSError(int(found[1]), os.strerror(int(found[1]))) from error
        raise
    for path in folder.glob("*.safetensors"):  # made for the owner only
        shutil.copymode(folder / "config.json", path)


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    temporary = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _sentence(error: OSError, cache: Path) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full in {cache}; make room, or name another folder in QKSCOPE_CACHE"
    where = Path(error.filename or cache)
    reason = f"{where}: {error.strerror or error}"
    return reason + ("; name a folder in QKSCOPE_CACHE" if where.is_relative_to(cache) else "")
