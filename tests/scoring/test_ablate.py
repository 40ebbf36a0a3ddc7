"""`qkscope ablate`: what it puts into the store, and how it goes on."""

import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from qkcore import InputError, StoreError
from qkcore.__main__ import main
from qkcore.attention.geometry import UnsupportedModelError
from qkcore.puzzles.puzzle import save_puzzles
from qkcore.results.raw import ablation_logits, model_logits
from qkcore.results.store import ResultStore
from qkcore.scoring import head_sets, scorer
from qkcore.scoring.ablate import ablate
from qkcore.scoring.head_sets import named_heads
from qkcore.scoring.interventions import Interventions
from qkcore.scoring.precompute import precompute
from qkcore.scoring.replacing import replacements_of
from qkcore.scoring.score import prompts_of
from qkcore.scoring.shards import Interrupted
from qkcore.scoring.status import status
from qkcore.sharing.excerpt import copy_runs
from tests.scoring.hand_built import BACKUP, READER, built, puzzles
from tests.tiny import close


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    path = tmp_path_factory.mktemp("scored") / "s.duckdb"
    return path, precompute(
        built("carried"), puzzles(), path, puzzle_set="words", show_progress=False
    )


@pytest.fixture
def store(scored, tmp_path):
    shutil.copy(scored[0], tmp_path / "s.duckdb")
    return tmp_path / "s.duckdb"


def switched(path, kind="mean"):
    with ResultStore.open(path) as opened:
        run_id = opened.runs()["run_id"].item()
        return ablation_logits(opened, run_id, kind)


def right(logits):
    asked = ~np.isnan(logits[:, 0])
    answer = np.array([one.answer for one in puzzles()])
    return float((logits.argmax(-1) == answer)[asked].mean())


def test_the_store_has_answers_of_test_puzzles_without_the_best_heads_and_without_controls(
    hand_built_store,
):
    found = switched(hand_built_store("backed up")[0])
    by = {(one.chosen_by, one.k, one.draw): one for one in found}
    assert by["chosen", 1, 0].heads == (READER,)
    assert by["top", 2, 0].heads == (READER, BACKUP)
    # One of the seven others of the layer, and two of the six
    assert [key for key in by if key[:2] == ("chosen", 1)] == [("chosen", 1, n) for n in range(8)]
    assert [key for key in by if key[:2] == ("top", 2)] == [("top", 2, n) for n in range(16)]
    for (_, k, draw), one in by.items():
        assert len(one.heads) == k
        assert all(layer == READER[0] for layer, _ in one.heads)
        assert (right(one.logits) == 1) == ((k, draw) != (2, 0))
    is_test = np.array([one.split == "test" for one in puzzles()])
    assert (np.isnan(found[0].logits).all(-1) == ~is_test).all()


def test_stored_answers_are_those_that_a_page_would_get(store):
    lm = built("carried")
    run_id = ablate(lm, puzzles(), store, heads="L1H3,L2H0", controls=2, show_progress=False)
    validation, test = ([one for one in puzzles() if one.split == split]
                        for split in ("validation", "test"))  # fmt: skip
    one, *controls = switched(store)
    assert (one.chosen_by, one.k, one.draw, one.heads) == ("named", 2, 0, ((1, 3), (2, 0)))
    assert len(controls) == 2
    interventions = Interventions(lm, replacements_of(lm, validation))
    expected = interventions.answers(prompts_of(lm, test), [off.heads for off in (one, *controls)])
    is_test = np.array([one.split == "test" for one in puzzles()])
    for found, own in zip((one, *controls), expected, strict=True):
        assert close(found.logits[is_test], own)
    with ResultStore.open(store) as opened:
        whole = model_logits(opened, run_id)[is_test]
        assert opened.has_ablations(run_id)
    assert not np.array_equal(whole, one.logits[is_test])


def test_asking_again_replaces_what_is_there_and_leaves_other_kinds(store):
    lm = built("carried")
    for kind, controls in (("zero", 3), ("mean", 3), ("zero", 2)):
        ablate(lm, puzzles(), store, kind=kind, ks=[1], controls=controls, show_progress=False)
    assert [one.draw for one in switched(store, "zero")] == [0, 1, 2]
    assert [one.draw for one in switched(store, "mean")] == [0, 1, 2, 3]
    assert switched(store, "resample") == []


def test_a_limit_asks_whole_groups_spread_over_the_set(store):
    ablate(
        built("carried"), puzzles(), store, ks=[1], limit=42, controls=1, show_progress=False
    )  # fmt: skip
    asked = ~np.isnan(switched(store)[0].logits[:, 0])
    groups = [one.group for one, is_asked in zip(puzzles(), asked, strict=True) if is_asked]
    assert asked.sum() == 40
    assert all(groups.count(group) == 4 for group in groups)
    contexts = sorted({int(group[1:]) for group in groups})
    assert contexts[0] < 10
    assert contexts[-1] > 70


def test_it_goes_on_where_it_was_interrupted(scored, store, monkeypatch, capsys):
    lm, asked, usual = built("carried"), [], Interventions.answers

    def interrupted(self, prompts, *others):
        asked.append(len(prompts))
        if len(asked) == 2:
            raise KeyboardInterrupt
        return usual(self, prompts, *others)

    monkeypatch.setattr(Interventions, "answers", interrupted)
    before = store.read_bytes()
    with pytest.raises(Interrupted, match="64 of 160 puzzles are answered and kept"):
        ablate(lm, puzzles(), store, ks=[1], controls=2, show_progress=False)
    assert store.read_bytes() == before
    ablate(lm, puzzles(), store, ks=[1], controls=2, show_progress=False)
    assert "64 of 160 puzzles were answered before" in capsys.readouterr().err
    assert asked == [64, 64, 64, 32]
    assert [path.name for path in store.parent.iterdir()] == ["s.duckdb"]
    first = switched(store)
    monkeypatch.undo()
    shutil.copy(scored[0], store)
    ablate(lm, puzzles(), store, ks=[1], controls=2, show_progress=False)
    for one, again in zip(first, switched(store), strict=True):
        np.testing.assert_array_equal(one.logits, again.logits)


def test_what_the_store_holds_is_not_asked_again_and_a_sentence_says_so(store, monkeypatch, capsys):
    lm = built("carried")
    run_id = ablate(lm, puzzles(), store, ks=[1], controls=2, show_progress=False)
    before = store.read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(Interventions, "answers", lambda *_: pytest.fail("asked again"))
        assert ablate(lm, puzzles(), store, ks=[1], controls=2, show_progress=False) == run_id
    assert "holds the answers with these heads switched off already" in capsys.readouterr().err
    assert store.read_bytes() == before
    # Fewer puzzles are another question
    ablate(lm, puzzles(), store, ks=[1], controls=2, limit=42, show_progress=False)
    assert (~np.isnan(switched(store)[0].logits[:, 0])).sum() == 40


def test_answers_travel_with_their_run(store, tmp_path):
    run_id = ablate(built("carried"), puzzles(), store, ks=[1], controls=2, show_progress=False)
    copy_runs(store, tmp_path / "copy.duckdb", [run_id], with_texts=False)
    for one, copied in zip(switched(store), switched(tmp_path / "copy.duckdb"), strict=True):
        assert one.heads == copied.heads
        np.testing.assert_array_equal(one.logits, copied.logits)
    assert main(["export", "--store", str(store), "--run", run_id, "--out", str(tmp_path)]) == 0
    assert len((tmp_path / "ablations.csv").read_text().splitlines()) == 1 + 3 * 2


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (dict(heads="L1X3"), "'L1X3' names no head; write chosen, top5, or heads such as"),
        (dict(heads="L1H3,L1H3"), "L1 H3 is named twice"),
        (dict(heads="L1H9"), "carried has no head L1 H9; it has heads 0 to 7 in layers 0 to 3"),
        (dict(heads="top99"), "carried has 32 heads, so there are no 99 best of them"),
        (dict(heads="top5", ks=[1]), "--k goes with --heads chosen; heads 'top5' are so many"),
        (dict(ks=[1, 0]), "k = 0 switches no head off; write numbers from 1 on"),
        (dict(ks=[1, 3, 1]), "k = 1 is asked for twice; name each number of heads once"),
        (dict(heads="L1H0,L1H1,L1H2,L1H3,L1H4"), "layer 1 has 8 heads; with 5 of them switched"),
        (dict(controls=0), "0 control sets say nothing"),
        (dict(limit=0), "a limit of 0 leaves no puzzle"),
        (dict(kind="half"), "kind 'half' is not known; use one of mean, zero, resample, knock-out"),
        (dict(rope="post"), "holds no run of carried .* with rope post"),
    ],
)
def test_what_cannot_be_asked_is_said_in_a_sentence(store, options, sentence):
    with pytest.raises((InputError, StoreError), match=sentence):
        ablate(built("carried"), puzzles(), store, show_progress=False, **options)
    assert [path.name for path in store.parent.iterdir()] == ["s.duckdb"]


def test_a_model_that_is_refused_at_its_first_puzzle_leaves_no_job_but_no_part_is_lost(
    store, monkeypatch
):
    lm, n_kept, usual = built("carried"), [0], Interventions.answers

    def refused(self, prompts, *others):
        if n_kept[0] == 0:
            raise UnsupportedModelError("not finite")
        n_kept[0] -= 1
        return usual(self, prompts, *others)

    monkeypatch.setattr(Interventions, "answers", refused)
    for n_kept[0], job in ((0, []), (1, ["s.duckdb.parts"])):
        with pytest.raises(UnsupportedModelError, match="not finite"):
            ablate(lm, puzzles(), store, ks=[1], controls=2, show_progress=False)
        assert sorted(path.name for path in store.parent.iterdir()) == ["s.duckdb", *job]
    assert status(store)[2] == "  failed: not finite"


def test_a_scoring_that_is_refused_leaves_no_job(tmp_path, monkeypatch):
    def refused(*_, **__):
        raise UnsupportedModelError("not finite")

    monkeypatch.setattr(scorer, "score_prompts", refused)
    with pytest.raises(UnsupportedModelError, match="not finite"):
        precompute(
            built("carried"), puzzles(), tmp_path / "s", puzzle_set="words", show_progress=False
        )
    assert list(tmp_path.iterdir()) == []


def test_other_puzzles_have_to_be_scored_first(store):
    with pytest.raises(StoreError, match=r"holds no run of carried .* score them first"):
        ablate(built("carried"), puzzles()[:8], store, show_progress=False)


def test_numbers_of_heads_for_which_layers_are_too_small_are_left_out_and_said(
    store, capsys, monkeypatch
):
    monkeypatch.setattr(head_sets, "KS", (1, 32))
    ablate(built("carried"), puzzles(), store, controls=1, show_progress=False)
    assert re.search(r"k = 32 is left out: layer \d has 8 heads", capsys.readouterr().err)
    assert {one.k for one in switched(store)} == {1}


def test_heads_are_named_as_on_every_page():
    assert named_heads("L15H7, l17 h8") == ((15, 7), (17, 8))


def test_the_command_asks_and_says_where_the_answers_are(tmp_path, tiny_folder, capsys):
    path, store = tmp_path / "p.jsonl", tmp_path / "s.duckdb"
    save_puzzles(puzzles(8), path)
    common = ["--model", str(tiny_folder), "--puzzles", str(path), "--store", str(store), "--quiet"]
    assert main(["ablate", *common]) == 2
    assert f"There is no result store at {store}" in capsys.readouterr().err
    assert main(["precompute", *common]) == 0
    line = ["ablate", *common, "--heads", "top2", "--kind", "zero", "--controls", "2"]
    assert main(line) == 0
    assert "heads switched off (zero)" in capsys.readouterr().out
    found = switched(store, "zero")
    assert [one.draw for one in found][:2] == [0, 1]
    assert {one.k for one in found} == {2}
    done = subprocess.run(
        [sys.executable, "-m", "qkcore", *line, "--k", "1,x"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "write whole numbers, such as 1,3,5" in done.stderr
