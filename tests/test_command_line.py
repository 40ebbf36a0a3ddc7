import io
import json
import re

import numpy as np
import pytest

from qkcore.__main__ import main
from qkcore.attention.load import load_model
from qkcore.puzzles.puzzle import load_puzzles, puzzle_set_sha256
from qkcore.puzzles.twin import parent_of
from qkcore.scoring.score import score_puzzle
from tests.tiny import puzzle, tiny_model, tiny_tokenizer

TYPED = "Context: Max is a wumpus. Every wumpus is a tumpus.\nStatement: Max is a tumpus.\n"


def test_score_prints_what_score_puzzle_computes(tiny_folder, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO(TYPED))
    assert main(["score", "--model", str(tiny_folder), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    asked = puzzle("Max is a tumpus.", context="Max is a wumpus. Every wumpus is a tumpus.")
    expected = score_puzzle(load_model(tiny_folder), asked)
    assert printed["candidates"] == ["true", "false"]
    assert [(h["layer"], h["head"]) for h in printed["heads"]] == [
        (n, h) for n in range(3) for h in range(4)
    ]
    np.testing.assert_allclose(
        [h["scores"] for h in printed["heads"]], expected.qk.reshape(-1, 2), atol=1e-5
    )
    np.testing.assert_allclose(printed["model"]["logits"], expected.logits, atol=1e-5)
    assert printed["key_token"] == "\n"
    assert printed["rope"] == "pre"


def test_score_says_which_number_is_which(tiny_folder, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO(TYPED))
    assert main(["score", "--model", str(tiny_folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + 12
    assert re.fullmatch(r"L2 H3: (true|false) \(true -?\d+\.\d{3}, false -?\d+\.\d{3}\)", lines[-1])


def test_score_takes_a_puzzle_as_json_with_its_own_candidates(tiny_folder, monkeypatch, capsys):
    row = {"context": "Ben drinks.", "statement": "Does Ben drink?", "candidates": ["yes", "no"]}
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(row)))
    assert main(["score", "--model", str(tiny_folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["candidates"] == ["yes", "no"]


def test_check_shows_geometry_tokens_and_the_self_check(tiny_folder, capsys):
    assert main(["check", "--model", str(tiny_folder)]) == 0
    printed = capsys.readouterr().out
    for part in [
        "3, each 4 heads and 1 kv heads",
        "head size: 18 dims",
        "positions: at most 512",
        "sliding window: none",
        "scores: raw projections, before rotary and after rotary",
        "candidates share a pass: yes",
        "lens: yes; after the last layer it differs from the model's own logits by ",
        "asked as: plain text",
        "'Answer', ':'",
        "candidates: [[' true'], [' false']]",
        "key token: '\\n', the last before the cue",
        "self-check: passed",
        "float32 on cpu",
    ]:
        assert part in printed


def test_generate_writes_a_file_that_loads(tmp_path, capsys):
    arguments = [
        "--steps",
        "1-2",
        "--distractors",
        "0",
        "--n",
        "8",
        "--out",
        str(tmp_path / "g.jsonl"),
    ]
    assert main(["generate", *arguments]) == 0
    puzzles = load_puzzles(tmp_path / "g.jsonl")
    assert len(puzzles) == 16
    assert "16 puzzles, 8 validation and 8 test" in capsys.readouterr().out


def test_balance_writes_a_twin_that_can_be_scored_and_says_how_it_came_about(
    tiny_folder, tmp_path, capsys
):
    parent, twin, store = (tmp_path / name for name in ("p.jsonl", "t.jsonl", "s.duckdb"))
    main(["generate", "--steps", "1-2", "--n", "8", "--out", str(parent)])
    assert main(["balance", "--puzzles", str(parent), "--out", str(twin)]) == 0
    printed = capsys.readouterr().out
    assert "16 puzzles, 8 validation and 8 test" in printed
    assert "open world: of the parent's answers, 16 can tell; the solver gives 16" in printed
    assert "4 of 4 contexts used, 4 statements of each of the four kinds" in printed
    assert parent_of(load_puzzles(twin)) == puzzle_set_sha256(load_puzzles(parent))
    scored = ["--model", str(tiny_folder), "--puzzles", str(twin), "--store", str(store)]
    assert main(["precompute", *scored, "--quiet"]) == 0


def test_balance_of_what_nobody_can_read_ends_in_one_sentence_with_counts(tmp_path, capsys):
    row = {"context": "If it rains, Ben has an umbrella.", "statement": "Is Ben dry?"}
    row |= {"candidates": ["yes", "no"], "answer": "yes"}
    (tmp_path / "p.jsonl").write_text(json.dumps(row) + "\n")
    paths = ["--puzzles", str(tmp_path / "p.jsonl"), "--out", str(tmp_path / "t.jsonl")]
    assert main(["balance", *paths]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(
        f"qkscope balance: error: {tmp_path / 'p.jsonl'}: no twin can be made: none of the 1 "
        "contexts (1 puzzles) can be used; the first, of line-1: cannot read"
    )
    assert not (tmp_path / "t.jsonl").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["precompute", "--model", "M", "--puzzles", "none.jsonl", "--store", "s.duckdb"],
            "none.jsonl: cannot be read",
        ),
        (["check", "--model", "./nowhere"], "./nowhere is not a folder"),
        (["import", "prontoqa", "nowhere", "--out", "x.jsonl"], "nowhere"),
        (["balance", "--puzzles", "a.jsonl", "--out", "./a.jsonl"], "would replace the parent's"),
        (["balance", "--puzzles", "none.jsonl", "--out", "t.jsonl"], "none.jsonl: cannot be read"),
        (["generate", "--steps", "9", "--out", "x.jsonl"], "9"),
        (["generate", "--out", "no/folder/x.jsonl"], "no/folder"),
    ],
)
def test_bad_input_gets_one_line_and_status_2(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert captured.err.startswith(f"qkscope {arguments[0]}: error: ")
    assert message in captured.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "typed",
    ["", "Context: only.", "{", '{"context": 3, "statement": "x"}', "Context:\nStatement: x"],
)
def test_a_puzzle_that_cannot_be_read_is_refused(typed, tiny_folder, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    assert main(["score", "--model", str(tiny_folder)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("command", ["precompute", "ablate"])
@pytest.mark.parametrize("option", ["--workers", "--address", "--gpus-per-model"])
def test_options_of_ray_without_ray_are_refused_and_not_ignored(command, option, capsys):
    line = [command, "--model", "m", "--puzzles", "p.jsonl", "--store", "s.duckdb", option, "2"]
    line += ["--heads", "chosen"] if command == "ablate" else []
    assert main(line) == 2
    assert f"{option} is for --engine ray alone" in capsys.readouterr().err


def test_a_store_in_a_missing_folder_is_refused_before_scoring(tiny_folder, tmp_path, capsys):
    main(["generate", "--n", "4", "--out", str(tmp_path / "g.jsonl")])
    arguments = [
        "--model",
        str(tiny_folder),
        "--puzzles",
        str(tmp_path / "g.jsonl"),
        "--store",
        str(tmp_path / "a/b.duckdb"),
    ]
    assert main(["precompute", *arguments]) == 2
    assert "there is no folder" in capsys.readouterr().err


def test_check_reads_as_much_english_as_a_model_reaches(tmp_path, capsys):
    tiny_model("gpt2", n_positions=60).save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    assert main(["check", "--model", str(tmp_path), "--template", "{context} {statement} So:"]) == 0
    assert "nats a token" in capsys.readouterr().out
