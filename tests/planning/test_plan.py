"""What a plan counts, against numbers worked out by hand or counted another way."""

import json

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, MixtralConfig

from qkcore import generate_puzzles, load_model, save_puzzles
from qkcore.__main__ import main
from qkcore.attention.rows import rows_of
from qkcore.planning.asked import alike, counted, cut_evenly
from qkcore.planning.cost import cost_of
from qkcore.planning.machine import PEAKS, given_machine, known_machine
from qkcore.planning.plan import Plan, advice
from qkcore.planning.shape import USUAL, shape_of_model, shape_of_size
from qkcore.scoring.score import prompts_of
from tests.tiny import SIZES, puzzle

LLAMA = dict(
    vocab_size=420, num_hidden_layers=3, intermediate_size=64, **SIZES["llama"],
    max_position_embeddings=512,
)  # fmt: skip


def saved(config, folder):
    """A folder that holds a config.json and nothing else."""
    config.architectures = None
    config.save_pretrained(folder)
    assert [path.name for path in folder.iterdir()] == ["config.json"]
    return folder


@pytest.mark.parametrize("is_tied", [False, True])
def test_a_configuration_alone_gives_the_weights_of_the_model(tmp_path, is_tied):
    config = LlamaConfig(**LLAMA, tie_word_embeddings=is_tied)
    shape = shape_of_model(saved(config, tmp_path))
    made = AutoModelForCausalLM.from_config(config)
    output = 420 * 48
    assert shape.n_params == sum(weight.numel() for weight in made.parameters())
    assert shape.n_active == shape.n_inside == shape.n_params - output * (1 if is_tied else 2)
    assert (shape.n_output, shape.n_scored, shape.head_size) == (output, 18, 10)
    assert shape_of_model(tmp_path / "config.json") == shape_of_model(tmp_path)


def test_of_experts_those_count_that_a_token_goes_through(tmp_path):
    config = MixtralConfig(
        vocab_size=420, hidden_size=48, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, num_local_experts=8, num_experts_per_tok=2,
    )  # fmt: skip
    shape = shape_of_model(saved(config, tmp_path))
    # An expert is three matrices of 48 x 64; six of eight are not used, in two layers.
    assert shape.n_inside - shape.n_active == 2 * 6 * 3 * 48 * 64
    assert shape.inner == 2 * 64


def test_usual_shapes_hold_the_weights_that_their_numbers_give():
    for usual in USUAL:
        attention = usual.hidden * usual.head_size * 2 * (usual.n_heads + usual.n_kv_heads)
        layers = usual.n_layers * (attention + 3 * usual.hidden * usual.inner)
        assert usual.n_inside == pytest.approx(layers, rel=0.01), usual.name


def test_operations_are_those_that_torch_counts(tmp_path):
    from torch.utils.flop_counter import FlopCounterMode

    shape = shape_of_model(saved(LlamaConfig(**LLAMA), tmp_path))
    model = AutoModelForCausalLM.from_config(LlamaConfig(**LLAMA), attn_implementation="eager")
    ids = torch.zeros(2, 40, dtype=torch.int64)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(input_ids=ids, logits_to_keep=1, use_cache=False)
    asked = alike(2, 40, batch_tokens=512)
    assert asked.n_passes == 1
    # Norms and the like are no matrix products: within two in a hundred.
    assert cost_of(shape, asked, "float32").forward_flops == pytest.approx(
        counter.get_total_flops(), rel=0.02
    )


def test_a_file_is_counted_as_scoring_lays_it_out(tiny_folder):
    tiny_lm = load_model(tiny_folder)
    puzzles = generate_puzzles(steps=range(1, 3), distractors=0, n=40)
    found = counted(puzzles, tiny_lm.tokenizer, batch_tokens=1)  # every row is a pass
    n_alone = [rows_of([[one]]).tokens.shape[1] for one in prompts_of(tiny_lm, puzzles)]
    assert found.n_unpacked == sum(n_alone)
    assert found.n_tokens < found.n_unpacked  # statements of one context share it
    assert found.n_passes < len(puzzles)
    assert sum(found.shards) == found.n_tokens
    assert len(found.shards) == found.n_shards == 2


def test_without_a_tokenizer_puzzles_of_one_context_still_share_a_row():
    same = [puzzle(f"Max is {word}.", puzzle_id=word) for word in ("red", "big", "old", "shy")]
    others = [
        puzzle(one.statement, puzzle_id=one.puzzle_id, context=f"{one.puzzle_id} {one.context}")
        for one in same
    ]
    packed, alone = counted(same, None, 512), counted(others, None, 512)
    assert packed.n_tokens < alone.n_tokens / 1.5
    assert packed.n_unpacked == sum(cut_evenly(one).n_tokens for one in same)
    assert "assumed" in packed.source


def planned(size="70B", gpu="h100-80gb", n=8, width="bfloat16", n_puzzles=100_000):
    asked, shape = alike(n_puzzles, 250, 16_384), shape_of_size(size)
    return Plan(shape, asked, cost_of(shape, asked, width), known_machine(gpu, n), width)


def test_a_large_model_is_spread_and_its_gpus_take_turns():
    whole, spread = planned(gpu="mi300x-192gb"), planned()
    assert (whole.n_spread, whole.n_models) == (1, 8)
    assert (spread.n_spread, spread.n_models) == (3, 2)
    assert "with fewer --batch-tokens it fits into 2" in advice(spread)
    assert "3 GPUs of a model take turns" in advice(spread)
    # By hand: 2 operations a weight and token, 1.05, 40 % of 989e12 a second, two at work.
    by_hand = 1.05 * 2 * 68.5e9 * 25e6 / (0.4 * 989e12 * 2)
    assert spread.multiplying == pytest.approx(by_hand, rel=0.02)


def test_what_limits_is_said_and_what_to_buy():
    assert planned(n=1).limit == "memory"
    assert planned(n=1).n_models == 0
    assert "3 such GPUs" in advice(planned(n=1))
    assert planned(n=1, width="4bit").n_models == 1
    assert planned("1.5B", "rtx-4090", 1).limit == "compute"
    assert "up to 1,563 (one a shard)" in advice(planned("1.5B", "rtx-4090", 1))
    asked, shape = alike(1_000, 250, 250), shape_of_size("1.5B")
    slow = given_machine(100, 24, 20, 1, is_cpu=False)
    one = Plan(shape, asked, cost_of(shape, asked, "bfloat16"), slow, "bfloat16")
    assert one.limit == "memory bandwidth"
    # Every pass reads all weights (3.0 GB), and for each of 250 tokens in 28 layers 8 x 1,536 +
    # 4 x (12 + 2) x 128 + 5 x 8,960 values of two bytes (0.9 GB); at 20 GB a second.
    assert one.moving == pytest.approx(1_000 * (3.0 + 0.9) / 20, rel=0.01)


def test_twice_the_gpus_take_half_the_time():
    for gpu in PEAKS:
        one, two = planned("0.5B", gpu, 1), planned("0.5B", gpu, 2)
        assert two.scoring == pytest.approx(one.scoring / 2)


def test_the_command_prints_a_plan_and_what_was_not_measured(tmp_path, capsys):
    folder, file = tmp_path / "tiny", tmp_path / "puzzles.jsonl"
    folder.mkdir()
    saved(LlamaConfig(**LLAMA), folder)
    save_puzzles(generate_puzzles(steps=1, distractors=0, n=4), file)
    line = ["plan", "--model", str(folder), "--params", "1.5B", "--puzzles", str(file)]
    line += ["--gpu", "rtx-4090", "--mtbf-hours", "10"]
    assert main(line) == 0
    said = capsys.readouterr().out
    for expected in (
        "18 heads in 3 layers; counted from its configuration",
        "shape assumed from its size",
        "assumed shares of them",
        "limit: ",
        "buy: ",
        "torchrun: ",
        "(simulated, 20 runs)",
        "all 2 runs, one after the other: ",
        "Not measured: anything on a GPU",
    ):
        assert expected in said


GIVEN = "--params 1B --n-puzzles 9 --tokens 9 --gpu l4"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("--n-puzzles 9 --tokens 9 --gpu l4", "say which model"),
        ("--params huge --n-puzzles 9 --tokens 9 --gpu l4", "write it like 135M"),
        ("--params 1M --n-puzzles 9 --tokens 9 --gpu l4", "no usual shape"),
        ("--params 1B --n-puzzles 9 --gpu l4", "--n-puzzles N and --tokens T"),
        ("--params 1B --n-puzzles 0 --tokens 9 --gpu l4", "1 or more"),
        ("--params 1B --n-puzzles 9 --tokens 9", "--gpu NAME, or --tflops"),
        ("--params 1B --n-puzzles 9 --tokens 9 --gpu abacus", "not in the table"),
        (f"{GIVEN} --tflops 3", "leave --tflops"),
        (f"{GIVEN} --share 2", "at most 1"),
        (f"{GIVEN} --gpus 0", "1 or more"),
        (f"{GIVEN} --mtbf-hours 0", "above 0"),
        (f"{GIVEN} --candidates 1", "two or more"),
        (f"{GIVEN} --batch-tokens -1", "1 or more"),
        (f"{GIVEN} --model model.gguf", "GGUF"),
        (f"{GIVEN} --model /nowhere", "holds no config.json"),
    ],
)
def test_bad_input_is_one_sentence(line, why, capsys):
    assert main(["plan", *line.split()]) == 2
    said = capsys.readouterr().err
    assert why in said
    assert said.count("\n") == 1


def test_a_configuration_without_heads_is_refused(tmp_path, capsys):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "no-such-type"}))
    line = f"plan --model {tmp_path} --n-puzzles 9 --tokens 9 --gpu l4"
    assert main(line.split()) == 2
    assert "cannot be read" in capsys.readouterr().err
