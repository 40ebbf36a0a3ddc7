"""Models in few bits: scored as the numbers they stand for, named in a run, refused if unread."""

import importlib.util

import pytest
import torch
from transformers import PreTrainedConfig

from qkcore.__main__ import main
from qkcore.attention import load, quantising
from qkcore.attention.english_check import EnglishCheck
from qkcore.attention.geometry import UnsupportedModelError
from qkcore.attention.load import load_model
from qkcore.attention.memory import memory_needed
from qkcore.results.store import ResultStore
from qkcore.scoring.precompute import precompute
from qkcore.scoring.score import score_puzzle
from tests.attention.architectures import SUPPORTED, made
from tests.attention.few_bits import Int8, fp8, mxfp4, nf4, packed_int4, rewrite, say
from tests.tiny import close, puzzle, tiny_model, tiny_tokenizer

needs_bitsandbytes = pytest.mark.skipif(
    importlib.util.find_spec("bitsandbytes") is None, reason="needs the package bitsandbytes"
)
SIZES = dict(hidden_size=64, head_dim=16)  # whole blocks, and rows that 8-bit products can take


@pytest.fixture
def reads(monkeypatch):
    """Random models pass for ones that read: what else is true of them is tested here."""
    asked = []

    def passed(name, _model, _tokenizer, how):
        asked.append((name, how))
        return EnglishCheck(1.0, 2.0, 3.0)

    monkeypatch.setattr(load, "require_reading", passed)
    return asked


@pytest.fixture
def saved(tmp_path):
    folder = tmp_path / "tiny"
    tiny_model("qwen3", **SIZES).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def projections(model):
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and name.endswith("_proj")
    }


@needs_bitsandbytes
@pytest.mark.parametrize("rope", ["pre", "post"])
def test_4_bits_are_scored_as_the_numbers_that_nf4_stands_for(saved, reads, rope):
    lm = load_model(saved, device="cpu", quantize="4bit")
    assert (lm.dtype, reads) == (
        "float32, 4-bit nf4 by bitsandbytes",
        [("tiny", "4-bit nf4 by bitsandbytes")],
    )
    whole = tiny_model("qwen3", **SIZES)
    for linear in projections(whole).values():
        linear.weight.data = nf4(linear.weight.data)
    expected = score_puzzle(load.vouch_for(whole, tiny_tokenizer(), "by hand"), puzzle(), rope=rope)
    ours = score_puzzle(lm, puzzle(), rope=rope)
    assert close(ours.qk, expected.qk)
    assert close(ours.logits, expected.logits)
    assert not close(ours.qk, score_puzzle(load_model(saved), puzzle(), rope=rope).qk)


@needs_bitsandbytes
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("quantize", ["8bit", "4bit"])
def test_few_bits_go_with_half_precision(saved, reads, dtype, quantize):
    lm = load_model(saved, dtype=dtype, device="cpu", quantize=quantize)
    assert lm.dtype.startswith(f"{dtype}, {quantize[0]}-bit ")


@needs_bitsandbytes
def test_8_bits_multiply_whole_numbers_of_weights_and_of_states(saved, reads):
    lm = load_model(saved, device="cpu", quantize="8bit")
    assert (lm.dtype, lm.check.tolerance) == ("float32, 8-bit by bitsandbytes", 5e-2)
    whole = projections(tiny_model("qwen3", **SIZES))
    held = projections(lm.model)
    assert held.keys() == whole.keys()
    for name, linear in whole.items():
        states = torch.randn(2, 9, linear.in_features, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            ours, expected = held[name](states), Int8(linear)(states)
            rounding = (linear(states) - expected).abs().median()
        # The median: what lies between two whole numbers may fall to either side.
        assert (ours - expected).abs().median() < 0.1 * rounding, name


@needs_bitsandbytes
def test_8_bit_scores_do_not_change_with_the_batch_though_states_have_outliers(saved, reads):
    lm = load_model(saved, device="cpu", quantize="8bit")
    for name, weight in lm.model.named_parameters():
        if "layernorm" in name:
            weight.data[3] *= 40  # far over 6, where LLM.int8 sees an outlier
    alone, other = torch.arange(2, 12)[None], torch.arange(300, 310)[None]
    with torch.no_grad():
        batch = lm.model(torch.cat([alone, other])).logits[0]
        assert close(batch, lm.model(alone).logits[0])


@needs_bitsandbytes
@pytest.mark.parametrize("quantize", ["8bit", "4bit"])
def test_the_memory_told_beforehand_is_what_is_taken(saved, reads, quantize):
    model = load_model(saved, device="cpu", quantize=quantize).model
    taken = model.get_memory_footprint(return_buffers=False)
    assert memory_needed(saved) > 1.5 * memory_needed(saved, quantize)
    # Scales are few beside real weights, and are not parameters.
    assert memory_needed(saved, quantize) == pytest.approx(taken, rel=0.1)


@needs_bitsandbytes
def test_a_run_says_in_how_many_bits_it_was_and_is_another_run(saved, reads, tmp_path):
    puzzles, store = [puzzle(), puzzle(puzzle_id="p2", split="validation")], tmp_path / "s.duckdb"
    ids = [
        precompute(lm, puzzles, store, puzzle_set="two", show_progress=False)
        for lm in (load_model(saved), load_model(saved, quantize="4bit"))
    ]
    with ResultStore.open(store) as opened:
        dtypes = opened.runs().set_index("run_id")["dtype"]
    assert dtypes[ids].tolist() == ["float32", "float32, 4-bit nf4 by bitsandbytes"]


@needs_bitsandbytes
def test_a_model_that_does_not_read_is_refused_in_few_bits_and_taken_in_many(saved, capsys):
    assert main(["check", "--model", str(saved), "--quantize", "8bit"]) == 2
    said = capsys.readouterr().err
    assert "error: tiny (8-bit by bitsandbytes) does not read plain English: " in said
    assert said.count("\n") == 1
    assert load_model(saved).dtype == "float32"


@needs_bitsandbytes
def test_a_checkpoint_that_was_saved_in_8_bits_loads_as_it_came(saved, reads, tmp_path):
    load_model(saved, quantize="8bit").model.save_pretrained(tmp_path / "eight")
    tiny_tokenizer().save_pretrained(tmp_path / "eight")
    lm = load_model(tmp_path / "eight")
    assert lm.dtype == "float32, 8-bit by bitsandbytes"
    with pytest.raises(UnsupportedModelError, match=r"comes quantised \(8-bit by bitsandbytes\)"):
        load_model(tmp_path / "eight", quantize="4bit")


def test_quantising_without_its_package_is_one_sentence(saved, monkeypatch):
    monkeypatch.setattr(quantising, "_is_installed", lambda _: False)
    with pytest.raises(
        UnsupportedModelError,
        match=r"^quantize '4bit' needs bitsandbytes: pip install bitsandbytes$",
    ):
        load_model(saved, quantize="4bit")


def test_a_way_to_quantise_that_is_not_known_is_refused(saved):
    with pytest.raises(UnsupportedModelError, match="quantize '2bit' is not known; use 8bit or"):
        load_model(saved, quantize="2bit")


def test_a_checkpoint_in_fp8_is_scored_as_the_numbers_it_stands_for(tmp_path, reads):
    model = tiny_model("qwen3", **SIZES)
    told = {"quant_method": "fp8", "weight_block_size": [16, 16], "activation_scheme": "dynamic"}
    rewrite(tmp_path, model, "proj.weight", fp8, told)
    tiny_tokenizer().save_pretrained(tmp_path)
    lm = load_model(tmp_path, device="cpu")
    assert (lm.dtype, reads[0][1]) == ("float32 from fp8", "from fp8")
    expected = score_puzzle(load.vouch_for(model, tiny_tokenizer(), "by hand"), puzzle())
    ours = score_puzzle(lm, puzzle())
    assert close(ours.qk, expected.qk)
    assert close(ours.logits, expected.logits)


@pytest.mark.parametrize("which", ["gate_up_proj", "down_proj"])
def test_a_checkpoint_in_mxfp4_is_scored_as_the_numbers_it_stands_for(tmp_path, reads, which):
    name = next(name for name in SUPPORTED if name.startswith("gpt_oss"))
    model = made(name.split()[0], SUPPORTED[name][1] | dict(hidden_size=64, intermediate_size=64))
    told = {"quant_method": "mxfp4"}
    rewrite(tmp_path, model, f"experts.{which}", mxfp4, told)
    tiny_tokenizer().save_pretrained(tmp_path)
    lm = load_model(tmp_path, device="cpu")
    assert (lm.dtype, reads[0][1]) == ("float32 from mxfp4", "from mxfp4")
    expected = score_puzzle(load.vouch_for(model, tiny_tokenizer(), "by hand"), puzzle())
    assert close(score_puzzle(lm, puzzle()).qk, expected.qk)


@pytest.mark.skipif(
    importlib.util.find_spec("compressed_tensors") is None,
    reason="needs the package compressed-tensors",
)
def test_compressed_tensors_are_scored_as_the_numbers_they_stand_for(tmp_path, reads):
    weights = {"num_bits": 4, "type": "int", "symmetric": True, "strategy": "channel"}
    told = {
        "quant_method": "compressed-tensors",
        "format": "pack-quantized",
        "quantization_status": "compressed",
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights}},
        "ignore": ["lm_head"],
    }
    model = tiny_model("qwen3", **SIZES)
    rewrite(tmp_path, model, "proj.weight", packed_int4, told)
    tiny_tokenizer().save_pretrained(tmp_path)
    lm = load_model(tmp_path, device="cpu")
    assert lm.dtype == "float32, 4-bit by compressed-tensors"
    expected = score_puzzle(load.vouch_for(model, tiny_tokenizer(), "by hand"), puzzle())
    assert close(score_puzzle(lm, puzzle()).qk, expected.qk)


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        (
            {"quant_method": "gptq", "bits": 4},
            "comes quantised by gptq, which needs gptqmodel and optimum: "
            "pip install gptqmodel optimum",
        ),
        (
            {"quant_method": "awq", "bits": 4},
            "comes quantised by awq, which needs gptqmodel: pip install gptqmodel",
        ),
        (
            {"quant_method": "compressed-tensors"},
            "comes quantised by compressed-tensors, which needs compressed-tensors: "
            "pip install compressed-tensors",
        ),
    ],
)
def test_a_quantised_checkpoint_names_the_package_that_it_needs(
    told, sentence, saved, monkeypatch, capsys
):
    monkeypatch.setattr(quantising, "_is_installed", lambda _: False)
    say(saved, told)
    assert main(["check", "--model", str(saved)]) == 2
    assert capsys.readouterr().err == f"qkscope check: error: {saved} {sentence}\n"


@pytest.mark.parametrize(
    ("told", "name"),
    [
        (None, None),
        ({"quant_method": "gptq", "bits": 4}, "4-bit by gptq"),
        ({"quant_method": "awq", "w_bit": 4}, "4-bit by awq"),
        ({"quant_method": "mxfp4"}, "mxfp4"),
        (
            {
                "quant_method": "compressed-tensors",
                "config_groups": {"group_0": {"weights": {"num_bits": 8}}},
            },
            "8-bit by compressed-tensors",
        ),
        ({"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}, "4-bit nf4 by bitsandbytes"),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "8-bit by bitsandbytes"),
    ],
)
def test_a_run_calls_few_bits_by_what_its_configuration_says(told, name):
    config = PreTrainedConfig() if told is None else PreTrainedConfig(quantization_config=told)
    assert quantising.quantised(config) == name
