"""Weights in few bits, by hand: what each format says that a weight stands for.

Used by test_quantising.py. Knows nothing of qkcore, bitsandbytes or transformers' quantisers: each
function takes a weight and gives what a checkpoint holds of it, and what that stands for.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

# The sixteen values of NF4: QLoRA, arXiv 2305.14314, appendix E.
NF4 = torch.tensor(
    [
        *(-1.0, -0.6961928, -0.52507305, -0.3949175, -0.28444138, -0.18477343, -0.09105004, 0.0),
        *(0.0795803, 0.1609302, 0.2461123, 0.33791524, 0.44070983, 0.562617, 0.72295684, 1.0),
    ]
)
# The sixteen of FP4 (E2M1): OCP Microscaling Formats, version 1.0, section 5.3.3.
FP4 = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6])


def nf4(weight: torch.Tensor, block: int = 64) -> torch.Tensor:
    """What a weight becomes: blocks of 64, each in sixteenths of its largest value."""
    flat = weight.flatten()
    padded = torch.cat([flat, flat.new_zeros(-len(flat) % block)]).view(-1, block)
    largest = padded.abs().amax(dim=1, keepdim=True).clamp_min(1e-12)
    code = (padded / largest)[..., None].sub(NF4).abs().argmin(dim=-1)
    return (NF4[code] * largest).flatten()[: len(flat)].view_as(weight)


class Int8(torch.nn.Module):
    """A linear layer in 8 bits (LLM.int8, arXiv 2208.07339) without its part for outliers.

    Each row of the weight and each token's state is in 127ths of its largest value.
    """

    def __init__(self, linear: torch.nn.Linear):
        super().__init__()
        self.weight, self.scale = in_127ths(linear.weight.data.half().float())

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        rounded, scale = in_127ths(states.half().float())
        return (rounded @ self.weight.T) * scale * self.scale.T


def in_127ths(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(whole numbers from -127 to 127, what each row's stand for)."""
    scale = rows.abs().amax(dim=-1, keepdim=True) / 127
    return (rows / scale).round(), scale


def fp8(weight: torch.Tensor, block: int = 16) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """(what a checkpoint holds by the end of its name, what it stands for): square blocks."""
    n_rows, n_columns = weight.shape
    blocks = weight.reshape(n_rows // block, block, n_columns // block, block)
    scale = blocks.abs().amax(dim=(1, 3)) / 448  # the largest number of E4M3
    stored = (blocks / scale[:, None, :, None]).to(torch.float8_e4m3fn)
    meant = (stored.float() * scale[:, None, :, None]).reshape(weight.shape)
    return {"": stored.reshape(weight.shape), "_scale_inv": scale}, meant


def mxfp4(experts: torch.Tensor) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Likewise for (expert, in, out): 32 inputs share an exponent, two numbers a byte."""
    n, n_in, n_out = experts.shape
    rows = experts.transpose(1, 2).reshape(n, n_out, n_in // 32, 32)
    exponent = rows.abs().amax(dim=-1).log2().floor() - 2
    code = (rows / 2.0 ** exponent[..., None])[..., None].sub(FP4).abs().argmin(dim=-1)
    meant = (FP4[code] * 2.0 ** exponent[..., None]).reshape(n, n_out, n_in).transpose(1, 2)
    stored = (code[..., 0::2] | (code[..., 1::2] << 4)).to(torch.uint8)
    return {"_blocks": stored, "_scales": (exponent + 127).to(torch.uint8)}, meant.contiguous()


def packed_int4(weight: torch.Tensor) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Likewise as compressed-tensors packs it: eight numbers a word, each row with a scale."""
    scale = weight.abs().amax(dim=1, keepdim=True) / 7
    code = (weight / scale).round()
    eights = (code + 8).long().unflatten(1, (-1, 8))
    words = (eights << torch.arange(0, 32, 4)).sum(dim=-1)
    signed = torch.where(words >= 2**31, words - 2**32, words).to(torch.int32)
    shape = torch.tensor(weight.shape)
    return {"_packed": signed, "_scale": scale, "_shape": shape}, code * scale


def rewrite(folder: Path, model: torch.nn.Module, ends_with: str, quantise, told: dict) -> None:
    """Save a model with some weights quantised; the model gets what they stand for."""
    model.save_pretrained(folder)
    file, kept = folder / "model.safetensors", {}
    for name, weight in load_file(file).items():
        if name.endswith(ends_with):
            stored, model.get_parameter(name).data = quantise(weight)
            kept |= {name + end: part.contiguous() for end, part in stored.items()}
        else:
            kept[name] = weight
    save_file(kept, file, metadata={"format": "pt"})
    say(folder, told)


def say(folder: Path, told: dict) -> None:
    """Have a folder's configuration tell of quantisation."""
    config = folder / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"quantization_config": told}))
