"""How much memory a model will need, before it is loaded.

Told from the headers of its safetensors files, by the names of the weights: those for images and
sound are never loaded (qkcore.attention.text_part).
"""

import json
import re
import struct
from collections.abc import Iterator
from math import prod
from pathlib import Path

BYTES = 4  # of a parameter in float32, which the CPU computes in
# Of a weight that bitsandbytes quantises: in 4 bits, blocks of 64 share a scale of 4 bytes.
QUANTISED_BYTES = {"8bit": 1.0, "4bit": 0.5 + 4 / 64}
NOTHING = re.compile(r"(?!)")
WHOLE = re.compile(r"embed|lm_head|norm|(^|\.)w[tp]e\.")  # never quantised
MAX_HEADER = 100_000_000
# Parts for images and sound, and what predicts several tokens at once: not loaded.
LEFT_OUT = re.compile(r"(^|\.)(vision_\w+|visual|audio_\w+|\w*projector|connector|mtp)\.")


def memory_needed(model: str | Path, quantize: str | None = None) -> int | None:
    """Bytes of a folder's parameters in float32, or with its matrices in "8bit" or "4bit".

    None where the folder or its headers cannot be read.
    """
    try:
        left_out = LEFT_OUT if _has_text_part(Path(model)) else NOTHING
        files = sorted(Path(model).glob("*.safetensors"))
        return int(sum(_n_bytes(path, left_out, quantize) for path in files)) or None
    except (OSError, ValueError, struct.error, KeyError, TypeError, AttributeError):
        return None


def parameter_bytes(quantize: str | None) -> float:
    """Bytes of a parameter in float32, or of one that is quantised to "8bit" or "4bit"."""
    return BYTES if quantize is None else QUANTISED_BYTES[quantize]


def size_text(n_bytes: float) -> str:
    """A size as people quote it.

    >>> size_text(1_564_672), size_text(2_470_000_000)
    ('1.6 MB', '2.5 GB')
    """
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.1f} MB"


def _has_text_part(folder: Path) -> bool:
    """Whether a checkpoint's text part is one of several, so that the others are left out."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return "text_config" in config


def _n_bytes(path: Path, left_out: re.Pattern[str], quantize: str | None) -> float:
    fewer = parameter_bytes(quantize)
    return sum(
        prod(shape) * (fewer if len(shape) == 2 and not WHOLE.search(name) else BYTES)
        for name, shape in _shapes(path)
        if not left_out.search(name)
    )


def _shapes(path: Path) -> Iterator[tuple[str, list[int]]]:
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        if length > MAX_HEADER:
            raise ValueError(f"{path} is no safetensors file")
        header = json.loads(file.read(length))
    for name, tensor in header.items():
        if name != "__metadata__":
            yield name, tensor["shape"]
