"""What a GGUF file means: transformers' own loader reads it, and nothing it says is left out.

The loader skips in silence what it does not know: weights of a name it has no place for, and most
of what a file says of its model. So the configuration is made to say all of it first
(qkcore.attention.gguf_config), the tokenizer too (qkcore.attention.gguf_tokenizer), and a file with
weights that nobody reads, or with too few, is refused.
"""

import functools
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from qkcore.attention.geometry import UnsupportedModelError
from qkcore.attention.gguf_config import plain, say_all
from qkcore.attention.gguf_tokenizer import as_said

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

FILE = "model.gguf"  # what it is called where transformers reads it
FREQUENCIES = "rope_freqs.weight"  # of Llama 3: by what each of its rotary frequencies is divided


@dataclass(frozen=True, slots=True)
class Header:
    """What stands in a file before its weights."""

    architecture: str
    of_model: dict[str, Any]  # without the architecture in front, such as "block_count"
    of_tokenizer: dict[str, Any]  # such as "ggml.pre"; not the tokens themselves
    n_tokens: int
    quantisation: str  # the type of most weights
    n_weights: int
    tensors: tuple[str, ...]
    frequencies: np.ndarray | None  # (rotary pair,) of `FREQUENCIES`


def look_at(path: Path, name: str) -> Header:
    """The header of a file that can be read.

    Raises:
        UnsupportedModelError: when the file is damaged, a part of one, or of an architecture that
            transformers does not read.
    """
    from gguf import GGUFReader

    try:
        reader = GGUFReader(path)
        fields = {key: field for key, field in reader.fields.items() if len(field.data) < 1_000}
        said = {key: field.contents() for key, field in fields.items()}
        architecture = said["general.architecture"]
        if not isinstance(architecture, str) or not reader.tensors:
            raise ValueError("it names no architecture, or holds no weights")
        n_layers = int(said.get(f"{architecture}.block_count", 0))
        if n_layers > len(reader.tensors):  # transformers would build them all
            raise ValueError(f"it says {n_layers:,} layers, with {len(reader.tensors)} weights")
        n_parts = int(said.get("split.count", 1))
        tokens = reader.fields.get("tokenizer.ggml.tokens")
    except Exception as error:  # of whatever kind damaged bytes lead to
        raise UnsupportedModelError(
            f"{name} is damaged, cut short or no GGUF file ({_first_line(error)}); get it again"
        ) from error
    if n_parts > 1:
        raise UnsupportedModelError(
            f"{name} is one of {n_parts} parts of a model; put them together with llama.cpp's "
            "llama-gguf-split --merge, and name the whole file"
        )
    if not _is_known(architecture):
        raise UnsupportedModelError(
            f"{name} is of architecture {architecture!r}, which transformers does not read from "
            "GGUF files; use the model's own folder or Hugging Face id"
        )
    sizes: Counter[str] = Counter()
    for tensor in reader.tensors:
        sizes[tensor.tensor_type.name] += int(tensor.n_elements)
    return Header(
        architecture=architecture,
        of_model=_below(f"{architecture}.", said),
        of_tokenizer=_below("tokenizer.", said),
        n_tokens=0 if tokens is None else len(tokens.data),
        quantisation=sizes.most_common(1)[0][0],
        n_weights=sizes.total(),
        tensors=tuple(tensor.name for tensor in reader.tensors),
        frequencies=next((np.array(t.data) for t in reader.tensors if t.name == FREQUENCIES), None),
    )


def read_tokenizer(path: Path, name: str, header: Header) -> "PreTrainedTokenizerBase":
    """The file's tokenizer, cutting text as the file says.

    Raises:
        UnsupportedModelError: when it cannot.
    """
    from transformers import AutoTokenizer

    with _one_sentence(name), _alone(path) as place:
        if not header.n_tokens:
            raise ValueError("it holds no tokenizer")
        made = AutoTokenizer.from_pretrained(place, gguf_file=FILE, trust_remote_code=False)
        return as_said(made, header.architecture, header.of_tokenizer, header.n_tokens)


def read_model(path: Path, name: str, header: Header) -> "PreTrainedModel":
    """The file's model in float32 and eval mode, as if it had never been quantised.

    Raises:
        UnsupportedModelError: when transformers does not read all of the file.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    with _one_sentence(name), _alone(path) as place:
        config = AutoConfig.from_pretrained(place, gguf_file=FILE, trust_remote_code=False)
        say_all(config, header.architecture, header.of_model, header.frequencies)
        # A pair, where loading info is asked for; its type does not say so.
        found: Any = AutoModelForCausalLM.from_pretrained(
            place,
            gguf_file=FILE,
            config=config,
            dtype="float32",
            use_safetensors=True,  # should the GGUF file be passed over
            trust_remote_code=False,
            output_loading_info=True,
        )
        model, notes = found
        # It is no longer quantised; transformers would refuse to save it.
        del model.config.quantization_config
        model.hf_quantizer, model.is_quantized = None, False
        _check_all_read(header, model, notes)
    return model.eval()


def _check_all_read(header: Header, model: "PreTrainedModel", notes: dict[str, Any]) -> None:
    if absent := sorted(notes["missing_keys"]):
        raise ValueError(
            f"{len(absent)} weights are missing in it (first: {absent[0]}); they would be random"
        )
    unread = sorted(set(_unread(header, model)) - {FREQUENCIES}) or sorted(notes["unexpected_keys"])
    if unread:
        raise ValueError(
            f"{len(unread)} of its weights have no place in {type(model).__name__} (first: "
            f"{unread[0]})"
        )


def _unread(header: Header, model: "PreTrainedModel") -> Iterator[str]:
    """Weights that transformers' older GGUF reader has no place for; it says nothing."""
    from transformers import modeling_gguf_pytorch_utils as gguf_loader
    from transformers.integrations.gguf.utils import is_gguf_arch_supported

    if is_gguf_arch_supported(header.architecture):
        return  # its newer reader tells, as unexpected keys
    processor = gguf_loader.TENSOR_PROCESSORS.get(header.architecture, gguf_loader.TensorProcessor)
    places = gguf_loader.get_gguf_hf_weights_map(model, processor(config=model.config.to_dict()))
    yield from (name for name in header.tensors if name not in places)


def _is_known(architecture: str) -> bool:
    from transformers.integrations.gguf.gguf_config_mapping import GGUF_CONFIG_ARCHS
    from transformers.modeling_gguf_pytorch_utils import GGUF_SUPPORTED_ARCHITECTURES

    known = {plain(one) for one in (*GGUF_SUPPORTED_ARCHITECTURES, *GGUF_CONFIG_ARCHS)}
    return plain(architecture) in known


def _below(prefix: str, said: dict[str, Any]) -> dict[str, Any]:
    return {
        key.removeprefix(prefix): value for key, value in said.items() if key.startswith(prefix)
    }


@contextmanager
def _alone(path: Path) -> Iterator[str]:
    """A folder in which transformers finds the file, and nothing that it would read as well."""
    with TemporaryDirectory() as folder:
        (Path(folder) / FILE).symlink_to(path.resolve())
        yield folder


@contextmanager
def reading_once() -> Iterator[None]:
    """While open, the `gguf` package reads a file once and makes a table of names once.

    transformers asks for a reader three times and for a table in each of a model's modules, which
    together is most of what a conversion takes.
    """
    import gguf

    package: Any = gguf
    read, names = package.GGUFReader, package.get_tensor_name_map
    read_once = functools.cache(read)
    package.GGUFReader = lambda path: read_once(os.path.realpath(path))
    package.get_tensor_name_map = functools.cache(names)
    try:
        yield
    finally:
        package.GGUFReader, package.get_tensor_name_map = read, names


@contextmanager
def _one_sentence(name: str) -> Iterator[None]:
    """Whatever transformers raises, or we of what it read, as one sentence."""
    try:
        yield
    except Exception as error:  # of several libraries, and of whatever kind
        raise UnsupportedModelError(
            f"{name} cannot be read from its GGUF file: {_first_line(error)}"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
