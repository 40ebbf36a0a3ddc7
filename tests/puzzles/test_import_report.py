"""Whole trees as they are published, read with README's own lines; what was left out, and why."""

import json
import re
import shlex
from collections import Counter
from pathlib import Path

import pytest

from qkcore import read_set
from qkcore.__main__ import main
from qkcore.puzzles.import_report import Import, LeftOut, Taken, report
from qkcore.puzzles.public_sets import import_puzzles
from qkcore.puzzles.puzzle import PuzzleError, load_puzzles
from tests import ROOT
from tests.puzzles.test_public_sets import (
    PROBLEM,
    QUESTION,
    SAMPLE,
    multilogieval,
    pararule,
    prontoqa,
    write,
)

README = (ROOT / "README.md").read_text()


def import_as_in_readme(format: str, folder: Path, monkeypatch, capsys) -> tuple[list, list[str]]:
    """The puzzles that README's line writes when it is typed in a folder, and what it prints."""
    words = shlex.split(re.search(rf"-m qkcore (import {format} .*)", README)[1])
    monkeypatch.chdir(folder)
    assert main(words) == 0
    return load_puzzles(words[-1]), capsys.readouterr().out.splitlines()


def reasons(found: Import) -> dict[str, str]:
    return {left_out.path.name: left_out.reason for left_out in found.left_out}


# Trees


def publish_multilogieval(root: Path) -> None:
    """One puzzle a file, in the folders and under the names of the published repository."""
    rules = {
        "d1_Data/pl": "MP MT HS CT",
        "d1_Data/fol": "MP MT HS EG UI",
        "d1_Data/nm": "default_reasoning_irr reasoning_about_exceptions_1",
        "d2_Data/pl": "BD_DS HS_MP",
        "d2_Data/fol": "BD_DS HS_MP",
        "d2_Data/nm": "BDR_MP DRI_MT",
        "d3_Data/pl": "BD_C_DS",
        "d3_Data/fol": "BD_C_DS",
        "d3_Data/nm": "d3_1 d3_2",
        "d4_Data/pl": "CD_C_DS_MP",
        "d4_Data/fol": "CD_C_DS_MP",
        "d4_Data/nm": "d4_1 d4_2",
        "d5_Data/pl": "BD_C_DS_MP_MP",
        "d5_Data/fol": "BD_C_DS_MP_MP",
        "d5_Data/nm": "d5_1",
        "multivariable_fol_Data": "fol_multi_1 fol_multi_2 fol_multi_3",
    }
    for folder, names in rules.items():
        depth = folder[:2] if folder.startswith("d") else "-"
        for name in names.split():
            sample = {**SAMPLE, "context": f"It rains in {folder}/{name}."}
            document = multilogieval(sample, rule=name, depth=depth)
            write(root / "data" / folder / f"{name}.json", document)
    write(root / "README.md", "# Multi-LogiEval\n")
    write(root / "data" / "README.json", json.dumps({"about": "the data", "version": 1}))
    write(root / "data" / "config.json", json.dumps({"samples": 20, "seed": 1}))
    write(root / "data" / "d1_Data" / "pl" / "CO.json", "")
    write(root / "data" / "d1_Data" / "pl" / "DMT.json", multilogieval(rule="DMT", depth="d1"))


def test_the_tree_of_multilogieval_is_read_with_the_line_of_readme(tmp_path, monkeypatch, capsys):
    publish_multilogieval(tmp_path)
    puzzles, printed = import_as_in_readme("multilogieval", tmp_path, monkeypatch, capsys)
    assert Counter(puzzle.steps for puzzle in puzzles) == {1: 11, 2: 6, 3: 4, 4: 4, 5: 3, None: 3}
    ids = {puzzle.puzzle_id for puzzle in puzzles}
    assert {"d1_Data/pl/MP/sample1", "d1_Data/fol/MP/sample1", "fol_multi_3/sample1"} <= ids
    assert {puzzle.split for puzzle in puzzles if puzzle.steps is None} == {"validation", "test"}
    assert printed == [
        "multilogieval.jsonl: 31 puzzles, 17 validation and 14 test",
        "data/d1_Data/fol: 5 puzzles from 5 files",
        "data/d1_Data/nm: 2 puzzles from 2 files",
        "data/d1_Data/pl: 4 puzzles from 4 files",
        "data/d2_Data/fol: 2 puzzles from 2 files",
        "data/d2_Data/nm: 2 puzzles from 2 files",
        "data/d2_Data/pl: 2 puzzles from 2 files",
        "data/d3_Data/fol: 1 puzzle from 1 file",
        "data/d3_Data/nm: 2 puzzles from 2 files",
        "data/d3_Data/pl: 1 puzzle from 1 file",
        "data/d4_Data/fol: 1 puzzle from 1 file",
        "and 9 more files in 6 folders: 9 puzzles",
        "left out, 2 files (each is not a Multi-LogiEval file): data/README.json, data/config.json",
        "left out, 1 file (it is empty): data/d1_Data/pl/CO.json",
        "left out, 1 file (it holds no puzzles): data/d1_Data/pl/DMT.json",
        "3 puzzles of unknown difficulty: "
        + ", ".join(f"data/multivariable_fol_Data/fol_multi_{n}.json (1)" for n in (1, 2, 3)),
    ]


def publish_prontoqa(root: Path) -> None:
    """An in-context and a test example a file; 5testhops takes its in-context one from 1hop."""
    names = (
        "1hop_AndElim_random_noadj 1hop_OrElim_3proofwidth_random_noadj "
        "1hop_ProofByContra_testrandom_nodistractor_testdistractor_noadj "
        "1hop_ProofsOnly_random_noadj 1hop_ProofsOnly_5testhops_random_noadj "
        "2hop_AndElim_4shot_3testwidth_random_noadj 2hop_Composed_2ruletypes_random_noadj "
        "2hop_OOD_Composed_random_noadj "
        "2hop_ProofsOnly_testrandom_irrelevantdistractor_testdistractor_noadj "
        "3hop_ProofsOnly_random_noadj 4hop_OOD_Composed_random_noadj"
    )
    for name in names.split():
        kind = "1hop_ProofsOnly" if name.startswith("1hop_ProofsOnly") else name
        problems = {
            "in_context_example0": {**PROBLEM, "question": f"Max is red in {kind}."},
            "test_example": {**PROBLEM, "question": f"Max is red in the test of {name}."},
        }
        write(root / f"{name}.json", json.dumps({"example1": problems}, indent=1))
    asked = {**PROBLEM, "query": "True or false: Max is red.", "answer": "True"}
    for name in ("4hop_0shot_random", "5hop_0shot_random"):
        write(root / f"{name}.json", prontoqa(asked))
    write(root / "README.json", json.dumps({"example1": "see the paper"}))


def test_the_tree_of_prontoqa_is_read_with_the_line_of_readme(tmp_path, monkeypatch, capsys):
    publish_prontoqa(tmp_path / "generated_ood_data")
    puzzles, printed = import_as_in_readme("prontoqa", tmp_path, monkeypatch, capsys)
    assert Counter(puzzle.steps for puzzle in puzzles) == {1: 16, 2: 16, 3: 4, 4: 4, 5: 2}
    assert Counter(puzzle.answer for puzzle in puzzles) == {0: 21, 1: 21}
    assert printed[1:] == [
        "generated_ood_data: 42 puzzles from 11 files",
        "left out, 2 puzzles that repeat another: "
        "generated_ood_data/1hop_ProofsOnly_random_noadj.json (2)",
        "left out, 2 files (each asks true or false, which is not proofs-only): "
        "generated_ood_data/4hop_0shot_random.json, generated_ood_data/5hop_0shot_random.json",
        "left out, 1 file (it is not a PrOntoQA-OOD file): generated_ood_data/README.json",
    ]


def publish_pararule(root: Path) -> None:
    """Train, dev and test of each depth, as made and shuffled; and the same in other formats."""
    for depth in (2, 3, 4, 5):
        for part in ("train", "dev", "test"):
            question = {**QUESTION, "meta": {"QDep": str(depth), "QCat": "0"}}
            contexts = [f"Max is {word} in {part} of {depth}." for word in ("red", "big")]
            lines = [pararule(question, context=context) for context in contexts]
            stem = f"PARARULE_Plus_Depth{depth}"
            folder = root / f"Depth{depth}"
            write(folder / f"{stem}_{part}.jsonl", "".join(lines))
            write(folder / f"{stem}_shuffled_{part}.jsonl", "".join(reversed(lines)))
            flat = {"context": contexts[0], "question": "Max is not red.", "label": 0}
            write(folder / f"{stem}_shuffled_{part}_huggingface.jsonl", json.dumps(flat))
    write(root / "files.json", json.dumps(["Depth2", "Depth3"]))
    write(root / "README.md", "# PARARULE Plus\n")


def test_the_tree_of_pararule_is_read_with_each_puzzle_once(tmp_path):
    publish_pararule(tmp_path)
    found = read_set("pararule", tmp_path)
    assert Counter(puzzle.steps for puzzle in found.puzzles) == {2: 6, 3: 6, 4: 6, 5: 6}
    assert len(found.taken) == 24
    assert sum(taken.n_repeats for taken in found.taken) == 24
    assert set(reasons(found).values()) == {"is not a PARARULE-Plus file"}
    assert len(found.left_out) == 13


def test_a_file_of_pararule_is_read_with_the_line_of_readme(tmp_path, monkeypatch, capsys):
    publish_pararule(tmp_path)
    folder = tmp_path / "Depth2"
    puzzles, printed = import_as_in_readme("pararule", folder, monkeypatch, capsys)
    assert [puzzle.puzzle_id for puzzle in puzzles] == [
        "PARARULE_Plus_Depth2_shuffled_test/line1/question1",
        "PARARULE_Plus_Depth2_shuffled_test/line2/question1",
    ]
    assert printed == [
        "pararule.jsonl: 2 puzzles, 1 validation and 1 test",
        "PARARULE_Plus_Depth2_shuffled_test.jsonl: 2 puzzles",
    ]


# Left out of a folder, refused by name


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "is empty"),
        ("{}", "is not a Multi-LogiEval file"),
        ("[1]", "is not a Multi-LogiEval file"),
        ('{"samples": ["a.json"], "questions": 3}', "is not a Multi-LogiEval file"),
        (multilogieval(), "holds no puzzles"),
        (prontoqa(), "looks like PrOntoQA-OOD, not Multi-LogiEval"),
        (pararule(QUESTION), "looks like PARARULE-Plus, not Multi-LogiEval"),
        (
            '{"context": "A.", "statement": "A.", "candidates": ["yes", "no"], "answer": "yes"}',
            "is a QKScope puzzle file already",
        ),
        ("// a config\n{}", "is not readable JSON"),
        ("version https://git-lfs\n", "is not readable JSON"),
        (b"\x89PNG\0", "is not readable JSON"),
    ],
)
def test_a_file_that_is_none_of_the_sets_is_left_out_of_a_folder_and_refused_by_name(
    tmp_path, content, reason
):
    write(tmp_path / "MP.json", multilogieval(SAMPLE))
    other = write(tmp_path / "other.json", content)
    found = read_set("multilogieval", [tmp_path])
    assert found.puzzles == import_puzzles("multilogieval", [tmp_path])
    assert [puzzle.puzzle_id for puzzle in found.puzzles] == ["MP/sample1"]
    assert found.taken == [Taken(tmp_path / "MP.json", 1, 0, 0, 0)]
    assert found.left_out == [LeftOut(other, reason)]
    for paths in ([other], [tmp_path, other], [other, tmp_path]):
        with pytest.raises(PuzzleError) as caught:
            read_set("multilogieval", paths)
        assert str(caught.value).startswith(str(other))
        assert "\n" not in str(caught.value)


def test_a_file_that_asks_true_or_false_is_left_out_of_a_folder(tmp_path):
    write(tmp_path / "1hop_a.json", prontoqa())
    write(tmp_path / "1hop_b.json", prontoqa({**PROBLEM, "query": "Max is red. True or false?"}))
    found = read_set("prontoqa", tmp_path)
    assert reasons(found) == {"1hop_b.json": "asks true or false, which is not proofs-only"}


@pytest.mark.parametrize(
    "content",
    [
        multilogieval(SAMPLE)[:-30],
        multilogieval(SAMPLE).encode("utf-16"),
        multilogieval(SAMPLE, depth="d99999"),
        multilogieval(SAMPLE, samples={}),
        json.dumps({"rule": "MP", "samples": [{"context": "A."}]}),
        multilogieval(SAMPLE, {**SAMPLE, "answer": "maybe"}),
    ],
)
def test_a_damaged_or_wrong_file_of_the_set_is_an_error_in_a_folder_too(tmp_path, content):
    write(tmp_path / "MP.json", multilogieval(SAMPLE))
    wrong = write(tmp_path / "MT.json", content)
    with pytest.raises(PuzzleError, match=re.escape(str(wrong))):
        read_set("multilogieval", tmp_path)


def test_a_folder_of_which_nothing_is_left_is_an_error(tmp_path):
    write(tmp_path / "a.json", "{}")
    write(tmp_path / "b.json", "")
    with pytest.raises(PuzzleError) as caught:
        read_set("multilogieval", tmp_path)
    assert str(caught.value) == (
        f"no Multi-LogiEval puzzles are left of the files found ({tmp_path}/a.json is not a "
        "Multi-LogiEval file); name the folder that has the benchmark's files"
    )


def test_what_stands_with_two_answers_is_left_out_of_a_folder_and_refused_by_name(tmp_path):
    other = {**SAMPLE, "context": "Max is red."}
    first = write(tmp_path / "a.json", multilogieval(SAMPLE, other))
    second = write(tmp_path / "b.json", multilogieval({**SAMPLE, "answer": "no"}))
    found = read_set("multilogieval", tmp_path)
    assert [puzzle.puzzle_id for puzzle in found.puzzles] == ["a/sample2"]
    assert found.taken == [Taken(first, 1, 0, 0, 1), Taken(second, 0, 0, 1, 0)]
    with pytest.raises(PuzzleError, match="b/sample1: the same puzzle has another answer in a/sam"):
        read_set("multilogieval", [tmp_path, second])


# The report


def test_the_counts_of_a_file_add_up_to_its_puzzles(tmp_path):
    third = {**SAMPLE, "context": "Max is red."}
    document = multilogieval(SAMPLE, SAMPLE, {**SAMPLE, "answer": "no"}, third, depth="-")
    write(tmp_path / "a.json", document)
    (taken,) = read_set("multilogieval", tmp_path).taken
    assert taken == Taken(tmp_path / "a.json", 1, n_unknown=1, n_repeats=2, n_contradicted=1)


def taken_from(*paths: str) -> list[Taken]:
    return [Taken(Path(path), 1000, 0, 0, 0) for path in paths]


def test_few_files_get_a_line_each_and_many_a_line_a_folder():
    few = [f"a/{n}.json" for n in range(10)]
    assert report(Import([], taken_from(*few), [])) == [f"{path}: 1,000 puzzles" for path in few]
    assert report(Import([], taken_from(*few, "b/1.json"), [])) == [
        "a: 10,000 puzzles from 10 files",
        "b: 1,000 puzzles from 1 file",
    ]


def test_what_is_beyond_the_first_ten_folders_is_counted():
    paths = [f"{folder}/{n}.json" for folder in "abcdefghijklm" for n in range(2)]
    lines = report(Import([], taken_from(*paths), []))
    assert lines[9:] == [
        "j: 2,000 puzzles from 2 files",
        "and 6 more files in 3 folders: 6,000 puzzles",
    ]


def test_each_kind_of_what_is_left_out_gets_one_line_with_three_names():
    taken = [Taken(Path(f"{n}.json"), 8, n, n, n) for n in range(6)]
    left_out = [LeftOut(Path(f"{n}.json"), "is empty") for n in range(6, 11)]
    assert report(Import([], taken, left_out))[6:] == [
        "left out, 15 puzzles that repeat another: 1.json (1), 2.json (2), 3.json (3) and 2 more "
        "files",
        "left out, 15 puzzles that stand with two answers: 1.json (1), 2.json (2), 3.json (3) and "
        "2 more files",
        "left out, 5 files (each is empty): 6.json, 7.json, 8.json and 2 more files",
        "15 puzzles of unknown difficulty: 1.json (1), 2.json (2), 3.json (3) and 2 more files",
    ]
