"""A checkpoint's model and tokenizer from transformers, or one sentence for whatever it raises.

Weights come from safetensors only, all of them, and no code of the checkpoint's is run. Of a
checkpoint that sees or hears only the part that reads text is loaded (see
qkcore.attention.text_part). Knows nothing of attention: whether the model can be scored is for
qkcore.attention.load to find out.
"""

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from qkcore.attention.geometry import UnsupportedModelError
from qkcore.attention.quiet import without_bars, without_reports

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class Pretrained:
    """What a checkpoint gave."""

    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerBase"
    left_out: tuple[str, ...]  # parts for more than text that were not loaded, such as "vision"
    dequantised: str | None  # what its weights were quantised as, where they no longer are


def check_reachable(model: str) -> None:
    """Ask the hub once for a model that is not in the cache.

    Before the patient retries of a download do.
    """
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
    from huggingface_hub.errors import HfHubHTTPError

    try:
        if constants.is_offline_mode() or isinstance(
            try_to_load_from_cache(model, "config.json"), str
        ):
            return
        url = hf_hub_url(model, "config.json")
        try:
            get_hf_file_metadata(url, timeout=constants.HF_HUB_ETAG_TIMEOUT)
        except (HfHubHTTPError, ValueError):
            raise
        except Exception:  # of whichever HTTP library the hub's client stands on
            time.sleep(1)  # one hiccup is no reason to give up
            get_hf_file_metadata(url, timeout=constants.HF_HUB_ETAG_TIMEOUT)
    except (HfHubHTTPError, ValueError):
        return  # the hub has answered, or the name is none: loading says it better
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UnsupportedModelError(
            f"there is no folder {model}, and the Hugging Face hub cannot be asked for a model of "
            f"that name ({reason}); check the name, or the network"
        ) from error


def load_pretrained(
    model: str, dtype: torch.dtype | str, device: str, quantize: str | None = None
) -> Pretrained:
    """Load a folder or a Hugging Face id.

    Args:
        model: its name.
        dtype: of the parameters; "auto" for the checkpoint's own.
        device: where they go; "auto" spreads them.
        quantize: "8bit" or "4bit", to quantise them while they are loaded.

    Raises:
        UnsupportedModelError: when it cannot be loaded whole, or needs a package that is not here.
    """
    os.environ.setdefault("DISABLE_SAFETENSORS_CONVERSION", "1")
    from huggingface_hub.errors import StrictDataclassError
    from safetensors import SafetensorError

    try:
        loaded, absent = _loaded(model, dtype, device, quantize)
    except UnsupportedModelError:
        raise
    except (
        OSError,
        ValueError,
        KeyError,
        AttributeError,
        TypeError,
        RuntimeError,
        ImportError,
        AssertionError,
        SafetensorError,
        StrictDataclassError,
    ) as error:
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        is_folder = Path(model).is_dir()
        why = "" if is_folder else f"there is no folder {model}, and as a Hugging Face id "
        raise UnsupportedModelError(
            f"{why}{model} cannot be loaded as a causal language model from safetensors: "
            f"{first_line}"
        ) from error
    if absent:
        raise UnsupportedModelError(
            f"{model}: {len(absent)} weights are missing or of another shape (first: {absent[0]}); "
            "they would be random"
        )
    return loaded


def _loaded(
    model: str, dtype: torch.dtype | str, device: str, quantize: str | None
) -> tuple[Pretrained, list[str]]:
    """What a checkpoint gives, and the weights that it lacks."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    from qkcore.attention import quantising
    from qkcore.attention.text_part import senses, text_class

    tokenizer = AutoTokenizer.from_pretrained(model, trust_remote_code=False)
    config = AutoConfig.from_pretrained(model, trust_remote_code=False)
    if senses(config) and tokenizer.chat_template is None:
        tokenizer.chat_template = _processors_chat(model)
    quantising.require_packages(model, config)
    options: dict[str, Any] = {}
    came_as = quantising.quantised(config)
    if quantize is not None:
        options["quantization_config"] = quantising.quantising(model, config, quantize, dtype)
    if quantize is not None or came_as is not None or device == "auto":
        # What is quantised cannot be moved once it is there.
        options["device_map"] = "auto" if device == "auto" else {"": device}
    loader: Any = text_class(config) or AutoModelForCausalLM
    with without_bars(Path(model).is_dir()), without_reports():
        # A pair, where loading info is asked for; its type does not say so.
        loaded, notes = loader.from_pretrained(
            model,
            dtype=dtype,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            **options,
        )
    if "device_map" not in options:
        loaded.to(device)
    quantising.settle(loaded)
    absent = sorted(notes["missing_keys"]) + sorted(str(key) for key in notes["mismatched_keys"])
    is_whole = quantising.quantised(loaded.config) is None
    return Pretrained(loaded, tokenizer, senses(config), came_as if is_whole else None), absent


def _processors_chat(model: str) -> str | None:
    """The chat template of a checkpoint's processor, where older ones keep it; None without one."""
    from transformers.utils.hub import cached_file

    path = cached_file(
        model,
        "chat_template.json",
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )
    return None if path is None else json.loads(Path(path).read_text("utf-8"))["chat_template"]
