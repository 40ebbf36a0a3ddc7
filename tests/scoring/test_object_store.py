import os
import re
import threading

import pytest

from qkcore import InputError
from qkcore.__main__ import main
from qkcore.attention.load import load_model
from qkcore.puzzles.puzzle import save_puzzles
from qkcore.results import object_store
from qkcore.results.object_store import WAITS, Address, Unreachable, folder_of
from qkcore.results.parts import PART_SIZE, part_path
from qkcore.scoring import lease, precompute, scorer, shards
from tests.same_tables import assert_same_tables
from tests.scoring.test_precompute import several

N = 2 * PART_SIZE + 2


@pytest.fixture(scope="module")
def lm(tiny_folder):
    return load_model(tiny_folder)


@pytest.fixture
def parts(bucket, request):
    """An address of the test's own."""
    return f"{bucket}/{re.sub('[^a-z]+', '-', request.node.name)[:60]}"


def scored(lm, path, **changes):
    return precompute.precompute(
        lm, several(N), path, puzzle_set="many", show_progress=False, **changes
    )


@pytest.fixture(scope="module")
def whole(lm, tmp_path_factory):
    """The store of an undisturbed run whose parts lay in a folder."""
    path = tmp_path_factory.mktemp("whole") / "s.duckdb"
    scored(lm, path)
    return path


@pytest.fixture
def asked(monkeypatch):
    """How many puzzles each call scored."""
    found, usual = [], scorer.score_prompts

    def counted(lm, prompts, **options):
        found.append(len(prompts))
        return usual(lm, prompts, **options)

    monkeypatch.setattr(scorer, "score_prompts", counted)
    return found


def stopped(lm, store, parts):
    """The folder of a run that stopped before it was published."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(precompute, "collect", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(shards.Interrupted, match=rf"130 of 130 puzzles .* in {parts}/tiny"):
            scored(lm, store, parts=parts)
    (name,) = (name for name, one in folder_of(parts).listed().items() if one.is_folder)
    return folder_of(parts) / name


def test_a_run_whose_parts_lie_at_an_object_store_goes_on_and_ends_like_any_other(
    lm, tmp_path, parts, whole, asked, tiny_folder, capsys
):
    store = tmp_path / "s.duckdb"
    folder = stopped(lm, store, parts)
    assert set(folder.listed()) == {
        "job.json",
        *(f"part-0000{index}.parquet" for index in range(3)),
    }
    assert set(folder.parent.listed()) == {folder.name}  # the lease was given back
    assert not os.listdir(tmp_path)

    part_path(folder, 1).unlink()
    content = part_path(folder, 2).read_bytes()
    part_path(folder, 2).write_bytes(content[:-100])
    shards.Shards(folder, ()).note_failure("lost with its worker", 1)
    assert main(["precompute", "--status", "--store", str(store), "--parts", parts]) == 0
    said = capsys.readouterr().out
    assert f"{folder.name}: stopped, 66 of 130 puzzles scored, 64 left" in said
    assert "failed: part 1: lost with its worker" in said

    save_puzzles(several(N), tmp_path / "many.jsonl")
    words = ["--model", str(tiny_folder), "--puzzles", str(tmp_path / "many.jsonl")]
    words += ["--store", str(store), "--parts", parts]
    assert main(["precompute", "--verify", *words]) == 2
    assert f"1 of 2 parts in {folder} will not do: part-00002" in capsys.readouterr().err
    part_path(folder, 2).write_bytes(content)
    assert main(["precompute", "--verify", *words]) == 0
    assert "2 parts (66 puzzles) were scored again: every bit is" in capsys.readouterr().out

    part_path(folder, 2).write_bytes(b"")
    asked.clear()
    assert main(["precompute", *words]) == 0
    said = capsys.readouterr().err
    assert f"{folder}/part-00002.parquet is damaged, or no part at all; its puzzles are" in said
    assert asked == [PART_SIZE, 2]
    assert_same_tables(store, whole)
    assert folder_of(parts).listed() == {}
    assert sorted(os.listdir(tmp_path)) == ["many.jsonl", "s.duckdb"]


def test_a_file_where_parts_should_go_is_one_line(tmp_path, tiny_folder, capsys):
    save_puzzles(several(2), tmp_path / "two.jsonl")
    words = ["--model", str(tiny_folder), "--puzzles", str(tmp_path / "two.jsonl")]
    words += ["--store", str(tmp_path / "s.duckdb")]
    for place in (tmp_path / "two.jsonl", tmp_path / "two.jsonl" / "in"):
        assert main(["precompute", *words, "--parts", str(place)]) == 2
        said = capsys.readouterr().err
        assert "two.jsonl is a file, and parts go into a folder; name another" in said
        assert said.count("\n") == 1


class Failing:
    """A file system that stops answering when a part is written, for so many calls."""

    def __init__(self, files, n_calls):
        self.files, self.n_left, self.is_down = files, n_calls, False

    def __getattr__(self, name):
        return getattr(self.files, name) if name == "type_name" else self.call(name)

    def call(self, name):
        def called(*given):
            at = str(getattr(given[0], "base_dir", given[0]))
            self.is_down |= name == "open_output_stream" and "part-00001" in at
            if self.is_down and self.n_left:
                self.n_left -= 1
                raise OSError("When writing: AWS Error NETWORK_CONNECTION during PutObject: no way")
            return getattr(self.files, name)(*given)

        return called


@pytest.fixture
def failing(monkeypatch):
    """Lets addresses fail for so many calls; gives the waits."""
    waits, usual = [], object_store._opened
    monkeypatch.setattr(object_store, "sleep", waits.append)

    def fail(n_calls):
        def opened(place):
            files, key = usual(place)
            return Failing(files, n_calls), key

        monkeypatch.setattr(object_store, "_opened", opened)
        return waits

    return fail


def test_an_object_store_that_fails_for_a_while_is_asked_again(
    lm, tmp_path, parts, whole, asked, failing, capsys
):
    waits = failing(6)
    scored(lm, tmp_path / "s.duckdb", parts=parts)
    assert waits == [1, 2, 4, 8, 15, 30]  # a minute
    assert asked == [PART_SIZE, PART_SIZE, 2]
    said = capsys.readouterr().err
    assert re.search(
        rf"{parts}/tiny\S+/part-00001.parquet does not answer \(AWS Error NETWORK_CONNECTION "
        r"during PutObject: no way\); trying again in 4 s\.\n",
        said,
    )
    assert_same_tables(tmp_path / "s.duckdb", whole)


def test_an_object_store_that_stays_away_ends_the_run_and_no_finished_part_is_lost(
    lm, tmp_path, parts, whole, asked, failing, monkeypatch
):
    with monkeypatch.context() as patched:
        waits = failing(10_000)
        with pytest.raises(Unreachable, match=r"part-00001.* does not answer: .*Run the same comm"):
            scored(lm, tmp_path / "s.duckdb", parts=parts)
        assert tuple(waits) == WAITS
        patched.undo()
    monkeypatch.undo()
    (left,) = (name for name in folder_of(parts).listed() if name.endswith(".lease"))
    assert "process" in (folder_of(parts) / left).read_text()
    (folder_of(parts) / left).unlink()
    asked.clear()
    scored(lm, tmp_path / "s.duckdb", parts=parts)
    assert_same_tables(tmp_path / "s.duckdb", whole)


def test_a_second_job_is_turned_away_and_a_dead_one_outlived(parts, monkeypatch, capsys):
    folder = folder_of(parts) / "run"
    waits = []
    with lease.leased(folder):
        (name,) = folder.parent.listed()

        def renewed(seconds):
            waits.append(seconds)
            lease._renew(folder.parent / name, len(waits))

        monkeypatch.setattr(lease, "sleep", renewed)
        taken = pytest.raises(InputError, match=f"another process is scoring this run in {folder};")
        with taken, lease.leased(folder):
            pass
        assert len(waits) == 1
        assert f"process {os.getpid()} on {os.uname().nodename} holds these parts" in (
            capsys.readouterr().err
        )
        assert shards.is_held(folder)
        assert set(folder.parent.listed()) == {name}
    assert not shards.is_held(folder)

    other = folder.parent / "run.0123.lease"
    other.write_text('{"machine": "elsewhere", "host": "far", "process": 1, "beat": 7}')
    waits.clear()
    monkeypatch.setattr(lease, "sleep", waits.append)
    with lease.leased(folder):
        assert sum(waits) == lease.LAPSE
        assert other.name not in folder.parent.listed()


def test_the_lease_of_a_process_of_this_machine_that_was_killed_is_not_waited_for(
    parts, monkeypatch
):
    folder = folder_of(parts) / "run"
    left = folder.parent / "run.0123.lease"
    child = os.spawnlp(os.P_NOWAIT, "true", "true")
    os.waitpid(child, 0)
    left.write_text(f'{{"machine": "{lease._machine()}", "process": {child}, "host": "here"}}')
    monkeypatch.setattr(lease, "sleep", lambda _: pytest.fail("waited"))
    with lease.leased(folder):
        assert left.name not in folder.parent.listed()


def test_of_two_jobs_that_begin_at_once_at_most_one_goes_on(parts):
    """Both see no lease at first; each has written its own before either looks again."""
    folder, both, said = folder_of(parts) / "run", threading.Barrier(2), []

    def together(usual):
        return lambda *given: (usual(*given), both.wait(30))

    def begin():
        try:
            with lease.leased(folder):
                said.append("entered")
        except InputError as error:
            said.append(str(error))

    with pytest.MonkeyPatch.context() as patched:
        for name in ("_outlive", "_renew"):
            patched.setattr(lease, name, together(getattr(lease, name)))
        jobs = [threading.Thread(target=begin) for _ in range(2)]
        for job in jobs:
            job.start()
        for job in jobs:
            job.join()
    assert len(said) == 2
    assert sum("another process is scoring this run" in one for one in said) >= 1, said
    assert folder.parent.listed() == {}


def taken_away(folder):
    for _ in range(1_000):  # it may be renewed in the very moment that it is taken
        for name in folder.parent.listed():
            (folder.parent / name).unlink()


def with_another_beside(folder):
    (folder.parent / "run.0123.lease").write_text("{}")


@pytest.mark.parametrize("take", [taken_away, with_another_beside])
def test_a_job_whose_parts_another_has_taken_over_stops(take, parts, monkeypatch, capsys):
    monkeypatch.setattr(lease, "BEAT", 0.01)
    folder = folder_of(parts) / "run"

    def held():
        with lease.leased(folder):
            take(folder)
            threading.Event().wait(20)

    with pytest.raises(KeyboardInterrupt):
        held()
    assert "these parts were taken over by another job" in capsys.readouterr().err


def test_what_no_part_can_be_kept_at_is_refused_before_the_model_is_loaded(
    bucket, tmp_path, capsys
):
    save_puzzles(several(4), tmp_path / "four.jsonl")
    words = ["--model", "none", "--puzzles", str(tmp_path / "four.jsonl")]
    words += ["--store", str(tmp_path / "s.duckdb"), "--parts"]
    for place, why in {
        "s3://gone/parts": "s3://gone/parts is refused: AWS Error NO_SUCH_BUCKET",
        "s3://": "s3:// names no bucket",
        "cloud://kept": "cloud://kept is no address that is known here",
        "s3://me:secret@kept/parts?bogus=1": "s3://kept/parts is no address that is known",
    }.items():
        assert main(["precompute", *words, place]) == 2
        said = capsys.readouterr().err
        assert why in said
        assert "secret" not in said


@pytest.mark.parametrize("place", ["folder", "memory://kept/parts"], ids=["folder", "fsspec"])
def test_parts_may_lie_in_any_folder_or_file_system(place, lm, tmp_path, whole):
    place = str(tmp_path / place) if place == "folder" else place
    folder = stopped(lm, tmp_path / "s.duckdb", place) if "memory" in place else None
    scored(lm, tmp_path / "s.duckdb", parts=place)
    assert_same_tables(tmp_path / "s.duckdb", whole)
    assert isinstance(folder, Address) == (place != str(tmp_path / "folder"))
    left = folder_of(place)
    assert not (left.listed() if isinstance(left, Address) else os.listdir(left))
