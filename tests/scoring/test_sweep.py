import hashlib
import json
import tomllib

import pytest

from qkcore.__main__ import main
from qkcore.attention.identity import identity_of
from qkcore.attention.load import load_model
from qkcore.puzzles.generate import generate_puzzles
from qkcore.puzzles.puzzle import load_puzzles, puzzle_set_sha256, save_puzzles
from qkcore.puzzles.twin import parent_of
from qkcore.results.store import ResultStore
from qkcore.scoring import scorer, sweep
from qkcore.scoring.engines import Local
from qkcore.scoring.precompute import precompute
from qkcore.scoring.ray_cluster import Cluster
from qkcore.scoring.recipe import Recipe
from qkcore.scoring.score import score_prompts
from qkcore.scoring.sweep_file import KEYS, MODEL_KEYS
from tests import ROOT
from tests.same_tables import assert_same_tables
from tests.scoring.test_precompute import several
from tests.tiny import puzzle


@pytest.fixture
def folder(tmp_path):
    """A folder with two puzzle files of six and four puzzles."""
    save_puzzles(several(6), tmp_path / "six.jsonl")
    save_puzzles(several(4), tmp_path / "four.jsonl")
    return tmp_path


@pytest.fixture
def n_loads(monkeypatch):
    """A list that grows by the name of each model that is loaded."""
    loads, usual = [], Recipe.load

    def load(recipe):
        loads.append(recipe.model)
        return usual(recipe)

    monkeypatch.setattr(Recipe, "load", load)
    return loads


def swept(folder, text, *options):
    """The exit status of a sweep of this file into s.duckdb."""
    file, store = folder / "sweep.toml", folder / "s.duckdb"
    file.write_text(text)
    return main(["sweep", str(file), "--store", str(store), *options])


def asked(*models, puzzles=("six.jsonl", "four.jsonl"), **others):
    """The text of a file."""
    rows = {"models": [str(model) for model in models], "puzzles": list(puzzles)} | others
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in rows.items())


def test_a_sweep_gives_what_its_runs_give_one_by_one_and_loads_a_model_once(
    tiny_folder, folder, n_loads, capsys
):
    assert swept(folder, asked(tiny_folder, rope=["post"])) == 0
    assert n_loads == [str(tiny_folder)]
    assert capsys.readouterr().out.splitlines() == [
        "done           tiny-qwen3 on six (after rotary): 6 puzzles",
        "done           tiny-qwen3 on four (after rotary): 4 puzzles",
        "2 runs: 2 done, 0 already there, 0 failed.",
    ]
    lm, quiet = load_model(tiny_folder), dict(rope="post", show_progress=False)
    for name in ("six", "four"):
        puzzles = load_puzzles(folder / f"{name}.jsonl")
        precompute(lm, puzzles, folder / "t.duckdb", puzzle_set=name, **quiet)
    assert_same_tables(folder / "s.duckdb", folder / "t.duckdb")


def test_what_fails_is_told_the_others_go_on_and_only_what_is_left_is_tried_again(
    tiny_folder, folder, n_loads, capsys
):
    broken = folder / "broken"
    broken.mkdir()
    (broken / "config.json").write_text('{"model_type": "none such"}')
    text = asked(broken, tiny_folder)
    assert swept(folder, text) == 2
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert lines[0].startswith("failed         broken on six: ")
    assert lines[0].endswith(f"({folder / 'sweep.toml'}: models, entry 1)")
    assert [line.split()[0] for line in lines] == ["failed", "failed", "done", "done", "4"]
    assert captured.err.splitlines()[-1].startswith("qkscope sweep: error: 2 of 4 runs failed")
    n_loads.clear()
    assert swept(folder, text) == 2
    assert n_loads == [str(broken)]  # the other's runs are known to be there
    assert capsys.readouterr().out.splitlines()[-1] == "4 runs: 0 done, 2 already there, 2 failed."


def test_a_run_that_fails_for_want_of_memory_takes_no_other_with_it(
    tiny_folder, folder, monkeypatch, capsys
):
    def short_of_memory(lm, part, **options):
        if len(part) == 6:
            raise MemoryError
        return score_prompts(lm, part, **options)

    monkeypatch.setattr(scorer, "score_prompts", short_of_memory)
    assert swept(folder, asked(tiny_folder), "--quiet") == 2
    assert capsys.readouterr().out.splitlines() == [
        "failed         tiny-qwen3 on six: MemoryError: MemoryError",
        "done           tiny-qwen3 on four: 4 puzzles",
        "2 runs: 1 done, 0 already there, 1 failed.",
    ]


def test_a_sweep_that_is_stopped_says_where_and_goes_on_there(
    tiny_folder, folder, monkeypatch, capsys
):
    def stopped_at_the_second_run(lm, part, **options):
        if len(part) == 4:
            raise KeyboardInterrupt
        return score_prompts(lm, part, **options)

    monkeypatch.setattr(scorer, "score_prompts", stopped_at_the_second_run)
    assert swept(folder, asked(tiny_folder)) == 130
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("qkscope sweep: run 2 of 2: tiny-qwen3 on four was stopped; 0 of 4 puz")
    assert said.endswith("Run the same command again to go on.")
    assert swept(folder, asked(tiny_folder), "--status") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["2 runs: 1 already there, 1 left.", "  left: tiny-qwen3 on four"]
    assert "stopped, 0 of 4 puzzles scored" in lines[-1]
    monkeypatch.undo()
    assert swept(folder, asked(tiny_folder)) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "2 runs: 1 done, 1 already there, 0 failed."


def test_a_dry_run_writes_nothing_and_estimates_from_the_stores_own_runs(
    tiny_folder, folder, capsys
):
    assert swept(folder, asked(tiny_folder), "--dry-run") == 0
    assert capsys.readouterr().out.splitlines() == [
        "left           tiny-qwen3 on six: 6 puzzles",
        "left           tiny-qwen3 on four: 4 puzzles",
        "2 runs: 0 already there, 2 left: 10 puzzles; no speed is known of tiny-qwen3.",
    ]
    assert not (folder / "s.duckdb").exists()
    swept(folder, asked(tiny_folder, puzzles=["six.jsonl"]))
    with ResultStore.open(folder / "s.duckdb") as store:
        seconds = store.runs()["seconds"].item() * 4 / 6
    capsys.readouterr()
    swept(folder, asked(tiny_folder), "--dry-run")
    there, left, told = capsys.readouterr().out.splitlines()
    assert there == "already there  tiny-qwen3 on six: 6 puzzles"
    assert left == f"left           tiny-qwen3 on four: 4 puzzles, about {seconds:.0f} s"
    assert told.endswith(f"4 puzzles, about {seconds:.0f} s at the speed of the store's runs.")


def test_twins_are_made_once_beside_their_sets_and_scored(tiny_folder, tmp_path, capsys):
    save_puzzles(generate_puzzles(1, 0, 8), tmp_path / "made.jsonl")
    text = asked(tiny_folder, puzzles=["made.jsonl"], twins=True)
    assert swept(tmp_path, text, "--dry-run") == 0
    assert not (tmp_path / "made-twin.jsonl").exists()
    assert swept(tmp_path, text) == 0
    twin = load_puzzles(tmp_path / "made-twin.jsonl")
    assert parent_of(twin) == puzzle_set_sha256(load_puzzles(tmp_path / "made.jsonl"))
    with ResultStore.open(tmp_path / "s.duckdb") as store:
        assert set(store.runs()["puzzle_set"]) == {"made", "made-twin"}
    capsys.readouterr()
    assert swept(tmp_path, text) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "2 runs: 0 done, 2 already there, 0 failed."
    save_puzzles(several(4), tmp_path / "made-twin.jsonl")
    assert swept(tmp_path, text) == 2
    assert "made-twin.jsonl is no twin of" in capsys.readouterr().err


def test_a_set_without_a_twin_is_scored_and_said(tiny_folder, tmp_path, capsys):
    about = dict(context="If it rains, Ben has an umbrella.", candidates=("yes", "no"))
    riddles = [puzzle("Is Ben dry?", puzzle_id=f"p{n}", answer=n, **about) for n in range(2)]
    save_puzzles(riddles, tmp_path / "rain.jsonl")
    assert swept(tmp_path, asked(tiny_folder, puzzles=["rain.jsonl"], twins=True), "--dry-run") == 0
    first, *rest = capsys.readouterr().out.splitlines()
    assert first.startswith("rain: no twin can be made: ")
    assert len(rest) == 2


def test_by_ray_a_run_is_asked_for_as_the_file_says(tiny_folder, folder, monkeypatch, capsys):
    crews = []

    class Both(Local):
        """An engine that is its own worker, as Ray's is."""

        def __getattr__(self, name):
            return getattr(self._worker, name)

    class Crew:
        def __init__(self, recipe, puzzles, settings, cluster):
            crews.append((settings, cluster))
            self.worker = scorer.Scorer(recipe.load()[0], puzzles, **settings)

        def __enter__(self):
            return Both(self.worker)

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(sweep, "ray_engine", Crew)
    puzzles = ["six.jsonl"]
    text = asked(tiny_folder, puzzles=puzzles, engine="ray", gpus_per_model=2, scores="float16")
    assert swept(folder, text, "--quiet") == 0
    cluster = Cluster(address=None, n_workers=None, gpus_per_model=2)
    assert crews == [({"puzzle_set": "six", "rope": "pre", "scores": "float16"}, cluster)]
    assert "1 done" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("models = [", "is no TOML"),
        (asked("tiny", puzzle="x"), ": unknown key 'puzzle'; known are models, puzzles, rope"),
        ('models = ["m"]', ": puzzles: is missing or empty"),
        (asked("tiny", puzzles=["gone.jsonl"]), ": puzzles, entry 1: "),
        (asked("tiny", puzzles=["six.jsonl", "six.jsonl"]), "entry 2: a set named 'six' is listed"),
        (asked("tiny", "tiny"), ": models, entry 2: is listed already"),
        (asked("./nowhere"), ": models, entry 1: there is no ./nowhere (looked for "),
        (asked("m.gguf"), ": models, entry 1: there is no m.gguf"),
        ('models = [{name = "m"}]\npuzzles = ["six.jsonl"]', "models, entry 1: write a text, or a"),
        ('models = [{model = "m", dtype = "int8"}]', "models, entry 1: dtype: 'int8' is not known"),
        (asked("tiny", rope=["after"]), ": rope: 'after' is not known; use one of raw, pre, post"),
        (asked("tiny", lens=1), ": lens: is 1; write true or false"),
        (asked("tiny", engine="torchrun"), ": engine: 'torchrun' is not known; use one of local"),
        (asked("tiny", workers=2), ': workers: is for engine = "ray"'),
        (asked("tiny", template="{context} Answer:"), ": template: template"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_key(text, message, folder, capsys):
    assert swept(folder, text) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"qkscope sweep: error: {folder / 'sweep.toml'}: ")
    assert message in line


def test_other_puzzles_by_a_name_that_the_store_knows_are_refused_by_entry(
    tiny_folder, folder, capsys
):
    assert swept(folder, asked(tiny_folder, puzzles=["six.jsonl"]), "--quiet") == 0
    save_puzzles(several(8), folder / "six.jsonl")
    assert swept(folder, asked(tiny_folder)) == 2
    assert ": puzzles, entry 1: " in capsys.readouterr().err


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_model_is_known_from_its_files_as_it_is_when_loaded(dtype, tiny_folder):
    found, lm = identity_of(str(tiny_folder), dtype, "cpu"), load_model(tiny_folder, dtype, "cpu")
    assert (found.name, found.revision, found.dtype) == (lm.name, lm.revision, lm.dtype)


def test_what_only_loading_can_tell_is_not_guessed(tiny_folder, tmp_path):
    assert identity_of(str(tiny_folder), quantize="4bit") is None
    assert identity_of("nobody/never-downloaded") is None
    assert identity_of(str(tmp_path / "gone.gguf")) is None
    (tmp_path / "config.json").write_text('{"quantization_config": {"quant_method": "gptq"}}')
    assert identity_of(str(tmp_path), device="cpu") is None


def test_a_gguf_file_is_known_once_it_was_converted(tmp_path):
    from qkcore.attention.gguf_files import ABOUT, CONVERSION

    (tmp_path / "m.Q4_1.gguf").write_bytes(b"weights")
    assert identity_of(str(tmp_path / "m.Q4_1.gguf"), device="cpu", cache=tmp_path / "c") is None
    sha = hashlib.sha256(b"weights").hexdigest()
    made = tmp_path / "c/gguf" / sha[:16]
    made.mkdir(parents=True)
    about = {"conversion": CONVERSION, "name": "m", "sha256": sha, "quantisation": "Q4_1"}
    (made / ABOUT).write_text(json.dumps(about | {"nats_text": 3.0, "nats_shuffled": 6.0}))
    (made / "config.json").write_text('{"dtype": "float32"}')
    found = identity_of(str(tmp_path / "m.Q4_1.gguf"), device="cpu", cache=tmp_path / "c")
    assert (found.name, found.revision) == ("m.Q4_1", f"sha256:{sha[:16]}")
    assert found.dtype == "float32 from Q4_1"


def test_the_example_in_the_docs_names_every_key():
    text = (ROOT / "docs/scaling.md").read_text()
    example = tomllib.loads(text.split("```toml\n")[1].split("```")[0])
    assert set(example) == set(KEYS)
    (stated,) = (one for one in example["models"] if isinstance(one, dict))
    assert set(stated) == set(MODEL_KEYS)
