"""The three public benchmarks, read as their authors publish them.

Promises the puzzles of PrOntoQA-OOD (proofs only), PARARULE-Plus and Multi-LogiEval, each puzzle
once, with an id that does not depend on where the files lie; or raises a `PuzzleError` that names
the file and the place in it. Does not know whether the benchmarks' answers are right.
"""

import re
import reprlib
from collections.abc import Callable, Iterator
from pathlib import Path

from qkcore.puzzles.negation import negate
from qkcore.puzzles.published_files import (
    DEPTH_FOLDER,
    Paths,
    answer_in,
    at,
    field_in,
    find_files,
    labels,
    object_in,
    read_documents,
    text_in,
)
from qkcore.puzzles.puzzle import Puzzle, PuzzleError, assign_splits, context_group

TRUE_FALSE = ("true", "false")
YES_NO = ("yes", "no")
NAMES = {"prontoqa": "PrOntoQA-OOD", "pararule": "PARARULE-Plus", "multilogieval": "Multi-LogiEval"}
EXPECTED = {
    "prontoqa": "examples that hold 'in_context_example0', ... and 'test_example'",
    "pararule": "one object a line with 'context' and 'questions'",
    "multilogieval": "one object with 'depth' and 'samples'",
}

Documents = list[tuple[int, object]]  # the line each begins on, and the JSON value


def import_puzzles(
    format: str, paths: Paths, seed: int = 0, validation_share: float = 0.5
) -> list[Puzzle]:
    """Read one of the public formats and deal its puzzles into validation and test.

    Args:
        format: "prontoqa", "pararule" or "multilogieval".
        paths: files, or folders to search for *.json and *.jsonl.
        seed: of the deal; the same files and seed give the same splits.
        validation_share: 0 to 1, of every number of steps; puzzles of one context stay together.
    """
    if format not in READERS:
        raise PuzzleError(f"format {format!r} is not known; use one of {', '.join(READERS)}")
    return assign_splits(READERS[format](paths), seed, validation_share)


def read_prontoqa(paths: Paths) -> list[Puzzle]:
    """Two puzzles for each "Prove: X": X, which is true, and its negation, which is false."""
    return _read("prontoqa", paths, _prontoqa_puzzles)


def read_pararule(paths: Paths) -> list[Puzzle]:
    """A puzzle for each question, with the steps that its QDep states."""
    return _read("pararule", paths, _pararule_puzzles)


def read_multilogieval(paths: Paths) -> list[Puzzle]:
    """A puzzle for each sample, with the steps that its file's depth states."""
    return _read("multilogieval", paths, _multilogieval_puzzles)


READERS: dict[str, Callable[[Paths], list[Puzzle]]] = {
    "prontoqa": read_prontoqa,
    "pararule": read_pararule,
    "multilogieval": read_multilogieval,
}


def _prontoqa_puzzles(documents: Documents, path: Path, label: str) -> Iterator[Puzzle]:
    for example_name, example in object_in(documents[0][1]).items():
        with at(f"{path}, {example_name}"):
            problems = object_in(example)
        for problem_name, problem in problems.items():
            with at(f"{path}, {example_name}, {problem_name}"):
                is_test = problem_name == "test_example"
                steps = _prontoqa_steps(path.stem, is_test)
                distractors = _prontoqa_distractors(path.stem, is_test)
                name = f"{label}/{example_name}/{problem_name}"
                yield from _prontoqa_pair(problem, name, steps, distractors)


def _prontoqa_pair(problem: object, name: str, steps: int, distractors: int | None) -> list[Puzzle]:
    context, query = text_in(problem, "question"), text_in(problem, "query")
    if not query.startswith("Prove:"):
        raise PuzzleError(
            f"query {query!r} does not begin with 'Prove:'; only proofs-only files can be imported"
        )
    statement = query.removeprefix("Prove:").strip()
    return [
        _puzzle(
            f"{name}/{TRUE_FALSE[answer]}", context, text, TRUE_FALSE, answer, steps, distractors
        )
        for answer, text in enumerate((statement, negate(statement)))
    ]


def _prontoqa_steps(stem: str, is_test: bool) -> int:
    """The hops in a file's name; "testhops" is about the test example alone.

    >>> _prontoqa_steps("1hop_ProofsOnly_5testhops_random_noadj", True)
    5
    """
    hops = re.match(r"(\d+)hop(?:_|$)", stem)
    test_hops = re.search(r"_(\d+)testhops(?:_|$)", stem)
    if not hops:
        raise PuzzleError(
            "the file's name does not begin with its hops ('4hop_...'); give it its published name"
        )
    return int((test_hops if is_test and test_hops else hops)[1])


def _prontoqa_distractors(stem: str, is_test: bool) -> int | None:
    """0 where the file's name rules distractors out, else None: the files do not count them.

    >>> _prontoqa_distractors("2hop_ProofsOnly_testrandom_nodistractor_testdistractor_noadj", False)
    0
    """
    about = re.findall(r"_(test)?(no|irrelevant)?distractor(?=_|$)", stem)
    word = {bool(test): word for test, word in about}
    return 0 if word.get(is_test, word.get(False)) == "no" else None


def _pararule_puzzles(documents: Documents, path: Path, label: str) -> Iterator[Puzzle]:
    for line, document in documents:
        with at(f"{path}, line {line}"):
            context, questions = text_in(document, "context"), field_in(document, "questions", list)
        for number, question in enumerate(questions, start=1):
            with at(f"{path}, line {line}, question {number}"):
                statement = text_in(question, "text")
                answer = answer_in(question, "label", TRUE_FALSE)
                depth = field_in(field_in(question, "meta", dict), "QDep")
                steps = _steps(depth, "QDep", r"(\d{1,4})")
                name = f"{label}/line{line}/question{number}"
                yield _puzzle(name, context, statement, TRUE_FALSE, answer, steps)


def _multilogieval_puzzles(documents: Documents, path: Path, label: str) -> Iterator[Puzzle]:
    with at(str(path)):
        document = object_in(documents[0][1])
        samples = field_in(document, "samples", list)
        steps = _multilogieval_steps(document, path)
    for number, sample in enumerate(samples, start=1):
        with at(f"{path}, sample {number}"):
            context, statement = text_in(sample, "context"), text_in(sample, "question")
            answer = answer_in(sample, "answer", YES_NO)
            yield _puzzle(f"{label}/sample{number}", context, statement, YES_NO, answer, steps)


def _multilogieval_steps(document: dict[str, object], path: Path) -> int:
    folder = next(
        (part for part in reversed(path.resolve().parts) if DEPTH_FOLDER.fullmatch(part)), None
    )
    depth = document.get("depth", folder and folder.removesuffix("_Data"))
    if depth is None:
        raise PuzzleError(
            "field 'depth' is missing and no folder above is named 'd2_Data' or alike; add one of "
            "them"
        )
    return _steps(depth, "depth", r"d(\d{1,4})")


def _puzzle(
    puzzle_id: str,
    context: str,
    statement: str,
    candidates: tuple[str, ...],
    answer: int,
    steps: int,
    distractors: int | None = None,
) -> Puzzle:
    group = context_group(context)
    return Puzzle(
        puzzle_id, context, statement, candidates, answer, steps, distractors, group, split="test"
    )


def _read(
    format: str, paths: Paths, puzzles_of: Callable[[Documents, Path, str], Iterator[Puzzle]]
) -> list[Puzzle]:
    files = find_files(paths)
    puzzles: list[Puzzle] = []
    for path, label in zip(files, labels([file.resolve() for file in files]), strict=True):
        found = list(puzzles_of(_documents(path, format), path, label))
        if not found:
            raise PuzzleError(f"{path}: holds no puzzles; expected {EXPECTED[format]}")
        puzzles += found
    return _without_repeats(puzzles)


def _without_repeats(puzzles: list[Puzzle]) -> list[Puzzle]:
    # Some published files repeat others: the in-context examples of PrOntoQA's 5testhops files come
    # from the 1hop file.
    first: dict[tuple[str, str], Puzzle] = {}
    for puzzle in puzzles:
        other = first.setdefault((puzzle.context, puzzle.statement), puzzle)
        if other.answer != puzzle.answer:
            raise PuzzleError(
                f"{puzzle.puzzle_id}: the same puzzle has another answer in {other.puzzle_id}; "
                "drop one"
            )
    return list(first.values())


def _documents(path: Path, format: str) -> Documents:
    documents = read_documents(path)
    with at(str(path)):
        found = _format_of(documents[0][1])
        if found == "puzzles":
            raise PuzzleError("is a QKScope puzzle file already; use it as it is, without `import`")
        if found not in (None, format):
            raise PuzzleError(
                f"looks like {NAMES[found]}, not {NAMES[format]}; use `import {found}`"
            )
        if found is None or (len(documents) > 1 and format != "pararule"):
            raise PuzzleError(f"is not a {NAMES[format]} file; expected {EXPECTED[format]}")
    return documents


def _format_of(document: object) -> str | None:
    if not isinstance(document, dict):
        return None
    for name, format in (
        ("questions", "pararule"),
        ("samples", "multilogieval"),
        ("statement", "puzzles"),
    ):
        if name in document:
            return format
    names = [name for example in document.values() if isinstance(example, dict) for name in example]
    is_prontoqa = any(re.match("test_example|in_context_example", name) for name in names)
    return "prontoqa" if is_prontoqa else None


def _steps(value: object, name: str, pattern: str) -> int:
    number = re.fullmatch(pattern, str(value))
    if not number:
        raise PuzzleError(
            f"field {name!r} holds no number of steps, found {reprlib.repr(value)}; correct it"
        )
    return int(number[1])
