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
MAX_HEADER = 100_000_000
# Parts for images and sound, and what predicts several tokens at once: not loaded.
LEFT_OUT = re.compile(r"(^|\.)(vision_\w+|visual|audio_\w+|\w*projector|connector|mtp)\.")


def memory_needed(model: str | Path) -> int | None:
    """Bytes of a folder's parameters in float32.

    None where the folder or its headers cannot be read.
    """
    try:
        n_parameters = sum(map(_n_parameters, sorted(Path(model).glob("*.safetensors"))))
    except (OSError, ValueError, struct.error, KeyError, TypeError, AttributeError):
        return None
    return BYTES * n_parameters or None


def size_text(n_bytes: float) -> str:
    """A size as people quote it.

    >>> size_text(1_564_672), size_text(2_470_000_000)
    ('1.6 MB', '2.5 GB')
    """
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.1f} MB"


def _n_parameters(path: Path) -> int:
    return sum(prod(shape) for shape in _shapes(path))


def _shapes(path: Path) -> Iterator[list[int]]:
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        if length > MAX_HEADER:
            raise ValueError(f"{path} is no safetensors file")
        header = json.loads(file.read(length))
    for name, tensor in header.items():
        if name != "__metadata__" and not LEFT_OUT.search(name):
            yield tensor["shape"]
