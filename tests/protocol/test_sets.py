"""What a protocol asks: drawn the same again, even over answers, in whole groups."""

import json
from collections import Counter
from dataclasses import replace
from hashlib import sha256

import pytest

from qkcore.protocol.drawing import drawn
from qkcore.protocol.frozen import the_protocol
from qkcore.protocol.sets import sets_of
from qkcore.puzzles.generate import generate_puzzles
from qkcore.puzzles.puzzle import PuzzleError, puzzle_set_sha256
from qkcore.puzzles.twin import parent_of
from qkcore.sharing.pinned import PinnedFile, PinnedSet

NAMES = "Ann Bob Cid Dan Eve Fay Gus Ivy".split()


def published(folder, n=16):
    """PARARULE-Plus as it is published: two questions a context."""
    lines = []
    for number in range(n):
        first, second = NAMES[number % 8], NAMES[(number + 1 + number // 8) % 8]
        context = f"{first} is big. {second} is shy. If someone is big then they are kind."
        questions = [
            {"text": f"{first} is kind.", "label": "true", "meta": {"QDep": "1"}},
            {"text": f"{first} is not kind.", "label": "false", "meta": {"QDep": "1"}},
        ]
        lines.append(json.dumps({"context": context, "questions": questions}))
    deep = folder / "clone" / "Depth1"
    deep.mkdir(parents=True)
    (deep / "PARARULE_Plus_Depth1_shuffled_test.jsonl").write_text("\n".join(lines))
    (deep / "PARARULE_Plus_Depth1_shuffled_train.jsonl").write_text("not for this protocol")
    return folder


def small(**changes):
    """The protocol with hardly any puzzles."""
    fields = {"n_validation": 8, "n_published": 8, "steps": (1, 2), "distractors": (0, 1)}
    fields |= {"n_generated": 16, "styles": ("made-up",)}
    quick = the_protocol(is_quick=True)
    fields["ablation"] = replace(quick.ablation, sets=("made-up",), n_controls=2)
    fields["lens"] = ("made-up",)
    return replace(quick, **fields | changes)


def test_the_protocol_is_the_one_that_was_frozen():
    # A number changed? Then it is another protocol: a new file, with the next number.
    frozen = "440e0bbaad4181fbbd4786f77cea8a63fac11e140532baad74f3d013a1ce07dc"
    assert the_protocol().sha256 == frozen
    assert the_protocol().version == 1


def test_quick_is_a_tenth_of_every_number_of_puzzles():
    whole, quick = the_protocol(), the_protocol(is_quick=True)
    for name in ("n_validation", "n_published", "n_generated"):
        assert getattr(whole, name) == 10 * getattr(quick, name)
    assert whole.ablation.n_test == 10 * quick.ablation.n_test
    assert whole.sha256 == quick.sha256


def test_a_draw_is_even_over_answers_and_steps_and_keeps_groups_whole():
    puzzles = generate_puzzles([1, 2, 3], [0, 1], n=40, seed=1)
    found = drawn(puzzles, 48, 72, seed=0)
    for split, n in (("validation", 48), ("test", 72)):
        own = [one for one in found if one.split == split]
        assert Counter(one.answer for one in own) == {0: n // 2, 1: n // 2}
        cells = Counter((one.steps, one.distractors) for one in own)
        assert set(cells.values()) == {n // 6}
    groups = Counter(one.group for one in puzzles)
    assert all(count == groups[name] for name, count in Counter(o.group for o in found).items())
    assert found == drawn(puzzles, 48, 72, seed=0) != drawn(puzzles, 48, 72, seed=1)


def test_an_answer_that_is_rare_limits_the_others():
    puzzles = [
        replace(one, group=one.puzzle_id, split="test")
        for number, one in enumerate(generate_puzzles(1, 0, n=200))
        if one.answer or number % 5 == 0
    ]
    n_rare = sum(one.answer == 0 for one in puzzles)
    found = drawn(puzzles, 0, 1000, seed=0)
    assert Counter(one.answer for one in found) == {0: n_rare, 1: n_rare}


def test_sets_are_found_however_deep_and_what_is_missing_is_said(tmp_path):
    found = sets_of(small(), published(tmp_path))
    assert [(one.name, one.kind) for one in found.sets] == [
        ("pararule-plus", "published"),
        ("pararule-plus-twin", "twin"),
        ("made-up", "generated"),
    ]
    parent, twin, made_up = found.sets
    assert parent_of(twin.puzzles) == puzzle_set_sha256(parent.puzzles)
    for one in found.sets:
        for split in ("validation", "test"):
            answers = Counter(p.answer for p in one.puzzles if p.split == split)
            assert answers[0] == answers[1] > 0
    assert len(made_up.puzzles) == 8 + 16
    assert [one.has_lens for one in found.sets] == [False, False, True]
    notes = " ".join(found.notes)
    assert "PARARULE-Plus: found in 1 file, 16 of 32 puzzles used." in notes
    assert "PrOntoQA-OOD: not found" in notes
    assert "Multi-LogiEval: not found" in notes


def test_files_that_are_samples_of_what_was_published_are_said_to_be(tmp_path, monkeypatch):
    folder = published(tmp_path)
    (file,) = folder.rglob("*test.jsonl")
    content = file.read_bytes()
    pinned = PinnedFile(file.name, "", sha256(content).hexdigest(), n_bytes=len(content))
    of = PinnedSet("p", "PARARULE-Plus", "pararule", "", "", "", (pinned,))
    monkeypatch.setattr("qkcore.protocol.sets.pinned_sets", lambda: (of,))
    said = "used; 1 of these files is a sample of the published one, not all of it."
    assert said in " ".join(sets_of(small(), folder).notes)
    file.write_bytes(content + b"\n")
    assert "sample" not in " ".join(sets_of(small(), folder).notes)


def test_a_damaged_set_and_an_empty_folder_are_sentences(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(PuzzleError, match="holds none of the published sets"):
        sets_of(small(), tmp_path / "empty")
    with pytest.raises(PuzzleError, match="no such folder"):
        sets_of(small(), tmp_path / "nowhere")
    folder = published(tmp_path / "broken")
    (file,) = folder.rglob("*test.jsonl")
    file.write_text(file.read_text().replace('"true"', '"maybe"', 1))
    with pytest.raises(PuzzleError, match=r"Depth1_shuffled_test.jsonl, line 1, question 1"):
        sets_of(small(), folder)
