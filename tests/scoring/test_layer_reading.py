"""precompute(lens=True): what is read after each layer, also by a run that goes on."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch

from qkcore.attention.geometry import UnsupportedModelError
from qkcore.attention.load import load_model, vouch_for
from qkcore.results.parts import PART_SIZE, is_done, part_path, read_part
from qkcore.results.raw import lens_logits, model_logits, probe_choices
from qkcore.results.store import ResultStore
from qkcore.scoring import layer_reading, precompute, scorer, shards
from qkcore.scoring.layer_reading import layer_reader, probed
from qkcore.scoring.score import prompts_of, score_prompts
from tests.attention.architectures import DIFFERING, SUPPORTED, made
from tests.attention.hybrids import HYBRIDS
from tests.scoring.test_precompute import several, stored_scores
from tests.tiny import close, puzzle, tiny_tokenizer


@pytest.fixture(scope="module")
def lm(tiny_folder):
    return load_model(tiny_folder)


def run(lm, path, n=6, **options):
    options = dict(puzzle_set="some", show_progress=False, lens=True) | options
    return precompute.precompute(lm, several(n), path, **options)


def layers_in(path, run_id):
    with ResultStore.open(path) as store:
        return lens_logits(store, run_id)[1], probe_choices(store, run_id)


def by_hand(lm, puzzle):
    """(layer, candidate) by transformers' own hidden states, and (layer, dim) at the end."""
    (prompt,) = prompts_of(lm, [puzzle])
    with torch.no_grad():
        output = lm.model(torch.tensor([prompt.tokens]), output_hidden_states=True)
        states = output.hidden_states[1:-1]  # the last one has been through the final norm
        lens = [lm.model.lm_head(lm.model.model.norm(state))[0, -1] for state in states]
    lens.append(output.logits[0, -1])
    answers = list(prompt.answer_tokens)
    ends = [state[0, prompt.key_at].numpy() for state in states]
    return np.array([one[answers].numpy() for one in lens]), np.array(ends)


def test_lens_and_states_are_those_of_the_models_own_hidden_states(lm):
    puzzles = several(6)
    reader = layer_reader(lm, puzzles)
    for scores in score_prompts(lm, prompts_of(lm, puzzles), reader=reader):
        lens, ends = by_hand(lm, scores.puzzle)
        assert close(scores.lens, lens)
        assert close(scores.states[:-1], ends)
        assert np.array_equal(scores.lens[-1], scores.logits)


# Side by side; in rows from their start; going on from copies of states, each in its way; several
# streams; layers without heads.
NAMES = [
    "llama",
    "bloom (ALiBi)",
    "recurrent_gemma (window)",
    "jamba",
    "granitemoehybrid",
    "gemma3n_text (layers share keys)",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_puzzle_among_others_is_read_as_by_itself(name):
    model_type, config, *_ = (SUPPORTED | DIFFERING | HYBRIDS)[name]
    lm = vouch_for(made(model_type, config), tiny_tokenizer(), name)
    puzzles = [*several(5), puzzle(puzzle_id="long", candidates=("not metallic", "a wumpus", "no"))]
    reader = layer_reader(lm, puzzles)
    for scores in score_prompts(lm, prompts_of(lm, puzzles), reader=reader):
        (alone,) = score_prompts(lm, prompts_of(lm, [scores.puzzle]), reader=reader)
        assert scores.lens.shape == (lm.geometry.n_layers, len(scores.logits))
        assert close(scores.lens, alone.lens)
        assert close(scores.states, alone.states)
        assert np.array_equal(scores.lens[-1], scores.logits)


def test_a_run_with_lens_has_the_same_id_and_scores_as_one_without(lm, tmp_path):
    ids = [run(lm, tmp_path / f"{lens}.duckdb", lens=lens) for lens in (True, False)]
    assert ids[0] == ids[1]
    assert stored_scores(tmp_path / "True.duckdb") == stored_scores(tmp_path / "False.duckdb")
    with ResultStore.open(tmp_path / "True.duckdb") as store:
        lens = lens_logits(store, ids[0])[1]
        assert lens.shape == (6, lm.geometry.n_layers, 2)
        assert np.array_equal(lens[:, -1], model_logits(store, ids[0]))
    with ResultStore.open(tmp_path / "False.duckdb") as store:
        assert not store.has_layers(ids[0])


def test_lens_is_added_to_a_run_that_is_in_the_store_without(lm, tmp_path, capsys):
    path = tmp_path / "s.duckdb"
    run(lm, path, lens=False)
    before = stored_scores(path)
    run_id = run(lm, path)
    assert "holds this run without lens; its puzzles are read again." in capsys.readouterr().err
    whole = run(lm, tmp_path / "whole.duckdb")
    for one, other in zip(
        layers_in(path, run_id), layers_in(tmp_path / "whole.duckdb", whole), strict=True
    ):
        assert_same(one, other)
    assert stored_scores(path) == before
    run(lm, path)
    assert "holds this run already; nothing to do." in capsys.readouterr().err
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith("s.")] == ["s.duckdb"]


def assert_same(one, other):
    if isinstance(one, np.ndarray):
        assert np.array_equal(one, other)
    else:
        assert np.array_equal(one.choices, other.choices)
        assert np.array_equal(one.controls, other.controls)


def test_a_resumed_run_reads_states_again_says_so_and_ends_like_one_that_was_not(
    lm, tmp_path, monkeypatch, capsys
):
    n, path = 2 * PART_SIZE + 4, tmp_path / "s.duckdb"
    asked = []

    def interrupted(lm, part, **options):
        asked.append(len(part))
        if len(asked) == 2:
            raise KeyboardInterrupt
        return score_prompts(lm, part, **options)

    monkeypatch.setattr(scorer, "score_prompts", interrupted)
    with pytest.raises(shards.Interrupted):
        run(lm, path, n)
    (folder,) = (tmp_path / "s.duckdb.parts").iterdir()
    part = read_part(part_path(folder, 0))
    assert part.lens.shape == (PART_SIZE, lm.geometry.n_layers, 2)
    capsys.readouterr()
    run_id = run(lm, path, n)
    said = capsys.readouterr().err
    assert f"{PART_SIZE} puzzles that were scored before are read again for the probes" in said
    assert asked[2:] == [PART_SIZE, 4, PART_SIZE]
    run(lm, tmp_path / "whole.duckdb", n)
    for one, other in zip(
        layers_in(path, run_id), layers_in(tmp_path / "whole.duckdb", run_id), strict=True
    ):
        assert_same(one, other)


def test_parts_without_lens_do_not_do_for_a_run_with(lm, tmp_path):
    scores = list(score_prompts(lm, prompts_of(lm, several(2))))
    path = part_path(tmp_path, 0)
    shards.write_part(path, scorer.part_of(scores, 1.0))
    assert is_done(path, ["p0", "p1"])
    assert not is_done(path, ["p0", "p1"], with_lens=True)


def test_nothing_of_a_hidden_state_is_in_a_file(lm, tmp_path, monkeypatch):
    monkeypatch.setattr(precompute, "publish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(shards.Interrupted):
        run(lm, tmp_path / "s.duckdb")
    (scores, *_) = score_prompts(
        lm, prompts_of(lm, several(6)), reader=layer_reader(lm, several(6))
    )
    files = [file for file in tmp_path.rglob("*") if file.is_file() and file.suffix == ".parquet"]
    assert files
    for file in files:
        kept = {value for column in pq.read_table(file).columns for value in floats_in(column)}
        assert not kept & set(scores.states.ravel().tolist())
        assert set(scores.lens.ravel().tolist()) <= kept


def floats_in(column):
    """The numbers of a column, of lists and of their lists too."""
    while pa.types.is_list(column.type) or pa.types.is_fixed_size_list(column.type):
        column = pc.list_flatten(column)
    return column.to_pylist() if pa.types.is_floating(column.type) else []


def test_a_model_without_lens_is_scored_all_the_same_and_the_reason_is_said(
    lm, tmp_path, monkeypatch, capsys
):
    def no_lens(*_):
        raise UnsupportedModelError("model type 'x' has no lens: its layers do not stand in a list")

    monkeypatch.setattr(layer_reading, "find_lens", no_lens)
    run_id = run(lm, tmp_path / "s.duckdb")
    said = capsys.readouterr().err
    assert "has no lens: its layers do not stand in a list; it is scored without" in said
    with ResultStore.open(tmp_path / "s.duckdb") as store:
        assert not store.has_layers(run_id)
        assert len(store.head_accuracy(run_id, "test"))


def test_a_lens_that_does_not_agree_with_the_models_answer_is_refused(lm):
    puzzles = several(2)
    reader = layer_reader(lm, puzzles)
    wrong = replace(reader, lens=replace(reader.lens, layers=reader.lens.layers[::-1]))
    with pytest.raises(UnsupportedModelError, match="differs from its own answer by"):
        list(score_prompts(lm, prompts_of(lm, puzzles), reader=wrong))


def test_probes_are_kept_to_so_many_puzzles_in_whole_groups():
    puzzles = several(40)
    chosen = set(probed(puzzles, most=7))
    for split in ("validation", "test"):
        own = [one for one in puzzles if one.split == split]
        taken = [one for one in own if one.puzzle_id in chosen]
        assert len(taken) == 6
        groups = {one.group for one in taken}
        assert {one.puzzle_id for one in own if one.group in groups} <= chosen
    assert chosen == set(probed(puzzles, most=7))
    assert len(probed(puzzles)) == 40


def test_wide_states_are_brought_to_fewer_numbers_that_keep_distances(lm, monkeypatch):
    puzzles = several(4)
    prompts = prompts_of(lm, puzzles)
    reader = layer_reader(lm, puzzles)
    whole = [one.states for one in score_prompts(lm, prompts, reader=reader)]
    monkeypatch.setattr(layer_reading, "MAX_DIMS", 40)
    layer_reading.projection.cache_clear()
    few = [one.states for one in score_prompts(lm, prompts, reader=reader)]
    layer_reading.projection.cache_clear()
    assert few[0].shape == (lm.geometry.n_layers, 40)
    assert whole[0].shape[1] > 40
    before, after = (np.linalg.norm(some[0] - some[1]) for some in (whole, few))
    assert after == pytest.approx(before, rel=0.5)
