"""Engines against each other: the same shards, scored by others, with one thread each."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys

import pytest

from qkcore import InputError
from qkcore.__main__ import main
from qkcore.attention.load import load_model
from qkcore.puzzles.puzzle import save_puzzles
from qkcore.results.parts import PART_SIZE
from qkcore.scoring import precompute, shards
from qkcore.scoring.ablate import ablate
from qkcore.scoring.engines import engine_of
from qkcore.scoring.on_ray import ray_engine
from qkcore.scoring.ray_cluster import Cluster, connected
from qkcore.scoring.recipe import Recipe
from tests import ROOT
from tests.same_tables import assert_same_tables
from tests.scoring.killing import left_in
from tests.scoring.test_precompute import several

N = 4 * PART_SIZE + 2
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]

# What torchrun starts: commands in turn, each a line of JSON, by ranks of which one is killed when
# its first part is written, the first time.
DYING = """
import json, os, signal, sys, time
from pathlib import Path
from qkcore.__main__ import main
from qkcore.scoring import shards
write_part = shards.write_part

def write_and_die(path, part):
    write_part(path, part)
    if os.environ["RANK"] == "1" and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
        os.kill(os.getpid(), signal.SIGKILL)

shards.write_part = write_and_die
for line in Path(sys.argv[1]).read_text().splitlines():
    if status := main(json.loads(line)):
        sys.exit(status)
    while not Path(sys.argv[2]).exists():  # rank 0 publishes by itself
        time.sleep(0.05)
"""


@pytest.fixture(scope="module")
def lm(tiny_folder):
    return load_model(tiny_folder)


@pytest.fixture(scope="module")
def whole(lm, tmp_path_factory):
    """The store that this process makes alone, with lens."""
    path = tmp_path_factory.mktemp("whole") / "s.duckdb"
    precompute.precompute(
        lm, several(N), path, puzzle_set="many", show_progress=False, lens=True
    )  # fmt: skip
    return path


@pytest.fixture
def words(tiny_folder, tmp_path):
    """A command's words, up to the engine."""
    (tmp_path / "in").mkdir()
    save_puzzles(several(N), tmp_path / "in" / "many.jsonl")
    (tmp_path / "out").mkdir()
    store = ["--store", str(tmp_path / "out" / "s.duckdb")]
    return ["--model", str(tiny_folder), "--puzzles", str(tmp_path / "in" / "many.jsonl"), *store]


def started(script, *words):
    """What torchrun makes of a script: (exit status, all that was said)."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*TORCHRUN, "--max-restarts", "1", str(script), *words],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_a_rank_that_is_killed_loses_no_part_and_all_ranks_give_the_same_bits(
    words, whole, tmp_path, lm
):
    script, lines = tmp_path / "in" / "dying.py", tmp_path / "in" / "lines"
    script.write_text(DYING)
    words += ["--engine", "torchrun"]
    ablated = ["--kind", "zero", "--heads", "L1H2", "--controls", "2"]
    asked = ["precompute", *words, "--lens"], ["ablate", *words, *ablated]
    lines.write_text("\n".join(map(json.dumps, asked)))
    status, said = started(script, str(lines), str(tmp_path / "out" / "s.duckdb"))
    assert status == 0, said
    assert "failed (exitcode: -9) local_rank: 1" in said
    assert f"of {N} puzzles were scored before; going on." in said
    assert f"{N} of {N} puzzles" in said
    assert said.count("s.duckdb: run ") == 2  # rank 0 alone says so, once a command
    assert left_in(tmp_path / "out") == ["s.duckdb"]
    ablate(
        lm, several(N), whole, kind="zero", heads="L1H2", controls=2, show_progress=False
    )  # fmt: skip
    assert_same_tables(tmp_path / "out" / "s.duckdb", whole)


def test_engines_that_are_not_there_are_refused(words, monkeypatch, capsys):
    assert main(["precompute", *words, "--engine", "torchrun"]) == 2
    assert "is for what torchrun starts: torchrun --nproc-per-node 2" in capsys.readouterr().err
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["precompute", *words]) == 2
    assert "each would score everything; add --engine torchrun" in capsys.readouterr().err
    with pytest.raises(InputError, match="engine 'cloud' is not known"), engine_of("cloud", None):
        pass


def test_without_ray_its_engine_says_how_to_get_it(words, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["precompute", *words, "--engine", "ray"]) == 2
    assert "engine ray needs Ray: pip install 'qkscope[cluster]'" in capsys.readouterr().err


needs_ray = pytest.mark.skipif(not importlib.util.find_spec("ray"), reason="Ray is not installed")


@pytest.fixture(scope="module")
def ray():
    """Ray on this machine, for all tests that need it."""
    with connected(Cluster()) as package:
        yield package


@needs_ray
def test_a_cluster_that_is_not_there_is_refused(words, capsys):
    assert main(["precompute", *words, "--engine", "ray", "--address", "auto"]) == 2
    assert "no Ray cluster at auto" in capsys.readouterr().err


@needs_ray
def test_a_shard_whose_actor_is_killed_goes_to_another_and_the_bits_are_the_same(
    ray, tiny_folder, whole, tmp_path, monkeypatch, capsys
):
    usual, written = shards.write_part, []

    def write_and_kill(path, part):
        usual(path, part)
        written.append(path.name)
        if len(written) == 1:  # the other one is at work
            engine.end()

    monkeypatch.setattr(shards, "write_part", write_and_kill)
    log, store = tmp_path / "log", tmp_path / "s.duckdb"
    settings = {"puzzle_set": "many", "rope": "pre", "max_batch_tokens": None, "scores": "float32"}
    with ray_engine(Recipe(str(tiny_folder)), several(N), settings, Cluster(n_workers=2)) as engine:
        precompute.precompute_by(
            engine, several(N), store, show_progress=False, lens=True, log=log
        )  # fmt: skip
    assert "was lost with its worker: " in capsys.readouterr().err
    assert '"event": "failed"' in log.read_text()
    assert len(written) == len(set(written)) == 5  # no part twice
    assert_same_tables(store, whole, but="ablations")  # another test adds them to the whole


@needs_ray
def test_actors_that_switch_heads_off_give_the_bits_of_one_process(
    ray, words, whole, lm, tmp_path, capsys
):
    alone, shared = tmp_path / "alone.duckdb", tmp_path / "out" / "s.duckdb"
    for path in (alone, shared):
        shutil.copy(whole, path)
    ablate(lm, several(N), alone, heads="L1H2", controls=2, show_progress=False)
    asked = ["ablate", *words, "--engine", "ray", "--workers", "2", "--controls", "2"]
    assert main([*asked, "--heads", "L1H2"]) == 0
    assert "390 of 390 answers" in capsys.readouterr().err
    assert_same_tables(shared, alone)
    assert left_in(tmp_path / "out") == ["s.duckdb"]


@needs_ray
def test_a_cluster_without_room_is_refused(ray, words, capsys):
    more = ["--engine", "ray", "--workers", "2", "--gpus-per-model", "9000"]
    assert main(["precompute", *words, *more]) == 2
    assert "has room for 0 workers with 9000 GPUs and a core each" in capsys.readouterr().err
