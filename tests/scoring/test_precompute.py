import os
import re
import signal
import subprocess
import sys

import duckdb
import numpy as np
import pytest

from qkcore import InputError
from qkcore.__main__ import main
from qkcore.attention.load import load_model
from qkcore.puzzles.puzzle import PuzzleError, save_puzzles
from qkcore.results.answers import head_scores
from qkcore.results.parts import PART_SIZE, part_path
from qkcore.results.store import ResultStore
from qkcore.scoring import precompute, scorer, shards
from qkcore.scoring.score import score_prompts, score_puzzle
from qkcore.scoring.verify import verified
from tests import ROOT
from tests.tiny import puzzle


def several(n, **changes):
    return [
        puzzle(
            f"Max is {'not ' * (i % 2)}metallic.",
            puzzle_id=f"p{i}",
            group=f"g{i // 2}",
            answer=1 - i % 2,
            context=f"Max is a wumpus number {i // 2}. Every wumpus is a tumpus.",
            split="validation" if i // 2 % 2 else "test",
            **changes,
        )
        for i in range(n)
    ]


@pytest.fixture(scope="module")
def lm(tiny_folder):
    return load_model(tiny_folder)


def stored_scores(path):
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(
            """
            select puzzle_id, candidate, list(qk order by layer, head),
                   any_value(logit[candidate + 1])
            from scores join logits using (run_id, place)
            group by puzzle_id, candidate order by all
            """
        ).fetchall()


def test_stored_numbers_are_those_of_score_puzzle(lm, tmp_path):
    puzzles = several(6)
    precompute.precompute(lm, puzzles, tmp_path / "s.duckdb", puzzle_set="six", show_progress=False)
    expected = {p.puzzle_id: score_puzzle(lm, p) for p in puzzles}
    for puzzle_id, candidate, qk, logit in stored_scores(tmp_path / "s.duckdb"):
        np.testing.assert_allclose(qk, expected[puzzle_id].qk[..., candidate].flatten(), atol=1e-4)
        assert logit == pytest.approx(float(expected[puzzle_id].logits[candidate]), abs=1e-4)


def test_puzzles_with_different_numbers_of_candidates_share_a_run(lm, tmp_path):
    puzzles = [
        *several(2),
        puzzle(puzzle_id="three", candidates=("yes", "no", "unknown"), group="g9"),
    ]
    precompute.precompute(
        lm, puzzles, tmp_path / "s.duckdb", puzzle_set="mixed", show_progress=False
    )
    assert len(stored_scores(tmp_path / "s.duckdb")) == 7
    with ResultStore.open(tmp_path / "s.duckdb") as store:
        run_id = store.runs()["run_id"].item()
        assert store.chance(run_id, "test") == pytest.approx((0.5 + 0.5 + 1 / 3) / 3)


def test_scores_kept_in_half_the_width_are_another_run_and_what_changed_is_said(
    lm, tmp_path, capsys
):
    puzzles, path = several(6), tmp_path / "s.duckdb"
    of_width = {
        width: precompute.precompute(
            lm, puzzles, path, puzzle_set="six", show_progress=False, scores=width
        )
        for width in ("float32", "float16")
    }
    n_heads = lm.geometry.n_layers * lm.geometry.n_heads
    assert re.search(
        rf"float16 changes \d+ of {6 * n_heads} answers, and no head's accuracy by more than "
        r"\d+\.\d\d points\.",
        capsys.readouterr().err,
    )
    with ResultStore.open(path) as store:
        assert set(store.runs()["run_id"]) == set(of_width.values())
        heads = [
            (layer, head)
            for layer in lm.geometry.head_layers
            for head in range(lm.geometry.n_heads)
        ]
        full, half = (head_scores(store, run_id, heads) for run_id in of_width.values())
    assert half.tolist() == full.astype(np.float16).astype(np.float32).tolist()
    with duckdb.connect(
        str(path), read_only=True
    ) as plain:  # whoever reads the file by view scores
        rows = plain.execute(
            "select place, layer, head, candidate, qk from scores where run_id = ?",
            [of_width["float16"]],
        ).fetchall()
    assert len(rows) == half.size
    for place, layer, head, candidate, score in rows:
        assert score == half[place, heads.index((layer, head)), candidate]


def test_raw_scores_can_be_left_beside_the_store(lm, tmp_path):
    puzzles, path = several(6), tmp_path / "s.duckdb"
    run_id = precompute.precompute(
        lm, puzzles, path, puzzle_set="six", show_progress=False, external_scores=True
    )
    assert stored_scores(path) == []
    assert {one.name for one in tmp_path.iterdir()} == {"s.duckdb", "s.duckdb.scores"}
    with ResultStore.open(path) as store:
        scores = head_scores(store, run_id, [(1, 0)])[:, 0]
    expected = [score_puzzle(lm, one).of(1, 0) for one in puzzles]
    np.testing.assert_allclose(scores, expected, atol=1e-4)
    worker = scorer.Scorer(lm, puzzles, puzzle_set="six")
    assert "every bit is the same" in verified(worker, puzzles, path, sample=1)[-1]


def test_a_run_that_is_there_keeps_its_raw_scores_where_they_are_and_it_is_said(
    lm, tmp_path, capsys
):
    path = tmp_path / "s.duckdb"
    for external, sentence in ((False, ""), (False, ""), (True, "--external-scores is for runs")):
        precompute.precompute(
            lm,
            several(2),
            path,
            puzzle_set="two",
            show_progress=False,
            external_scores=external,
        )
        said = capsys.readouterr().err
        assert ("--external-scores" in said) == bool(sentence)
        assert sentence in said
    assert stored_scores(path)


def test_texts_can_be_left_out_of_the_store(lm, tmp_path):
    path = tmp_path / "s.duckdb"
    precompute.precompute(
        lm, several(2), path, puzzle_set="two", show_progress=False, with_texts=False
    )
    assert b"wumpus" not in path.read_bytes()
    with ResultStore.open(path) as store:
        assert store.frame(
            "select context, statement, puzzle_id from store.puzzles order by all"
        ).to_dict("list") == {
            "context": [None, None],
            "statement": [None, None],
            "puzzle_id": ["p0", "p1"],
        }


def test_a_finished_run_leaves_no_parts_behind(lm, tmp_path):
    precompute.precompute(
        lm, several(2), tmp_path / "s.duckdb", puzzle_set="two", show_progress=False
    )
    assert os.listdir(tmp_path) == ["s.duckdb"]


def test_a_run_goes_on_where_it_was_interrupted(lm, tmp_path, monkeypatch):
    puzzles = several(2 * PART_SIZE + 2)
    asked = []

    def interrupted_in_the_third_part(lm, part, **options):
        asked.append([prompt.puzzle.puzzle_id for prompt in part])
        if len(asked) == 3:
            raise KeyboardInterrupt
        return score_prompts(lm, part, **options)

    monkeypatch.setattr(scorer, "score_prompts", interrupted_in_the_third_part)
    with pytest.raises(
        shards.Interrupted,
        match=rf"{2 * PART_SIZE} of {len(puzzles)} puzzles .* kept .*same command",
    ):
        precompute.precompute(
            lm, puzzles, tmp_path / "s.duckdb", puzzle_set="many", show_progress=False
        )
    assert not (tmp_path / "s.duckdb").exists()
    precompute.precompute(
        lm, puzzles, tmp_path / "s.duckdb", puzzle_set="many", show_progress=False
    )
    assert asked[3:] == [[p.puzzle_id for p in puzzles[2 * PART_SIZE :]]]
    precompute.precompute(
        lm, puzzles, tmp_path / "whole.duckdb", puzzle_set="many", show_progress=False
    )
    assert stored_scores(tmp_path / "s.duckdb") == stored_scores(tmp_path / "whole.duckdb")


def test_a_damaged_part_is_scored_again(lm, tmp_path, monkeypatch):
    monkeypatch.setattr(precompute, "publish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(shards.Interrupted):
        precompute.precompute(
            lm, several(4), tmp_path / "s.duckdb", puzzle_set="four", show_progress=False
        )
    (folder,) = (tmp_path / "s.duckdb.parts").iterdir()
    part_path(folder, 0).write_bytes(part_path(folder, 0).read_bytes()[:100])
    monkeypatch.undo()
    precompute.precompute(
        lm, several(4), tmp_path / "s.duckdb", puzzle_set="four", show_progress=False
    )
    assert len(stored_scores(tmp_path / "s.duckdb")) == 8


def test_a_finished_run_is_not_scored_again(lm, tmp_path, monkeypatch):
    first = precompute.precompute(
        lm, several(2), tmp_path / "s.duckdb", puzzle_set="two", show_progress=False
    )
    monkeypatch.setattr(scorer, "score_prompts", None)
    assert (
        precompute.precompute(
            lm, several(2), tmp_path / "s.duckdb", puzzle_set="two", show_progress=False
        )
        == first
    )


def test_a_batch_of_no_tokens_is_refused(lm, tmp_path):
    with pytest.raises(InputError, match="give 1 or more"):
        precompute.precompute(
            lm, several(2), tmp_path / "s.duckdb", puzzle_set="two", max_batch_tokens=0
        )


def test_other_settings_do_not_reuse_parts_and_make_another_run(lm, tmp_path):
    ids = {
        precompute.precompute(
            lm, several(2), tmp_path / "s.duckdb", puzzle_set="two", rope=rope, show_progress=False
        )
        for rope in ("raw", "pre", "post")
    }
    with ResultStore.open(tmp_path / "s.duckdb") as store:
        assert set(store.runs()["run_id"]) == ids
        assert sorted(store.runs()["rope"]) == ["post", "pre", "raw"]


def test_puzzles_without_an_answer_are_refused_before_scoring(lm, tmp_path):
    with pytest.raises(PuzzleError, match="'p1' has no answer"):
        precompute.precompute(
            lm, [puzzle(answer=None)], tmp_path / "s.duckdb", puzzle_set="x", show_progress=False
        )


# Ctrl-C on the command line. The run waits for the signal when its second part is done, so that it
# comes at the same place on any machine. A test run in the background inherits that Ctrl-C means
# nothing; a terminal's commands do not.
WAITING = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from qkcore.__main__ import main
from qkcore.scoring import shards
write_part = shards.write_part

def write_and_wait(path, part):
    write_part(path, part)
    if path == shards.part_path(path.parent, 1):
        print("waiting", flush=True)
        time.sleep(600)

shards.write_part = write_and_wait
sys.exit(main())
"""


@pytest.fixture
def stopped_run(tiny_folder, tmp_path):
    """Stops a run of three parts after its second with a signal.

    Returns (arguments, exit status, stderr).
    """
    save_puzzles(several(2 * PART_SIZE + 2), tmp_path / "many.jsonl")
    arguments = ["--model", str(tiny_folder), "--puzzles", str(tmp_path / "many.jsonl")]
    arguments = ["precompute", *arguments, "--store", str(tmp_path / "many.duckdb")]

    def stop(how):
        line, pipe = [sys.executable, "-c", WAITING, *arguments], subprocess.PIPE
        with subprocess.Popen(line, cwd=ROOT, stdout=pipe, stderr=pipe, text=True) as process:
            assert process.stdout.readline() == "waiting\n", process.stderr.read()
            process.send_signal(how)
            _, errors = process.communicate(timeout=60)
            return arguments, process.returncode, errors

    return stop


def test_a_killed_run_is_finished_by_the_same_command(stopped_run, tmp_path, capsys):
    arguments, status, _ = stopped_run(signal.SIGKILL)
    assert status == -signal.SIGKILL
    assert not (tmp_path / "many.duckdb").exists()
    assert main(arguments) == 0
    assert f"{2 * PART_SIZE} of {2 * PART_SIZE + 2} puzzles were scored before; going on." in (
        capsys.readouterr().err
    )
    assert len(stored_scores(tmp_path / "many.duckdb")) == 2 * (2 * PART_SIZE + 2)
    assert not (tmp_path / "many.duckdb.parts").exists()


def test_ctrl_c_says_how_to_go_on(stopped_run, tmp_path):
    _, status, errors = stopped_run(signal.SIGINT)
    assert status == 130
    assert f"{2 * PART_SIZE} of {2 * PART_SIZE + 2} puzzles are scored and kept in" in errors
    assert "Run the same command again to go on." in errors
    assert "Traceback" not in errors
    assert not (tmp_path / "many.duckdb").exists()


def test_progress_says_how_fast_it_goes_and_what_is_right_so_far(tiny_folder, tmp_path, capsys):
    save_puzzles(several(PART_SIZE), tmp_path / "p.jsonl")
    arguments = ["--model", str(tiny_folder), "--puzzles", str(tmp_path / "p.jsonl")]
    assert main(["precompute", *arguments, "--store", str(tmp_path / "p.duckdb")]) == 0
    printed = capsys.readouterr()
    assert re.search(
        rf"{PART_SIZE} of {PART_SIZE} puzzles, [\d.]+ a second, 0 s left; best head so far "
        rf"L\d H\d [\d.]+%, model [\d.]+% \(n = {PART_SIZE // 2} validation\)",
        printed.err,
    )
    assert "run tiny-qwen3-p-pre-" in printed.out
