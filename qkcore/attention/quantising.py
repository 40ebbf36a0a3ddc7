"""Weights in few bits: quantised while they are loaded, or as their checkpoint has them.

Says what a run calls it, which packages it needs and what transformers is told. Knows nothing of
what a model makes of a text: whether it still reads is for qkcore.attention.english_check.
"""

import logging
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from transformers import BitsAndBytesConfig, PreTrainedConfig, PreTrainedModel

from qkcore.attention.geometry import UnsupportedModelError

QUANTIZE = ("8bit", "4bit")
# What each way to quantise needs besides transformers, by the names of the package index.
PACKAGES = {
    "aqlm": ("aqlm",),
    "auto-round": ("auto-round",),
    "awq": ("gptqmodel",),
    "bitsandbytes": ("bitsandbytes",),
    "compressed-tensors": ("compressed-tensors",),
    "eetq": ("kernels",),
    "fbgemm_fp8": ("fbgemm-gpu",),
    "gptq": ("gptqmodel", "optimum"),
    "hqq": ("hqq",),
    "quanto": ("optimum-quanto",),
    "quark": ("amd-quark",),
    "spqr": ("spqr-quant",),
    "torchao": ("torchao",),
    "vptq": ("vptq",),
}
# Of these the products are as exact as the parameters' type, only the weights are not.
EXACT_PRODUCTS = {"4-bit nf4 by bitsandbytes", "4-bit fp4 by bitsandbytes"}


def quantised(config: PreTrainedConfig) -> str | None:
    """What a run calls the bits of a configuration's weights; None where they are whole.

    >>> quantised(PreTrainedConfig(quantization_config={"quant_method": "gptq", "bits": 4}))
    '4-bit by gptq'
    >>> quantised(PreTrainedConfig(quantization_config={"quant_method": "fp8"}))
    'fp8'
    """
    told = _told(config)
    if told is None:
        return None
    method, kind = _method(told), ""
    bits = told.get("bits") or told.get("w_bit") or _bits_of_groups(told)
    if method == "bitsandbytes":
        bits = 4 if told.get("load_in_4bit") else 8
        kind = f" {told.get('bnb_4bit_quant_type', 'fp4')}" if bits == 4 else ""
    return f"{bits}-bit{kind} by {method}" if bits else method


def has_exact_products(config: PreTrainedConfig) -> bool:
    """Whether what is quantised are weights alone, so that products are as exact as their type."""
    return quantised(config) in {None} | EXACT_PRODUCTS


def require_packages(model: str, config: PreTrainedConfig) -> None:
    """See that what a quantised checkpoint needs is here.

    Raises:
        UnsupportedModelError: naming the packages that are not.
    """
    if (told := _told(config)) is None:
        return
    method = _method(told)
    if method == "bitsandbytes":
        _keep_bitsandbytes_quiet()
    if missing := [name for name in PACKAGES.get(method, ()) if not _is_installed(name)]:
        names = " ".join(missing)
        raise UnsupportedModelError(
            f"{model} comes quantised by {method}, which needs {' and '.join(missing)}: "
            f"pip install {names}"
        )


def quantising(
    model: str, config: PreTrainedConfig, quantize: str, dtype: torch.dtype | str
) -> BitsAndBytesConfig:
    """What transformers is told, to have a checkpoint's weights quantised while it is loaded.

    Args:
        model: its name.
        config: its configuration.
        quantize: "8bit" or "4bit".
        dtype: of the parameters that stay whole and of all products; "auto": the checkpoint's own.

    Raises:
        UnsupportedModelError: for another word, a checkpoint that comes quantised, or without
            bitsandbytes.
    """
    require_word(quantize)
    if (name := quantised(config)) is not None:
        raise UnsupportedModelError(
            f"{model} comes quantised ({name}) already; leave out quantize {quantize!r}"
        )
    if not _is_installed("bitsandbytes"):
        raise UnsupportedModelError(
            f"quantize {quantize!r} needs bitsandbytes: pip install bitsandbytes"
        )
    _keep_bitsandbytes_quiet()
    if quantize == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    if isinstance(dtype, str):
        dtype = config.get_text_config().dtype or torch.bfloat16
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype
    )


def require_word(quantize: str) -> None:
    """See that a way to quantise is one of those known.

    Raises:
        UnsupportedModelError: for any other.
    """
    if quantize not in QUANTIZE:
        raise UnsupportedModelError(
            f"quantize {quantize!r} is not known; use {' or '.join(QUANTIZE)}"
        )


def settle(model: PreTrainedModel) -> None:
    """Have bitsandbytes multiply alike on every processor and in every batch.

    Where a processor can, it would multiply 4-bit weights in bfloat16 whatever the model's type,
    and fail on matrices of other than whole blocks; and its columns of outliers in 8 bits are those
    of a whole batch, so that a puzzle's scores would change with the batch that it is in.
    """
    module: Any  # bitsandbytes brings its types only where it is installed
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
        if hasattr(getattr(module, "state", None), "threshold"):
            module.state.threshold = 0.0


def _told(config: PreTrainedConfig) -> dict[str, Any] | None:
    """What a configuration, or that of its text part, says of quantisation."""
    for one in (config, config.get_text_config()):
        if (told := getattr(one, "quantization_config", None)) is not None:
            return told if isinstance(told, dict) else told.to_dict()
    return None


def _method(told: dict[str, Any]) -> str:
    """The way to quantise, by the name that transformers has for it."""
    method = told.get("quant_method", "bitsandbytes" if "load_in_4bit" in told else "unknown")
    return str(getattr(method, "value", method))


def _bits_of_groups(told: dict[str, Any]) -> int | None:
    """Bits of the weights in compressed-tensors' groups of layers, where all have as many."""
    groups = told.get("config_groups") or {}
    bits = {(group.get("weights") or {}).get("num_bits") for group in groups.values()}
    return bits.pop() if len(bits) == 1 else None


def _keep_bitsandbytes_quiet() -> None:
    """Turn off its warnings: on the CPU it has one for each product."""
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)


def _is_installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True
