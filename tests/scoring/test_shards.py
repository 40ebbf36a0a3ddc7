import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest

from qkcore import InputError
from qkcore.__main__ import main
from qkcore.attention.load import load_model
from qkcore.puzzles.puzzle import save_puzzles
from qkcore.results import parts
from qkcore.results.parts import PART_SIZE, checked, content_sha256, part_path, read_part
from qkcore.results.reader import StoreError
from qkcore.scoring import precompute, scorer, shards
from tests import ROOT
from tests.same_tables import assert_same_tables
from tests.scoring.killing import POINTS, left_in
from tests.scoring.test_precompute import several

N = 2 * PART_SIZE + 2


@pytest.fixture(scope="module")
def lm(tiny_folder):
    return load_model(tiny_folder)


def scored(lm, path, n=N, **changes):
    return precompute.precompute(
        lm, several(n), path, puzzle_set="many", show_progress=False, **changes
    )


@pytest.fixture(scope="module")
def whole(lm, tmp_path_factory):
    """The store of an undisturbed run."""
    path = tmp_path_factory.mktemp("whole") / "s.duckdb"
    scored(lm, path)
    return path


@pytest.fixture
def stopped(lm, tmp_path, monkeypatch):
    """(store, folder) of a run that stopped before it was published: all parts are there."""
    with monkeypatch.context() as patched:
        patched.setattr(precompute, "collect", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(shards.Interrupted, match="130 of 130 puzzles are scored and kept"):
            scored(lm, tmp_path / "s.duckdb")
    (folder,) = (tmp_path / "s.duckdb.parts").iterdir()
    return tmp_path / "s.duckdb", folder


def test_a_run_that_is_killed_anywhere_ends_like_one_that_was_not(tiny_folder, tmp_path):
    shutil.copytree(tiny_folder, tmp_path / "model")
    line = [sys.executable, "-m", "tests.scoring.killing", str(tmp_path)]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr  # it compares each store, table by table
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["point"] for row in rows] == list(POINTS)
    assert {row["status"] for row in rows} == {-9}
    assert {row["again"] for row in rows} == {0}
    assert all(row["at_last"] == ["s.duckdb"] for row in rows), rows
    left = " ".join(name for row in rows for name in row["left"])
    assert ".tmp" in left  # so there was something to clear away
    assert ".tmp.wal" in left


def truncated(path):
    path.write_bytes(path.read_bytes()[:-100])


def of_another_kind(path):
    path.write_text("not Parquet at all")


def of_other_columns(path):
    pq.write_table(pq.read_table(path).select(["logit"]), path)


def with_other_scores(path):
    """One score changed, everything else kept."""
    table = pq.read_table(path)
    logits = table["logit"].to_numpy().copy()
    logits[3] += 0.5
    at = table.column_names.index("logit")
    changed = table.set_column(at, "logit", [logits])
    pq.write_table(changed.replace_schema_metadata(table.schema.metadata), path)


def of_the_next_shard(path):
    shutil.copy(part_path(path.parent, 1), path)


def of_another_run(path):
    other = path.parent.parent / "other-run"
    other.mkdir()
    parts.write_part(other / path.name, read_part(path))
    shutil.move(other / path.name, path)
    other.rmdir()


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (truncated, "is damaged, or no part at all"),
        (of_another_kind, "is damaged, or no part at all"),
        (of_other_columns, "is damaged, or no part at all"),
        (with_other_scores, "does not hold what its hash says"),
        (of_the_next_shard, "holds other puzzles"),
        (of_another_run, "is of another run"),
    ],
)
def test_a_part_that_will_not_do_is_named_and_scored_again(
    spoil, why, lm, stopped, whole, monkeypatch, capsys
):
    store, folder = stopped
    spoil(part_path(folder, 0))
    capsys.readouterr()
    asked, usual = [], scorer.score_prompts

    def counted(lm, prompts, **options):
        asked.append(len(prompts))
        return usual(lm, prompts, **options)

    monkeypatch.setattr(scorer, "score_prompts", counted)
    scored(lm, store)
    said = capsys.readouterr().err
    assert f"part-00000.parquet {why}; its puzzles are scored again." in said
    assert asked == [PART_SIZE]
    assert_same_tables(store, whole)
    assert left_in(store.parent) == ["s.duckdb"]


def test_the_hash_is_of_scores_and_not_of_the_time_they_took(stopped, tmp_path):
    _, folder = stopped
    part = read_part(part_path(folder, 0))
    slower = parts.Part(part.puzzle_ids, part.qk, part.logits, part.seconds + 1)
    parts.write_part(part_path(tmp_path, 0), slower)
    one, other = (pq.read_table(part_path(place, 0)) for place in (folder, tmp_path))
    assert one.schema.metadata[b"sha256"] == other.schema.metadata[b"sha256"]
    assert content_sha256(one).encode() == one.schema.metadata[b"sha256"]
    part.qk[5, 3, 1] += 1e-3
    parts.write_part(part_path(tmp_path, 0), part)
    assert (
        pq.read_table(part_path(tmp_path, 0)).schema.metadata[b"sha256"]
        != (one.schema.metadata[b"sha256"])
    )


def test_parts_that_were_written_otherwise_are_read_and_new_ones_take_less_room(stopped, tmp_path):
    _, folder = stopped
    new = part_path(folder, 0)
    old = part_path(tmp_path / folder.name, 0)
    old.parent.mkdir()
    pq.write_table(pq.read_table(new), old)  # as pyarrow does by itself, and parts were before
    one, other = (checked(path, None) for path in (old, new))
    assert (one.puzzle_ids, one.seconds) == (other.puzzle_ids, other.seconds)
    np.testing.assert_array_equal(one.qk, other.qk)
    np.testing.assert_array_equal(one.logits, other.logits)
    assert new.stat().st_size < 0.8 * old.stat().st_size


def test_a_missing_part_is_no_damaged_one(tmp_path):
    assert checked(part_path(tmp_path, 0), None) == ""


def test_a_second_job_on_the_same_parts_is_turned_away(lm, stopped):
    store, folder = stopped
    with shards.only_worker(folder), pytest.raises(InputError, match="another process is scoring"):
        scored(lm, store)
    assert len(list(folder.glob("part-*.parquet"))) == 3
    scored(lm, store)


def test_a_lock_whose_folder_was_taken_away_holds_nothing(tmp_path):
    """Who opened it just before, and is let in just after, has to begin anew."""
    folder = tmp_path / "run"
    with shards.only_worker(folder):
        shards.remove(folder)
        with shards.only_worker(folder):  # a new lock in a new folder: nobody holds that one
            assert shards.is_held(folder)
    assert not shards.is_held(folder)


@pytest.fixture
def small_disk(tmp_path):
    """A folder of 8 MiB, where one can be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    line = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    if (
        shutil.which("mount") is None
        or subprocess.run(line, capture_output=True, check=False).returncode
    ):
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def filled(folder, n_left):
    """A file that leaves so many bytes on the disk."""
    there = os.statvfs(folder)
    filler = folder / "filler"
    filler.write_bytes(bytes(there.f_bavail * there.f_frsize - n_left))
    return filler


@pytest.mark.parametrize("n_left", [32_768, 200_000], ids=["parts", "store"])
def test_a_full_disk_is_said_and_loses_nothing(n_left, lm, whole, small_disk, monkeypatch):
    store = small_disk / "s.duckdb"
    filler = filled(small_disk, n_left)
    with pytest.raises(InputError, match=r"No space left on device.*Make room") as caught:
        scored(lm, store)
    names = left_in(small_disk)
    assert not [name for name in names if "tmp" in name]
    n_there = sum(name.endswith(".parquet") for name in names)
    assert n_there == (3 if isinstance(caught.value, StoreError) else 1), names
    filler.unlink()
    asked, usual = [], scorer.score_prompts
    monkeypatch.setattr(
        scorer, "score_prompts", lambda *a, **b: asked.append(0) or usual(*a, **b)
    )  # fmt: skip
    scored(lm, store)
    assert len(asked) == 3 - n_there
    assert_same_tables(store, whole)


def test_a_disk_that_turns_read_only_is_said(lm, small_disk):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(InputError, match=r"disk/.*Read-only file system.*give the store a folder"):
        scored(lm, small_disk / "s.duckdb")


@pytest.mark.parametrize("n_before", [0, 2])
def test_a_part_that_cannot_be_written_is_said_and_the_others_are_kept(
    n_before, lm, tmp_path, whole, monkeypatch
):
    usual, calls = parts.pq.write_table, []

    def full(*given, **how):
        calls.append(given)
        if len(calls) > n_before:
            given[1].write(b"half of it")
            raise OSError(28, "No space left on device")
        usual(*given, **how)

    with monkeypatch.context() as patched:
        patched.setattr(parts.pq, "write_table", full)
        n_kept = n_before * PART_SIZE
        with pytest.raises(InputError, match=rf"No space left on device\. {n_kept} of 130 puzzles"):
            scored(lm, tmp_path / "s.duckdb")
    (folder,) = (tmp_path / "s.duckdb.parts").iterdir()
    assert not list(folder.glob("*.tmp"))
    assert "No space left" in (folder / "failed.jsonl").read_text()
    scored(lm, tmp_path / "s.duckdb")
    assert_same_tables(tmp_path / "s.duckdb", whole)
    assert os.listdir(tmp_path) == ["s.duckdb"]


def test_status_says_what_is_done_and_what_failed(stopped, capsys, tmp_path):
    store, folder = stopped
    part_path(folder, 2).unlink()
    for index in range(2):  # a part of 64 puzzles in two seconds
        os.utime(part_path(folder, index), (1_000 + 2 * index, 1_000 + 2 * index))
    (folder / "failed.jsonl").write_text('{"part": 1, "why": "lost with its worker"}\n{"cut of')
    assert main(["precompute", "--status", "--store", str(store)]) == 0
    said = capsys.readouterr().out
    assert "0 finished runs, 1 unfinished" in said
    assert (
        f"{folder.name}: stopped, 128 of 130 puzzles scored, 2 left, 32.0 a second, 0 s to go; the "
        "command that began it goes on with it\n  failed: part 1: lost with its worker\n"
    ) in said
    with shards.only_worker(folder):
        main(["precompute", "--status", "--store", str(store)])
    assert f"{folder.name}: running, 128 of" in capsys.readouterr().out
    shutil.copy(part_path(folder, 0), part_path(folder, 2))  # the last one, of 2 puzzles
    part_path(folder, 0).unlink()
    main(["precompute", "--status", "--store", str(store)])
    assert "66 of 130 puzzles scored" in capsys.readouterr().out
    main(["precompute", "--status", "--store", str(tmp_path / "none.duckdb")])
    assert "0 finished runs, none unfinished" in capsys.readouterr().out


@pytest.fixture
def verify(tiny_folder, tmp_path, capsys):
    """Calls --verify; returns (exit status, what was said)."""
    save_puzzles(several(N), tmp_path / "many.jsonl")

    def call(store, *more):
        words = ["--model", str(tiny_folder), "--puzzles", str(tmp_path / "many.jsonl")]
        status = main(["precompute", "--verify", *words, "--store", str(store), *more])
        said = capsys.readouterr()
        return status, said.out + said.err

    return call


def test_verify_hashes_parts_and_scores_some_again(stopped, verify):
    store, folder = stopped
    part_path(folder, 1).unlink()
    before = left_in(store.parent)
    status, said = verify(store)
    assert status == 0
    assert "2 of 3 parts are there, and each holds what its hash says" in said
    assert "2 parts (66 puzzles) were scored again: every bit is the same" in said
    with_other_scores(part_path(folder, 0))
    status, said = verify(store)
    assert status == 2
    assert "1 of 2 parts" in said
    assert "part-00000.parquet does not hold what its hash says" in said
    assert left_in(store.parent) == before


def test_verify_finds_scores_that_are_not_the_models_though_their_hash_is_right(stopped, verify):
    store, folder = stopped
    part = read_part(part_path(folder, 2))
    part.qk[0, 0, 0] += 1
    parts.write_part(part_path(folder, 2), part)
    assert verify(store, "--sample", "1")[0] == 0  # the first part
    status, said = verify(store)
    assert status == 2
    assert "they are not this model's, or were changed" in said


def test_verify_of_a_finished_run_reads_the_store(whole, verify, tmp_path):
    status, said = verify(whole, "--sample", "3")
    assert status == 0
    assert "3 parts (130 puzzles) were scored again: every bit is the same" in said
    status, said = verify(tmp_path / "none.duckdb")
    assert status == 2
    assert "holds no run tiny-qwen3-many-pre-" in said
