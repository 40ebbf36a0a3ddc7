"""Permutation accuracy on planted scores: what must come out can be counted in the head."""

from dataclasses import replace

import numpy as np
import pytest

from qkcore import InputError
from qkcore.__main__ import main
from qkcore.puzzles.multiple_choice import generate_options, in_orders
from qkcore.puzzles.puzzle import load_puzzles, save_puzzles
from qkcore.results.orders import permutation_accuracy
from qkcore.results.store import ResultStore
from tests.stores import N_HEADS, N_LAYERS, planted_run, publish_parts, write_parts

ORDERS = 4


def published(folder, puzzles, template="{options}"):
    """A store in which L1 H2 is right but in one order of every second question.

    The model always says A.
    """
    qk = np.zeros((len(puzzles), N_LAYERS * N_HEADS, 4), dtype=np.float32)
    logits = np.zeros((len(puzzles), 4), dtype=np.float32)
    logits[:, 0] = 1.0
    for index, puzzle in enumerate(puzzles):
        question, order = divmod(index, ORDERS)
        is_wrong = question % 2 and order == 1
        qk[index, 1 * N_HEADS + 2, (puzzle.answer + bool(is_wrong)) % 4] = 1.0
        qk[index, 0, 3] = 1.0  # L0 H0 says D; all other heads tie, which is wrong
    path = folder / "orders.duckdb"
    parts = write_parts(path.with_suffix(".parts"), puzzles, qk, logits)
    publish_parts(path, planted_run(puzzles, template=template), puzzles, parts)
    return path


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    puzzles = in_orders(generate_options(1, 0, n=80))
    return published(tmp_path_factory.mktemp("orders"), puzzles)


def test_a_head_that_fails_in_one_order_of_four_fails_the_question(path):
    with ResultStore.open(path) as store:
        head, model, _ = permutation_accuracy(store, "planted-1").to_dict("records")
    assert head["who"] == "L1 H2"
    assert (head["n_questions"], head["n_orders"], head["n_options"]) == (40, 4, 4)
    assert head["accuracy"] == pytest.approx(7 / 8)
    assert head["every"] == pytest.approx(1 / 2)
    assert head["every_low"] < 1 / 2 < head["every_high"]
    assert model["accuracy"] == pytest.approx(1 / 4)  # each option is A in one order of four
    assert model["every"] == 0


def test_the_command_says_it_beside_guessing(path, capsys):
    assert main(["permutations", "--store", str(path), "--run", "planted-1"]) == 0
    first, few, head, *_, guess = capsys.readouterr().out.replace("\xa0", " ").splitlines()
    assert first.startswith("40 test questions, each in 4 orders of its options")
    assert few == "Too few puzzles to say: 40 questions in 10 groups, and intervals need 20 groups."
    assert head.startswith("L1 H2: 87.5 % (")
    assert "; in every order 50.0 % (" in head
    assert guess.endswith(
        "25.0 %; in every order 25.0 % by an option's text, 0.4 % anew each time, and 0.0 % by its "
        "letter"
    )


def test_enough_groups_need_no_caution(tmp_path, capsys):
    path = published(tmp_path, in_orders(generate_options(1, 0, n=160)))
    assert main(["permutations", "--store", str(path), "--run", "planted-1"]) == 0
    assert "Too few" not in capsys.readouterr().out


def test_a_run_without_orders_is_refused_with_what_to_do(tmp_path, planted_path, capsys):
    path = published(tmp_path, generate_options(1, 0, n=160))
    assert main(["permutations", "--store", str(path), "--run", "planted-1"]) == 2
    assert "is in one order only; make a puzzle file with `qkscope permute`" in (
        capsys.readouterr().err
    )
    assert main(["permutations", "--store", str(planted_path), "--run", "planted-1"]) == 2
    assert "with --roles answer, where the order of options is not read; score its puzzles " in (
        capsys.readouterr().err
    )


def test_a_run_that_is_not_there_is_told_with_the_nearest(path, capsys):
    assert main(["permutations", "--store", str(path), "--run", "plant-1"]) == 2
    assert "no run 'plant-1'; the nearest of its 1: planted-1" in capsys.readouterr().err


def test_questions_in_other_numbers_of_orders_are_refused(tmp_path):
    puzzles = in_orders(generate_options(1, 0, n=40))
    path = published(tmp_path, puzzles[:-1])
    with (
        ResultStore.open(path) as store,
        pytest.raises(InputError, match=r"is in 3 orders, .* in 4; make the file anew"),
    ):
        permutation_accuracy(store, "planted-1")


def test_a_puzzle_file_is_put_into_orders(tmp_path, capsys):
    source, target = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    made = ["generate", "--options", "3", "--n", "6", "--out", str(source)]
    assert main(made) == 0
    asked = ["permute", "--puzzles", str(source), "--out", str(target), "--never-right"]
    assert main(asked) == 0
    assert capsys.readouterr().out.endswith("6 questions, 18 puzzles\n")
    assert {len(one.candidates) for one in load_puzzles(target)} == {5}
    assert main([*asked[:3], "--out", str(source)]) == 2
    assert "--out would replace" in capsys.readouterr().err


def test_a_file_that_cannot_be_put_into_orders_is_named(tmp_path, capsys):
    one = replace(generate_options(1, 0, n=1)[0], puzzle_id="a~1")
    save_puzzles([one], tmp_path / "a.jsonl")
    asked = ["permute", "--puzzles", str(tmp_path / "a.jsonl"), "--out", str(tmp_path / "b.jsonl")]
    assert main(asked) == 2
    assert "a.jsonl: puzzle 'a~1' is one of several" in capsys.readouterr().err
