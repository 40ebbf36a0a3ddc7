"""A GGUF file gives the model it was made of.

Tokens, logits and scores are those of the original, its weights rounded as the file's are.
"""

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast
from transformers.models.auto import CONFIG_MAPPING

from qkcore.attention import english_check
from qkcore.attention.english_check import EnglishCheck
from qkcore.attention.geometry import UnsupportedModelError
from qkcore.attention.gguf_config import say_all
from qkcore.attention.load import load_model, vouch_for
from qkcore.results.store import ResultStore
from qkcore.scoring.precompute import precompute
from qkcore.scoring.score import score_puzzle
from tests.attention.gguf_models import GGUF_SIZES, gguf_model, gguf_tokenizer
from tests.attention.gguf_writer import rounded, write_gguf
from tests.tiny import puzzle

TEXTS = [
    puzzle().context,
    "Decide from the context whether the statement is true or false.\nContext: Max is a wumpus.",
    " Every  wumpus\n\nis 12 years\told, isn't it? Métal, 日本.  ",
    "",
]
SCALED = dict(rope_type="linear", factor=8.0, rope_theta=1_000_000.0)
LOCAL = dict(rope_type="default", rope_theta=10_000.0)
LLAMA_3 = dict(
    rope_type="llama3",
    rope_theta=500_000.0,
    factor=32.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=8192,
)
# What transformers would leave at its own default, without a word.
SAID = {
    "llama 3's rotary frequencies": ("llama", dict(rope_parameters=LLAMA_3)),
    "linear rotary scaling": ("llama", dict(rope_parameters=SCALED)),
    "rotary scaling of full layers": (
        "gemma3_text",
        dict(n_layers=7, rope_parameters={"full_attention": SCALED, "sliding_attention": LOCAL}),
    ),
    "partial rotary": ("phi3", dict(rope_parameters=LOCAL | {"partial_rotary_factor": 0.5})),
    "no window": ("phi3", dict(sliding_window=None)),
    "soft caps": ("gemma2", dict(attn_logit_softcapping=3.0, final_logit_softcapping=5.0)),
}


@pytest.fixture
def unchecked(monkeypatch):
    """Random models read no English; what they are asked is left out."""
    monkeypatch.setattr(english_check, "require_english", lambda *_: EnglishCheck(1.0, 2.0, 3.0))


def loaded(folder, model, tokenizer, kind, **said):
    """A model by way of a GGUF file."""
    path = write_gguf(folder / f"tiny.{kind}.gguf", model, tokenizer, kind, **said)
    return load_model(path, device="cpu", cache=folder / "cache")


def logits_of(model, tokenizer):
    tokens = torch.tensor([tokenizer(TEXTS[0])["input_ids"]])
    with torch.no_grad():
        return model(input_ids=tokens).logits


def assert_same(ours, theirs, tokenizer):
    for text in TEXTS:
        assert ours.tokenizer(text)["input_ids"] == tokenizer(text)["input_ids"], text
    torch.testing.assert_close(
        logits_of(ours.model, tokenizer), logits_of(theirs, tokenizer), atol=1e-5, rtol=1e-5
    )
    original = vouch_for(theirs, tokenizer, "original")
    for rope in original.geometry.ropes:
        expected = score_puzzle(original, puzzle(), rope=rope)
        found = score_puzzle(ours, puzzle(), rope=rope)
        np.testing.assert_allclose(found.qk, expected.qk, atol=1e-5, rtol=1e-5)
        np.testing.assert_allclose(found.logits, expected.logits, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["F16", "Q8_0"])
@pytest.mark.parametrize("model_type", GGUF_SIZES)
def test_a_file_gives_the_model_it_was_made_of(model_type, kind, tmp_path, unchecked):
    model, tokenizer = gguf_model(model_type), gguf_tokenizer(model_type)
    ours = loaded(tmp_path, model, tokenizer, kind)
    assert (ours.name, ours.dtype) == (f"tiny.{kind}", f"float32 from {kind}")
    assert_same(ours, rounded(model, kind), tokenizer)


@pytest.mark.parametrize("case", SAID)
def test_what_a_file_says_of_its_model_is_heeded(case, tmp_path, unchecked):
    model_type, changes = SAID[case]
    model, tokenizer = gguf_model(model_type, **changes), gguf_tokenizer(model_type)
    assert_same(loaded(tmp_path, model, tokenizer, "F32"), model, tokenizer)


@pytest.mark.parametrize(
    ("model_type", "said", "scalar"),  # the published configurations' query_pre_attn_scalar
    [
        ("gemma2", dict(n_layers=26, hidden_size=2304, n_heads=8, head_dim=256), 256),
        ("gemma2", dict(n_layers=46, hidden_size=4608, n_heads=32, head_dim=128), 144),
        ("gemma3_text", dict(n_layers=34, hidden_size=2560, n_heads=8, head_dim=256), 256),
        ("gemma3_text", dict(n_layers=62, hidden_size=5376, n_heads=32, head_dim=128), 168),
    ],
)
def test_gemmas_products_are_scaled_as_published(model_type, said, scalar):
    config = CONFIG_MAPPING[model_type]()
    words = {
        "block_count": said["n_layers"],
        "embedding_length": said["hidden_size"],
        "attention.head_count": said["n_heads"],
        "attention.key_length": said["head_dim"],
    }
    say_all(config, model_type.removesuffix("_text"), words)
    assert config.query_pre_attn_scalar == scalar


@pytest.mark.parametrize(
    ("model_type", "said", "message"),
    [
        ("llama", {"rope.scaling.type": "yarn", "rope.scaling.factor": 4.0}, r"scaling \(yarn\)"),
        ("llama", {"rope.dimension_count": 8}, "it turns 8 of the 32 dims of a head"),
        ("llama", {"attention.sliding_window": 9}, "attention.sliding_window = 9, and none of"),
        ("llama", {"attention.value_length": 16}, "values have another length than its keys"),
        ("llama", {"attention.causal": False}, "is not causal"),
        ("llama", {"expert_count": 8}, "says expert_count = 8, for which transformers' llama has"),
        ("llama", {"attention.scale": 0.5}, "says attention.scale = 0.5"),
        ("llama", {"attention.head_count_kv": [2, 2, 1]}, "cannot be read from its GGUF file"),
        ("llama", {"attention.head_count": 4}, "cannot be read from its GGUF file"),
        ("gpt2", {"attention.head_count_kv": 2}, "says attention.head_count_kv = 2"),
        ("gpt2", {"rope.freq_base": 10_000.0}, "says rope.freq_base = 10000"),
    ],
)
def test_what_no_configuration_can_say_is_refused(model_type, said, message, tmp_path, unchecked):
    model, tokenizer = gguf_model(model_type), gguf_tokenizer(model_type)
    with pytest.raises(UnsupportedModelError, match=message) as refusal:
        loaded(tmp_path, model, tokenizer, "F16", **said)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "said",
    [
        {"rope.scaling.type": "none", "rope.scaling.factor": 4.0},
        {"rope.scaling.type": "linear", "rope.scaling.factor": 1.0},
        {"rope.scaling.finetuned": False, "expert_count": 0, "pooling_type": 0},
        {"attention.sliding_window": 4096, "attention.causal": True},
        {"vocab_size": None, "tensor_data_layout": "Meta AI original pth"},
    ],
)
def test_what_changes_no_number_is_not_refused(said, tmp_path, unchecked):
    model, tokenizer = gguf_model("llama"), gguf_tokenizer("llama")
    assert_same(loaded(tmp_path, model, tokenizer, "F32", **said), model, tokenizer)


def test_weights_that_nobody_reads_are_refused(tmp_path, unchecked):
    model = gguf_model("llama", attention_bias=True)
    with pytest.raises(UnsupportedModelError, match=r"12 of its weights .* blk\.0\.attn_k\.bias"):
        loaded(tmp_path, model, gguf_tokenizer("llama"), "F16")


def test_weights_that_are_missing_are_refused(tmp_path, unchecked):
    model = gguf_model("qwen2")
    model.named_parameters = lambda: [
        one for one in type(model).named_parameters(model) if "layers.1.mlp.up" not in one[0]
    ]
    with pytest.raises(UnsupportedModelError, match=r"1 weights are missing .*layers\.1\.mlp\.up"):
        loaded(tmp_path, model, gguf_tokenizer("qwen2"), "F16")


def test_other_rotary_frequencies_than_llama_3s_are_refused(tmp_path, unchecked):
    model = gguf_model("llama", rope_parameters=LLAMA_3 | {"high_freq_factor": 2.0})
    with pytest.raises(UnsupportedModelError, match="are not those of Llama 3"):
        loaded(tmp_path, model, gguf_tokenizer("llama"), "F16")


@pytest.mark.parametrize("missing", ["tokenizer.ggml.tokens", "tokenizer.ggml.merges"])
def test_a_file_without_its_tokenizer_is_refused(missing, tmp_path, unchecked):
    model, tokenizer = gguf_model("llama"), gguf_tokenizer("llama")
    with pytest.raises(UnsupportedModelError, match="cannot be read from its GGUF file"):
        loaded(tmp_path, model, tokenizer, "F16", **{missing: None})


def test_files_beside_it_are_not_read(tmp_path, unchecked):
    model, tokenizer = gguf_model("qwen2"), gguf_tokenizer("qwen2")
    for other in (tokenizer, gguf_tokenizer("gemma2"), gguf_model("qwen2", seed=3)):
        other.save_pretrained(tmp_path)
    assert_same(loaded(tmp_path, model, tokenizer, "F32"), model, tokenizer)


def learned(pre_tokenizer, texts):
    """A tokenizer of bytes that learned its merges from texts cut so."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizer
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    backend.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=400, special_tokens=["<s>"], initial_alphabet=alphabet, show_progress=False
        ),
    )
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>")


def test_digits_stand_alone_where_the_file_says_smollm(tmp_path, unchecked):
    by_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False)
    digits = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), by_bytes])
    tokenizer, text = learned(digits, ["a  12  b  34"] * 9), "a  12  b"
    model = gguf_model("llama")
    said = {"tokenizer.ggml.pre": "smollm"}
    assert_same(loaded(tmp_path, model, tokenizer, "F32", **said), model, tokenizer)
    ours = load_model(tmp_path / "tiny.F32.gguf", cache=tmp_path / "cache").tokenizer
    assert ours.tokenize(text) == ["a", "ĠĠ", "1", "2", "Ġ", "Ġb"]
    ours.backend_tokenizer.pre_tokenizer = by_bytes  # as transformers leaves it
    assert ours.tokenize(text) == ["a", "Ġ", "Ġ", "1", "2", "Ġ", "Ġb"]


def test_a_text_begins_as_llama_3_has_it_where_the_file_does_not_say(tmp_path, unchecked):
    model, tokenizer = gguf_model("llama"), gguf_tokenizer("llama")
    said = {"tokenizer.ggml.pre": "llama-bpe", "tokenizer.ggml.add_bos_token": None}
    ours = loaded(tmp_path, model, tokenizer, "F16", **said).tokenizer
    assert ours("Max")["input_ids"] == [tokenizer.bos_token_id, *tokenizer("Max")["input_ids"]]
    assert ours.backend_tokenizer.model.ignore_merges


def test_a_way_to_cut_text_that_is_not_known_is_refused(tmp_path, unchecked):
    model, tokenizer = gguf_model("llama"), gguf_tokenizer("llama")
    for name in ("deepseek-llm", None):
        with pytest.raises(UnsupportedModelError, match=rf"not known here .*pre = {name}\)"):
            loaded(tmp_path, model, tokenizer, "F16", **{"tokenizer.ggml.pre": name})


def test_a_run_records_the_files_hash_and_what_its_weights_were(tmp_path, unchecked):
    lm = loaded(tmp_path, gguf_model("qwen2"), gguf_tokenizer("qwen2"), "Q8_0")
    store = tmp_path / "s.duckdb"
    precompute(lm, [puzzle()], store, puzzle_set="one", show_progress=False)
    with ResultStore.open(store) as results:
        (run,) = results.runs().to_dict("records")
    assert (run["model"], run["dtype"]) == ("tiny.Q8_0", "float32 from Q8_0")
    assert run["model_revision"] == lm.revision
    assert lm.revision.startswith("sha256:")


def test_another_type_may_be_asked_for(tmp_path, unchecked):
    model, tokenizer = gguf_model("qwen2"), gguf_tokenizer("qwen2")
    path = write_gguf(tmp_path / "tiny.gguf", model, tokenizer, "F16")
    assert load_model(path, dtype="bfloat16", cache=tmp_path).dtype == "bfloat16 from F16"
