"""What a run calls a model, known from its files before it is loaded: name, revision, type.

For whoever wants to know whether a run is there already, of a model that takes minutes to load.
Says None where only loading can tell, as of weights in few bits; guesses nothing, downloads and
converts nothing. Of a Hugging Face id, what lies in the hub's cache is what counts.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import torch

from qkcore.attention.gguf_files import is_gguf, known
from qkcore.attention.load import DTYPES, folder_revision
from qkcore.bundled import REAL_MODEL, real_model


@dataclass(frozen=True, slots=True)
class Identity:
    """As `CausalLM` has them once the model is loaded."""

    name: str
    revision: str
    dtype: str


def identity_of(
    model: str,
    dtype: str | None = None,
    device: str | None = None,
    quantize: str | None = None,
    cache: Path | None = None,
) -> Identity | None:
    """What `load_model` with these arguments will be called, or None.

    >>> from qkcore import bundled_model, load_model
    >>> found, lm = identity_of(str(bundled_model()), device="cpu"), load_model(bundled_model())
    >>> (found.name, found.revision) == (lm.name, lm.revision)
    True
    """
    if quantize is not None:
        return None
    if dtype is None and (device or ("cuda" if torch.cuda.is_available() else "cpu")) == "cpu":
        dtype = "float32"
    if model == REAL_MODEL and not Path(model).is_dir():
        model = str(real_model() or "")
    try:
        if is_gguf(model) and not Path(model).is_dir():
            return _of_gguf(model, dtype, cache)
        if (folder := Path(model)).is_dir():
            return _of_folder(folder, folder.resolve().name, dtype, folder_revision(folder))
        return _on_hub(model, dtype)
    except (OSError, ValueError):  # loading says it in a sentence
        return None


def _of_gguf(model: str, dtype: str | None, cache: Path | None) -> Identity | None:
    made = known(model, cache)
    if made is None:
        return None
    found = _of_folder(made.folder, made.name, dtype, f"sha256:{made.sha256[:16]}")
    if found is None:
        return None
    return Identity(found.name, found.revision, f"{found.dtype} from {made.quantisation}")


def _on_hub(model: str, dtype: str | None) -> Identity | None:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(model, "config.json")
    if not isinstance(found, str):
        return None
    folder = Path(found).parent  # named by the commit
    return _of_folder(folder, model, dtype, folder.name)


def _of_folder(folder: Path, name: str, dtype: str | None, revision: str) -> Identity | None:
    """With the type that the configuration states, where none is asked for."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if "quantization_config" in config:
        return None
    own = dtype or config.get("dtype") or config.get("torch_dtype")
    return Identity(name, revision, own) if own in DTYPES else None
