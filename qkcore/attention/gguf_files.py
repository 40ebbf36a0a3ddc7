"""Models in GGUF files, the format of llama.cpp: converted once into a folder, then loaded as one.

A model is named by a path that ends in .gguf or as ORG/REPO:FILE.gguf on the Hugging Face hub. The
folder lies in a cache, under the file's hash; it is written whole or not at all, and two processes
that want the same file take turns. Weights are read by transformers' own loader, in float32: what a
quantised weight stands for fits no smaller type. Before the folder is put in its place the model
has to read English (qkcore.attention.english_check).
"""

import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from qkcore.attention.geometry import UnsupportedModelError
from qkcore.attention.quiet import without_bars

if TYPE_CHECKING:
    from gguf import GGUFReader

ON_HUB = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+):(?P<file>[^:]+\.gguf)", re.IGNORECASE)
ABOUT = "qkscope.json"  # in a converted folder: what it was made of; written last
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
        return Path(named).expanduser()
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
        folder = cache / sha256[:16]
        if not (folder / ABOUT).is_file():  # looked at first: the cache may be read-only by now
            with _only_converter(cache / f"{sha256[:16]}.lock"):
                if not (folder / ABOUT).is_file():
                    _convert(path, name, sha256, folder)
    except OSError as error:
        raise UnsupportedModelError(_sentence(error, cache)) from error
    about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    return Converted(folder=folder, **about | {"name": name})


def _found(model: str) -> tuple[Path, str]:
    """(file, name) of a model; a download where it is on the hub."""
    path = Path(model).expanduser()
    if path.is_file():
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
    """The file's hash; looked up where a file of this place, size and time was hashed before."""
    state = path.stat()
    key = f"{path.resolve()} {state.st_size} {state.st_mtime_ns}"
    known = cache / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.sha256"
    if known.is_file() and re.fullmatch(r"[0-9a-f]{64}", found := known.read_text().strip()):
        return found
    digest = hashlib.sha256()
    with (
        path.open("rb") as file,
        tqdm(total=state.st_size, unit="B", unit_scale=True, desc="Hashing", leave=False) as bar,
    ):
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            bar.update(len(chunk))
    _write(known, digest.hexdigest())
    return digest.hexdigest()


@contextmanager
def _only_converter(lock: Path) -> Iterator[None]:
    """Two processes that want the same file take turns: the second finds it converted."""
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print("Another process is converting this file; waiting for it.", file=sys.stderr)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _convert(path: Path, name: str, sha256: str, folder: Path) -> None:
    """Write the folder beside its place, and move it there when it is whole."""
    for leftover in folder.parent.glob(f".{folder.name}.*.tmp"):  # of one that was killed
        shutil.rmtree(leftover)
    if folder.exists():  # without ABOUT: not ours, or of a version that wrote it otherwise
        shutil.rmtree(folder)
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    with tqdm(total=5, desc=f"Converting {path.name}", unit="step") as progress:
        quantisation, n_weights = _looked_at(path, name)
        if (free := shutil.disk_usage(folder.parent).free) < (need := SPARE * BYTES * n_weights):
            raise UnsupportedModelError(
                f"converting {name} takes {need / 1e9:.1f} GB in {folder.parent}, where "
                f"{free / 1e9:.1f} GB are free; make room, or name another folder in QKSCOPE_CACHE"
            )
        progress.update()
        try:
            temporary.mkdir()
            about = _written(path, name, temporary, progress)
            found = {"name": name, "sha256": sha256, "quantisation": quantisation} | about
            _write(temporary / ABOUT, json.dumps(found, indent=2))
            temporary.replace(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        progress.update()


def _looked_at(path: Path, name: str) -> tuple[str, int]:
    """(type of most weights, number of weights) of a file that can be converted."""
    reader = _reader(path, name)
    fields = reader.fields
    if "split.count" in fields and int(fields["split.count"].contents()) > 1:
        raise UnsupportedModelError(
            f"{name} is one of {int(fields['split.count'].contents())} parts of a model; put them "
            "together with llama.cpp's llama-gguf-split --merge, and name the whole file"
        )
    architecture = str(fields["general.architecture"].contents())
    from transformers.modeling_gguf_pytorch_utils import GGUF_SUPPORTED_ARCHITECTURES as KNOWN

    if architecture.replace("-", "") not in {one.replace("-", "") for one in KNOWN}:
        raise UnsupportedModelError(
            f"{name} is of architecture {architecture!r}, which transformers cannot read from "
            "GGUF files; use the model's own folder or Hugging Face id"
        )
    sizes: Counter[str] = Counter()
    for tensor in reader.tensors:
        sizes[tensor.tensor_type.name] += int(tensor.n_elements)
    return sizes.most_common(1)[0][0], sizes.total()


def _reader(path: Path, name: str) -> "GGUFReader":
    from gguf import GGUFReader

    try:
        reader = GGUFReader(path)
        if "general.architecture" not in reader.fields or not reader.tensors:
            raise ValueError("it names no architecture, or holds no weights")
    except (ValueError, IndexError, KeyError, OverflowError, UnicodeDecodeError, MemoryError) as e:
        reason = (str(e).strip() or type(e).__name__).splitlines()[0]
        raise UnsupportedModelError(
            f"{name} is damaged, cut short or no GGUF file ({reason}); get it again"
        ) from e
    return reader


def _written(path: Path, name: str, folder: Path, progress: "tqdm[int]") -> dict[str, float]:
    """Write tokenizer and weights; returns what the English check found."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from qkcore.attention.english_check import english_check, refuse_misread, refuse_unread

    place = {"pretrained_model_name_or_path": str(path.parent), "gguf_file": path.name}
    with without_bars():
        try:
            tokenizer = AutoTokenizer.from_pretrained(**place)
            tokenizer.save_pretrained(folder)
            progress.update()
            model, notes = AutoModelForCausalLM.from_pretrained(
                **place, dtype="float32", output_loading_info=True
            )
        except (OSError, ValueError, KeyError, AttributeError, TypeError, RuntimeError) as error:
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                raise
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise UnsupportedModelError(
                f"{name} cannot be read by transformers from its GGUF file: {reason}"
            ) from error
        if absent := sorted(notes["missing_keys"]):
            raise UnsupportedModelError(
                f"{name}: {len(absent)} weights are missing in its GGUF file (first: {absent[0]}); "
                "they would be random"
            )
        progress.update()
        model.eval()
        found = english_check(model, tokenizer)
        refuse_unread(name, found)
        refuse_misread(name, model, tokenizer, found)
        progress.update()
        # It is no longer quantised; transformers would refuse to save it.
        del model.config.quantization_config
        model.hf_quantizer, model.is_quantized = None, False
        model.save_pretrained(folder)
    return {"nats_text": found.text, "nats_shuffled": found.shuffled}


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def _sentence(error: OSError, cache: Path) -> str:
    if error.errno == errno.ENOSPC:
        return f"the disk is full in {cache}; make room, or name another folder in QKSCOPE_CACHE"
    return f"{error.filename or cache}: {error.strerror or error}; name a folder in QKSCOPE_CACHE"
