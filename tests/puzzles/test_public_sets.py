"""The public benchmarks: small files one can check in the head, then the published samples."""

import json
import re
import shutil
from collections import Counter, defaultdict
from itertools import product
from pathlib import Path

import pytest

from qkcore.puzzles.negation import negate
from qkcore.puzzles.public_sets import (
    READERS,
    import_puzzles,
    read_multilogieval,
    read_pararule,
    read_prontoqa,
)
from qkcore.puzzles.puzzle import PuzzleError, load_puzzles, save_puzzles
from tests import ROOT

SAMPLES = ROOT.resolve().parent / "shared" / "data"
FOLDERS = {
    "prontoqa": "prontoqa_ood",
    "pararule": "pararule_plus",
    "multilogieval": "multi_logieval",
}
with_samples = pytest.mark.skipif(
    not SAMPLES.is_dir(), reason=f"the published samples are not in {SAMPLES}"
)

PROBLEM = {
    "question": "Max is a wumpus. Wumpuses are red.",
    "query": "Prove: Max is red.",
    "chain_of_thought": [],
}
QUESTION = {
    "id": "A1",
    "text": "Max is not red.",
    "label": "false",
    "meta": {"QDep": "2", "QCat": "0"},
}
SAMPLE = {
    "id": 1,
    "context": "If it rains, Max is wet. It rains.",
    "question": "Is Max wet?",
    "answer": "Yes",
}


def write(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def prontoqa(problem: dict = PROBLEM, name: str = "test_example") -> str:
    return json.dumps({"example1": {name: problem}}, indent=1)


def pararule(*questions: dict, context: str = "Max is red. ") -> str:
    return json.dumps({"id": "A", "context": context, "questions": list(questions)}) + "\n"


def multilogieval(*samples: dict, **fields) -> str:
    return json.dumps(
        {"logic": "pl", "rule": "MP", "depth": "d2", "samples": list(samples)} | fields, indent=4
    )


def refusal(format: str, paths) -> str:
    """The one sentence that reading these paths ends in."""
    with pytest.raises(PuzzleError) as caught:
        READERS[format](paths)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Negation


@pytest.mark.parametrize(
    ("statement", "negation"),
    [
        ("Max is a wumpus.", "Max is not a wumpus."),
        ("Max is not an impus.", "Max is an impus."),
        ("Wumpuses are red", "Wumpuses are not red"),
        ("The lion is not kind.", "The lion is kind."),
        ("Polly is slow and a numpus.", "Polly is not slow or not a numpus."),
        (
            "Polly is not a wumpus and Polly is not a shumpus.",
            "Polly is a wumpus or Polly is a shumpus.",
        ),
        (
            "Max is a dumpus or a rompus or an impus.",
            "Max is not a dumpus and not a rompus and not an impus.",
        ),
        (
            "Sam is a dumpus, a vumpus, or a zumpus.",
            "Sam is not a dumpus, not a vumpus, and not a zumpus.",
        ),
        ("Max is red and Rex is not blue.", "Max is not red or Rex is blue."),
        # "Max is not red or a cat" could mean neither, so the subject is repeated.
        ("Max is red and not a cat.", "Max is not red or Max is a cat."),
    ],
)
def test_a_statement_and_its_negation(statement, negation):
    assert negate(statement) == negation
    assert negate(negation).count(" not") == statement.count(" not")


def is_true(statement: str, facts: dict[str, bool]) -> bool:
    """What "Max is red and not a wumpus." says when facts are {"red": True, "wumpus": False}."""
    parts = re.split(r",? (?:and|or) |, ", statement.removesuffix("."))
    values = [facts[part.split()[-1]] != (" not " in f" {part} ") for part in parts]
    return all(values) if " and " in statement else any(values)


def is_contradiction(statement: str, negation: str) -> bool:
    words = sorted(
        {part.split()[-1] for part in re.split(r",? (?:and|or) |, ", statement.removesuffix("."))}
    )
    worlds = [
        dict(zip(words, values, strict=True))
        for values in product([True, False], repeat=len(words))
    ]
    return all(is_true(statement, world) != is_true(negation, world) for world in worlds)


@pytest.mark.parametrize("joint", ["and", "or"])
@pytest.mark.parametrize("nots", list(product(["", "not "], repeat=3)))
def test_a_statement_and_its_negation_differ_in_every_world(joint, nots):
    a, b, c = (
        f"Max is {word}{rest}"
        for word, rest in zip(nots, ("a wumpus", "red", "an impus"), strict=True)
    )
    for statement in (
        f"{a}.",
        f"{a} {joint} {b}.",
        f"{a} {joint} {b} {joint} {c}.",
        f"{a}, {b}, {joint} {c}.",
    ):
        assert is_contradiction(statement, negate(statement))
        assert is_contradiction(negate(statement), negate(negate(statement)))


@pytest.mark.parametrize(
    "statement",
    [
        "",
        "Max runs.",
        "Max is",
        "Every wumpus is red.",
        "Some cats are red.",
        "No cats are red.",
        "Is Max red?",
        "Max is red. Rex is blue.",
        "Max is red and a cat or a dog.",
        "Max is red, a cat.",
        "Max is red and a cat, a dog.",
        "Max is not red or a cat.",
        "Max is not not red.",
        "Max and Rex are red.",
        "If Max is red then Rex is blue.",
        "Max is red but Rex isn't blue.",
        "Max is what Rex is.",
    ],
)
def test_a_statement_that_cannot_be_negated_is_quoted(statement):
    with pytest.raises(PuzzleError, match=re.escape(f"cannot negate {statement!r}")):
        negate(statement)


# Reading


def test_a_prontoqa_problem_becomes_a_true_and_a_false_puzzle_of_one_group(tmp_path):
    path = write(tmp_path / "4hop_ProofsOnly_random_noadj.json", prontoqa())
    right, wrong = read_prontoqa([path])
    assert right.puzzle_id == "4hop_ProofsOnly_random_noadj/example1/test_example/true"
    assert wrong.puzzle_id == "4hop_ProofsOnly_random_noadj/example1/test_example/false"
    assert (right.statement, wrong.statement) == ("Max is red.", "Max is not red.")
    assert (right.candidates, right.answer, wrong.answer) == (("true", "false"), 0, 1)
    assert right.group == wrong.group
    assert (right.context, right.steps, right.distractors) == (PROBLEM["question"], 4, None)


def test_a_pararule_question_becomes_a_puzzle(tmp_path):
    path = write(
        tmp_path / "Depth2_test.jsonl",
        pararule({**QUESTION, "text": "Max is red.", "label": "TRUE"}, QUESTION),
    )
    first, second = read_pararule(path)
    assert (first.puzzle_id, second.puzzle_id) == (
        "Depth2_test/line1/question1",
        "Depth2_test/line1/question2",
    )
    assert (first.answer, second.answer) == (0, 1)
    assert (second.context, second.statement, second.steps) == ("Max is red.", "Max is not red.", 2)
    assert first.group == second.group


def test_a_multilogieval_sample_becomes_a_puzzle(tmp_path):
    (puzzle,) = read_multilogieval(write(tmp_path / "MP.json", multilogieval(SAMPLE)))
    assert (puzzle.puzzle_id, puzzle.candidates, puzzle.answer, puzzle.steps) == (
        "MP/sample1",
        ("yes", "no"),
        0,
        2,
    )
    assert (puzzle.context, puzzle.statement) == (SAMPLE["context"], SAMPLE["question"])


def test_the_depth_comes_from_the_folder_where_the_file_states_none(tmp_path):
    document = json.loads(multilogieval(SAMPLE))
    del document["depth"]
    path = write(tmp_path / "d4_Data" / "pl" / "MP.json", json.dumps(document))
    assert read_multilogieval(path)[0].steps == 4
    path = write(tmp_path / "MP.json", json.dumps(document))
    assert read_multilogieval(path)[0].steps is None


@pytest.mark.parametrize("depth", ["-", "", " – ", "?", "Unknown", "n/a", None])
def test_a_depth_that_states_nothing_is_that_of_the_folder_or_unknown(tmp_path, depth):
    document = multilogieval(SAMPLE, depth=depth)
    path = write(tmp_path / "multivariable_fol_Data" / "fol_multi_1.json", document)
    assert read_multilogieval(path)[0].steps is None
    path = write(tmp_path / "d4_Data" / "fol" / "fol_multi_1.json", document)
    assert read_multilogieval(path)[0].steps == 4


@pytest.mark.parametrize("meta", [{"QDep": "-"}, {"QDep": None}, {"QCat": "0"}])
def test_a_pararule_question_that_states_no_depth_has_unknown_steps(tmp_path, meta):
    path = write(tmp_path / "a.jsonl", pararule(QUESTION, {**QUESTION, "text": "A.", "meta": meta}))
    assert [puzzle.steps for puzzle in read_pararule(path)] == [2, None]


def test_a_prontoqa_file_whose_name_states_no_hops_has_unknown_steps(tmp_path):
    path = write(tmp_path / "examples.json", prontoqa())
    assert [puzzle.steps for puzzle in read_prontoqa(path)] == [None, None]


def test_testhops_and_testdistractor_in_a_file_name_are_about_the_test_example_alone(tmp_path):
    problems = {
        "in_context_example0": PROBLEM,
        "test_example": {**PROBLEM, "query": "Prove: Max is a wumpus."},
    }
    name = "1hop_ProofsOnly_5testhops_nodistractor_testdistractor_noadj.json"
    puzzles = read_prontoqa(write(tmp_path / name, json.dumps({"example1": problems})))
    assert [(puzzle.steps, puzzle.distractors) for puzzle in puzzles] == [
        (1, 0),
        (1, 0),
        (5, None),
        (5, None),
    ]


@pytest.mark.parametrize("text", ["a café at 30 °C", "Max’s “cat”"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
def test_utf_8_and_cp1252_files_give_the_same_characters(tmp_path, text, encoding):
    content = json.dumps(
        {"depth": "d1", "samples": [{**SAMPLE, "context": text}]}, ensure_ascii=False
    )
    assert (
        read_multilogieval(write(tmp_path / "CT.json", content.encode(encoding)))[0].context == text
    )


def test_crlf_and_empty_lines_change_nothing_but_the_line_number(tmp_path):
    path = write(
        tmp_path / "a.jsonl",
        (pararule(QUESTION) + "\n" + pararule(QUESTION, context="B")).replace("\n", "\r\n"),
    )
    assert [puzzle.puzzle_id for puzzle in read_pararule(path)] == [
        "a/line1/question1",
        "a/line3/question1",
    ]


def test_a_folder_is_searched_for_json_files_and_nothing_else(tmp_path):
    write(tmp_path / "b" / "2.json", multilogieval(SAMPLE))
    write(tmp_path / "a" / "1.json", multilogieval({**SAMPLE, "context": "Other."}))
    write(tmp_path / "SOURCE.txt", "not JSON")
    write(tmp_path / "a" / "._1.json", b"\0\5\x16\7")
    assert [puzzle.puzzle_id for puzzle in read_multilogieval([tmp_path])] == [
        "1/sample1",
        "2/sample1",
    ]


def test_ids_do_not_depend_on_where_the_folder_lies(tmp_path):
    for root in ("here", "there/and/deeper"):
        for name in ("d1_Data/pl/MP.json", "d1_Data/fol/MP.json"):
            write(tmp_path / root / name, multilogieval({**SAMPLE, "context": name}))
    ids = [
        [puzzle.puzzle_id for puzzle in read_multilogieval(tmp_path / root)]
        for root in ("here", "there")
    ]
    assert ids == [["d1_Data/fol/MP/sample1", "d1_Data/pl/MP/sample1"]] * 2


def test_files_of_one_name_in_two_folders_get_ids_that_differ(tmp_path):
    for folder in ("a", "b"):
        write(tmp_path / folder / "x.jsonl", pararule(QUESTION, context=folder))
    assert [p.puzzle_id for p in read_pararule([tmp_path])] == [
        "a/x/line1/question1",
        "b/x/line1/question1",
    ]


def test_files_that_differ_in_their_suffix_get_ids_that_differ(tmp_path):
    for name in ("x.json", "x.jsonl"):
        write(tmp_path / name, pararule(QUESTION, context=name))
    assert [p.puzzle_id for p in read_pararule([tmp_path])] == [
        "x.json/line1/question1",
        "x.jsonl/line1/question1",
    ]


def test_a_file_given_twice_and_a_puzzle_that_recurs_are_read_once(tmp_path):
    first = write(tmp_path / "a.jsonl", pararule(QUESTION, QUESTION))
    second = write(tmp_path / "b.jsonl", pararule(QUESTION))
    assert [p.puzzle_id for p in read_pararule([second, first, second, tmp_path])] == [
        "b/line1/question1"
    ]


def test_puzzles_of_one_context_share_a_group_across_files(tmp_path):
    write(tmp_path / "1hop_a.json", prontoqa())
    write(tmp_path / "1hop_b.json", prontoqa({**PROBLEM, "query": "Prove: Max is a wumpus."}))
    puzzles = import_puzzles("prontoqa", [tmp_path])
    assert len(puzzles) == 4
    assert len({(puzzle.group, puzzle.split) for puzzle in puzzles}) == 1


# Refusals


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"query": "True or false: Max is red."},
            "query 'True or false: Max is red.' does not begin with 'Prove:'",
        ),
        ({"query": "Prove: Every wumpus is red."}, "cannot negate 'Every wumpus is red.'"),
        ({"query": "Prove:"}, "cannot negate ''"),
        ({"query": None}, "field 'query' must be text, found None"),
        ({"question": ""}, "field 'question' is empty"),
        ({"question": "\ud800"}, "field 'question' holds half a character"),
    ],
)
def test_a_wrong_prontoqa_problem_is_refused_with_its_place(tmp_path, change, words):
    path = write(
        tmp_path / "1hop_x.json", prontoqa({**PROBLEM, **change}, name="in_context_example3")
    )
    assert refusal("prontoqa", path).startswith(f"{path}, example1, in_context_example3: {words}")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"label": "unknown"}, "label 'unknown' is none of 'true', 'false'"),
        ({"label": True}, "field 'label' must be text, found True"),
        ({"meta": "2"}, "field 'meta' must be a JSON object, found '2'"),
        ({"meta": {"QDep": [2]}}, "field 'QDep' holds no number of steps, found [2]"),
        ({"meta": {"QDep": "deep"}}, "field 'QDep' holds no number of steps, found 'deep'"),
        ({"meta": {"QDep": True}}, "field 'QDep' holds no number of steps, found True"),
        ({"meta": {"QDep": 9999}}, "field 'steps' must be a whole number from 0 to 1,000"),
        ({"text": " "}, "field 'text' is empty"),
    ],
)
def test_a_wrong_pararule_question_is_refused_with_line_and_number(tmp_path, change, words):
    path = write(
        tmp_path / "a.jsonl",
        pararule(QUESTION) + pararule(QUESTION, {**QUESTION, **change}, context="B"),
    )
    assert refusal("pararule", path).startswith(f"{path}, line 2, question 2: {words}")


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (
            multilogieval(SAMPLE, {**SAMPLE, "answer": "maybe"}),
            ", sample 2: answer 'maybe' is none of 'yes', 'no'",
        ),
        (multilogieval(SAMPLE, {"context": "A."}), ", sample 2: field 'question' is missing"),
        (multilogieval("a"), ", sample 1: must be a JSON object, found 'a'"),
        (multilogieval(SAMPLE, depth="2"), ": field 'depth' holds no number of steps, found '2'"),
        (
            multilogieval(SAMPLE, depth="d99999"),
            ": field 'depth' holds no number of steps, found 'd99999'",
        ),
        (multilogieval(SAMPLE, depth=[]), ": field 'depth' holds no number of steps, found []"),
        (multilogieval(SAMPLE, samples={}), ": field 'samples' must be a list, found {}"),
        (multilogieval(), ": holds no puzzles"),
        (
            multilogieval({**SAMPLE, "answer": "no"}, SAMPLE),
            "MP/sample2: the same puzzle has another answer in MP/sample1",
        ),
        (multilogieval(SAMPLE)[:-30], ", line 10, column 13: not valid JSON"),
        ('{"depth": "d1", "depth": "d2"}', ", line 1 or below: field 'depth' stands twice"),
        ("[" * 100_000, ", line 1 or below: not readable JSON"),
        ('{"depth": ' + "1" * 5000 + "}", ", line 1 or below: not readable JSON"),
        ("[]", ": is not a Multi-LogiEval file; expected one object with 'depth' and 'samples'"),
        ("{}", ": is not a Multi-LogiEval file"),
        ("", ": is empty"),
        (b"\xef\xbb\xbf\n", ": is empty"),
        (multilogieval(SAMPLE).encode("utf-16"), ": is not UTF-8 text"),
        (b'{"depth": "\x81"}', ": is neither UTF-8 nor cp1252 text"),
    ],
)
def test_a_malformed_multilogieval_file_is_refused_with_its_place(tmp_path, document, words):
    path = write(tmp_path / "MP.json", document)
    message = refusal("multilogieval", path)
    assert words in message
    assert message.startswith(str(path)) or "another answer" in message
    assert len(message) < len(str(path)) + 200


def test_a_line_of_bad_json_is_refused_with_its_number(tmp_path):
    path = write(tmp_path / "a.jsonl", pararule(QUESTION) + '{"context": "B", "questions": [\n')
    assert refusal("pararule", path).startswith(f"{path}, line 2, column 32: not valid JSON")
    path = write(tmp_path / "b.jsonl", pararule(QUESTION) + "7\n")
    assert refusal("pararule", path).startswith(f"{path}, line 2: must be a JSON object, found 7")


def test_a_prontoqa_file_whose_name_states_too_many_hops_is_refused(tmp_path):
    path = write(tmp_path / "99999hop_x.json", prontoqa())
    assert "field 'steps' must be a whole number from 0 to 1,000" in refusal("prontoqa", path)


def test_two_prontoqa_documents_in_one_file_are_refused(tmp_path):
    path = write(
        tmp_path / "1hop_x.json", prontoqa().replace("\n", "") + "\n" + prontoqa().replace("\n", "")
    )
    assert "is not a PrOntoQA-OOD file" in refusal("prontoqa", path)


@pytest.mark.parametrize("asked", READERS)
def test_the_file_of_another_format_is_recognised(tmp_path, asked):
    names = {
        "prontoqa": "PrOntoQA-OOD",
        "pararule": "PARARULE-Plus",
        "multilogieval": "Multi-LogiEval",
    }
    contents = {
        "prontoqa": prontoqa(),
        "pararule": pararule(QUESTION) + pararule(QUESTION, context="B"),
        "multilogieval": multilogieval(SAMPLE),
    }
    for given in READERS.keys() - {asked}:
        path = write(tmp_path / "1hop_x.json", contents[given])
        assert (
            refusal(asked, path)
            == f"{path}: looks like {names[given]}, not {names[asked]}; use `import {given}`"
        )


@pytest.mark.parametrize("asked", READERS)
def test_a_puzzle_file_of_this_project_needs_no_import(tmp_path, asked):
    source = write(tmp_path / "MP.json", multilogieval(SAMPLE))
    save_puzzles(read_multilogieval(source), tmp_path / "puzzles.jsonl")
    assert "is a QKScope puzzle file already" in refusal(asked, tmp_path / "puzzles.jsonl")


def test_paths_that_lead_to_nothing_are_refused(tmp_path):
    assert (
        refusal("pararule", tmp_path / "x.jsonl")
        == f"{tmp_path}/x.jsonl: no such file or folder; check the path"
    )
    assert refusal("pararule", tmp_path).startswith(f"{tmp_path}: holds no .json or .jsonl file")
    assert refusal("pararule", "x" * 5000).endswith("no such file or folder; check the path")
    assert refusal("pararule", []).startswith("no path was given")
    with pytest.raises(
        PuzzleError,
        match="format 'boxes' is not known; use one of prontoqa, pararule, multilogieval",
    ):
        import_puzzles("boxes", [tmp_path])


# The published samples


def sample_files(format: str) -> list[Path]:
    return sorted(file for file in (SAMPLES / FOLDERS[format]).rglob("*.json*"))


def published_items(file: Path) -> list[tuple[str, str]]:
    """Context and statement of every item in a sample file, read with plain code."""
    data = file.read_bytes()
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = data.decode("cp1252")
    if file.suffix == ".jsonl":
        rows = [json.loads(line) for line in text.splitlines()]
        return [
            (row["context"].strip(), question["text"])
            for row in rows
            for question in row["questions"]
        ]
    document = json.loads(text)
    if "samples" in document:
        return [(sample["context"], sample["question"]) for sample in document["samples"]]
    problems = [problem for example in document.values() for problem in example.values()]
    return [(problem["question"], problem["query"].removeprefix("Prove: ")) for problem in problems]


@with_samples
@pytest.mark.parametrize("format", READERS)
def test_every_sample_file_gives_all_its_items_once(format):
    n_each = 2 if format == "prontoqa" else 1
    assert sample_files(format)
    for file in sample_files(format):
        items = published_items(file)
        puzzles = READERS[format](file)
        assert len(puzzles) == n_each * len(items) == n_each * len(set(items)) > 0
        assert [(puzzle.context, puzzle.statement) for puzzle in puzzles[::n_each]] == items


@with_samples
@pytest.mark.parametrize(
    ("format", "n"), [("prontoqa", 1442), ("pararule", 670), ("multilogieval", 525)]
)
def test_a_sample_folder_gives_each_distinct_item_once_and_survives_a_puzzle_file(
    format, n, tmp_path
):
    puzzles = import_puzzles(format, [SAMPLES / FOLDERS[format]])
    items = {item for file in sample_files(format) for item in published_items(file)}
    assert len(puzzles) == n == len(items) * (2 if format == "prontoqa" else 1)
    assert len({puzzle.puzzle_id for puzzle in puzzles}) == n
    save_puzzles(puzzles, tmp_path / "puzzles.jsonl")
    assert load_puzzles(tmp_path / "puzzles.jsonl") == puzzles


@with_samples
@pytest.mark.parametrize("format", READERS)
def test_the_samples_are_split_in_halves_for_every_number_of_steps(format):
    puzzles = import_puzzles(format, [SAMPLES / FOLDERS[format]])
    largest = max(Counter(puzzle.group for puzzle in puzzles).values())
    assert len({(puzzle.group, puzzle.split) for puzzle in puzzles}) == len(
        {puzzle.group for puzzle in puzzles}
    )
    for steps in {puzzle.steps for puzzle in puzzles}:
        counts = Counter(puzzle.split for puzzle in puzzles if puzzle.steps == steps)
        assert abs(counts["validation"] - counts["test"]) <= largest


@with_samples
def test_every_prontoqa_group_holds_one_true_and_one_false_puzzle_that_contradict_each_other():
    groups = defaultdict(list)
    for puzzle in read_prontoqa([SAMPLES / FOLDERS["prontoqa"]]):
        groups[puzzle.group].append(puzzle)
    assert len(groups) == 721
    for right, wrong in groups.values():
        assert (right.answer, wrong.answer) == (0, 1)
        assert is_contradiction(right.statement, wrong.statement)


@with_samples
def test_prontoqa_steps_and_distractors_agree_with_the_published_proofs():
    # A proof of K steps begins with a premise and gives each step a rule and a conclusion.
    for file in sample_files("prontoqa"):
        document = json.loads(file.read_text("utf-8"))
        proofs = [
            problem["chain_of_thought"]
            for example in document.values()
            for problem in example.values()
        ]
        if "ProofsOnly" in file.name:
            for puzzle, proof in zip(read_prontoqa(file)[::2], proofs, strict=True):
                assert puzzle.steps == (len(proof) - 1) / 2
                assert puzzle.statement == proof[-1]
                if puzzle.distractors == 0:
                    assert set(re.findall(r"[^.]+\.", puzzle.context.replace(". ", "."))) <= set(
                        proof
                    )


@with_samples
def test_pararule_samples_are_false_exactly_when_the_statement_contains_not():
    puzzles = read_pararule(SAMPLES / FOLDERS["pararule"])
    assert all((puzzle.answer == 1) == (" not " in puzzle.statement) for puzzle in puzzles)
    assert Counter(puzzle.steps for puzzle in puzzles) == {2: 222, 3: 222, 5: 226}


@with_samples
def test_multilogieval_samples_have_the_steps_of_their_folder_and_mostly_the_answer_yes():
    for file in sample_files("multilogieval"):
        steps = int(re.search(r"/d(\d)_Data/", file.as_posix())[1])
        assert {puzzle.steps for puzzle in read_multilogieval(file)} == {steps}
    puzzles = read_multilogieval(SAMPLES / FOLDERS["multilogieval"])
    assert Counter(puzzle.answer for puzzle in puzzles) == {0: 395, 1: 130}
    assert {puzzle.answer for puzzle in puzzles if puzzle.steps == 5} == {0}


@with_samples
def test_the_cp1252_samples_have_their_characters():
    folder = SAMPLES / FOLDERS["multilogieval"]
    for name, character in (("d1_Data/pl/CT.json", "é"), ("d5_Data/pl/BD_C_DS_MP_MP.json", "°")):
        text = "".join(
            puzzle.context + puzzle.statement for puzzle in read_multilogieval(folder / name)
        )
        assert set(re.findall(r"[^\x00-\x7f]", text)) == {character}


@with_samples
def test_ids_of_the_samples_are_the_same_from_a_copy_elsewhere(tmp_path):
    for format, folder in FOLDERS.items():
        shutil.copytree(SAMPLES / folder, tmp_path / "elsewhere" / folder)
        assert READERS[format](tmp_path / "elsewhere" / folder) == READERS[format](SAMPLES / folder)
