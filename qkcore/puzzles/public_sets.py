"""The three public benchmarks, read as their authors publish them.

Promises the puzzles of PrOntoQA-OOD (proofs only), PARARULE-Plus and Multi-LogiEval, each puzzle
once, with an id that does not depend on where the files lie; or raises a `PuzzleError` that names
the file and the place in it. Files in a folder that are none of the set's are left out, with the
reason. Does not know whether the benchmarks' answers are right.
"""

import re
import reprlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from qkcore.puzzles.import_report import Import, LeftOut, without_repeats
from qkcore.puzzles.negation import negate
from qkcore.puzzles.published_files import (
    DEPTH_FOLDER,
    NoPuzzles,
    NotJson,
    Paths,
    answer_in,
    at,
    field_in,
    find_files,
    labels,
    mentions,
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
FIELDS = {  # by which a file of the set is known even if it is broken
    "prontoqa": ("test_example", "in_context_example"),
    "pararule": ("questions",),
    "multilogieval": ("samples",),
}
UNKNOWN = ("", "-", "–", "—", "?", "none", "unknown", "n/a")  # a difficulty that nobody states

Documents = list[tuple[int, object]]  # the line each begins on, and the JSON value


def import_puzzles(
    format: str, paths: Paths, seed: int = 0, validation_share: float = 0.5
) -> list[Puzzle]:
    """Read one of the public formats and deal its puzzles into validation and test.

    `read_set` takes the same, and also says what was left out and why.

    Args:
        format: "prontoqa", "pararule" or "multilogieval".
        paths: files, or folders to search for *.json and *.jsonl.
        seed: of the deal; the same files and seed give the same splits.
        validation_share: 0 to 1, of every number of steps; puzzles of one context stay together.

    >>> import json
    >>> import tempfile
    >>> from pathlib import Path
    >>> from qkcore import import_puzzles
    >>> question = {"text": "Max is kind.", "label": "true", "meta": {"QDep": "1"}}
    >>> published = {"context": "Max is red. All red people are kind.", "questions": [question]}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     n_characters = Path(folder, "set.jsonl").write_text(json.dumps(published))
    ...     [(one.statement, one.steps) for one in import_puzzles("pararule", [Path(folder)])]
    [('Max is kind.', 1)]
    """
    return read_set(format, paths, seed, validation_share).puzzles


def read_set(
    format: str,
    paths: Paths,
    seed: int = 0,
    validation_share: float = 0.5,
    pattern: str = "*.json*",
) -> Import:
    """The puzzles of `import_puzzles`, with what was taken from each file and what was left out.

    Steps are None where the files do not state them. A file found in a folder that is none of the
    set's is left out; so is a puzzle that stands in such files with two answers.

    Args:
        format: "prontoqa", "pararule" or "multilogieval".
        paths: files, or folders to search for *.json and *.jsonl.
        seed: of the deal; the same files and seed give the same splits.
        validation_share: 0 to 1, of every number of steps; puzzles of one context stay together.
        pattern: of the files that are looked at in folders.

    Returns:
        `puzzles`; `taken`, each file read with its counts; `left_out`, each other file with the
        reason. `import_report.report` puts all this in a few lines.

    Raises:
        PuzzleError: naming file and field, if a file of the set is wrong, if a file that is named
            itself is none of the set's, or if no puzzle is left.

    >>> import json
    >>> import tempfile
    >>> from pathlib import Path
    >>> from qkcore import read_set
    >>> question = {"text": "Max is kind.", "label": "true", "meta": {"QDep": "1"}}
    >>> published = {"context": "Max is red. All red people are kind.", "questions": [question]}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     n_characters = Path(folder, "set.jsonl").write_text(json.dumps(published))
    ...     n_characters = Path(folder, "config.json").write_text("{}")
    ...     found = read_set("pararule", folder)
    >>> [(file.path.name, file.n_puzzles) for file in found.taken]
    [('set.jsonl', 1)]
    >>> [(file.path.name, file.reason) for file in found.left_out]
    [('config.json', 'is not a PARARULE-Plus file')]
    """
    if format not in READERS:
        raise PuzzleError(f"format {format!r} is not known; use one of {', '.join(READERS)}")
    found = _read(format, paths, pattern)
    return replace(found, puzzles=assign_splits(found.puzzles, seed, validation_share))


def read_prontoqa(paths: Paths) -> list[Puzzle]:
    """Two puzzles for each "Prove: X": X, which is true, and its negation, which is false."""
    return _read("prontoqa", paths).puzzles


def read_pararule(paths: Paths) -> list[Puzzle]:
    """A puzzle for each question, with the steps that its QDep states."""
    return _read("pararule", paths).puzzles


def read_multilogieval(paths: Paths) -> list[Puzzle]:
    """A puzzle for each sample, with the steps that its file's depth states."""
    return _read("multilogieval", paths).puzzles


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


def _prontoqa_pair(
    problem: object, name: str, steps: int | None, distractors: int | None
) -> list[Puzzle]:
    context, query = text_in(problem, "question"), text_in(problem, "query")
    if not query.startswith("Prove:"):
        message = (
            f"query {query!r} does not begin with 'Prove:'; only proofs-only files can be imported"
        )
        if "true or false" in f"{context} {query}".lower():
            raise NoPuzzles(message, "asks true or false, which is not proofs-only")
        raise PuzzleError(message)
    statement = query.removeprefix("Prove:").strip()
    return [
        _puzzle(
            f"{name}/{TRUE_FALSE[answer]}", context, text, TRUE_FALSE, answer, steps, distractors
        )
        for answer, text in enumerate((statement, negate(statement)))
    ]


def _prontoqa_steps(stem: str, is_test: bool) -> int | None:
    """The hops in a file's name, if any; "testhops" is about the test example alone.

    >>> _prontoqa_steps("1hop_ProofsOnly_5testhops_random_noadj", True)
    5
    """
    hops = re.match(r"(\d+)hop(?:_|$)", stem)
    test_hops = re.search(r"_(\d+)testhops(?:_|$)", stem)
    stated = test_hops if is_test and test_hops else hops
    return int(stated[1]) if stated else None


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
                has_meta = isinstance(question, dict) and "meta" in question
                meta = field_in(question, "meta", dict) if has_meta else {}
                steps = _steps(meta.get("QDep"), "QDep", r"(\d{1,4})")
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


def _multilogieval_steps(document: dict[str, object], path: Path) -> int | None:
    """The depth that the file states, else its folder's, else None."""
    folder = next(
        (part for part in reversed(path.resolve().parts) if DEPTH_FOLDER.fullmatch(part)), None
    )
    stated = _steps(document.get("depth"), "depth", r"d(\d{1,4})")
    if stated is None and folder:
        return _steps(folder.removesuffix("_Data"), "depth", r"d(\d{1,4})")
    return stated


def _puzzle(
    puzzle_id: str,
    context: str,
    statement: str,
    candidates: tuple[str, ...],
    answer: int,
    steps: int | None,
    distractors: int | None = None,
) -> Puzzle:
    group = context_group(context)
    return Puzzle(
        puzzle_id, context, statement, candidates, answer, steps, distractors, group, split="test"
    )


PARSERS: dict[str, Callable[[Documents, Path, str], Iterator[Puzzle]]] = {
    "prontoqa": _prontoqa_puzzles,
    "pararule": _pararule_puzzles,
    "multilogieval": _multilogieval_puzzles,
}


def _read(format: str, paths: Paths, pattern: str = "*.json*") -> Import:
    files = find_files(paths, pattern)
    read: dict[Path, list[Puzzle]] = {}
    left_out: list[LeftOut] = []
    for path, label in zip(files, labels([file.resolve() for file in files]), strict=True):
        try:
            read[path] = _puzzles_of(format, path, label)
        except NoPuzzles as error:
            if files[path]:  # somebody named it, and expects puzzles
                raise
            left_out.append(LeftOut(path, error.reason))
    puzzles, taken = without_repeats(read, {path for path in files if files[path]})
    if not puzzles:
        why = f" ({left_out[0].path} {left_out[0].reason})" if left_out else ""
        raise PuzzleError(
            f"no {NAMES[format]} puzzles are left of the files found{why}; name the folder that "
            "has the benchmark's files"
        )
    return Import(puzzles, taken, left_out)


def _puzzles_of(format: str, path: Path, label: str) -> list[Puzzle]:
    puzzles = list(PARSERS[format](_documents(path, format), path, label))
    if not puzzles:
        with at(str(path)):
            raise NoPuzzles(f"holds no puzzles; expected {EXPECTED[format]}")
    return puzzles


def _documents(path: Path, format: str) -> Documents:
    try:
        documents = read_documents(path)
    except NotJson as error:
        if mentions(path, FIELDS[format]):  # a file of the set, and damaged
            raise
        raise NoPuzzles(str(error), "is not readable JSON") from None
    with at(str(path)):
        found = _format_of(documents[0][1])
        if found == "puzzles":
            raise NoPuzzles("is a QKScope puzzle file already; use it as it is, without `import`")
        if found not in (None, format):
            raise NoPuzzles(f"looks like {NAMES[found]}, not {NAMES[format]}; use `import {found}`")
        if found is None or (len(documents) > 1 and format != "pararule"):
            raise NoPuzzles(f"is not a {NAMES[format]} file; expected {EXPECTED[format]}")
    return documents


def _format_of(document: object) -> str | None:
    if not isinstance(document, dict):
        return None
    # A config may have "questions" or "samples" too, but neither objects in them nor these beside.
    for name, beside, format in (
        ("questions", {"context"}, "pararule"),
        ("samples", {"logic", "rule", "depth"}, "multilogieval"),
    ):
        inside = document.get(name)
        holds_objects = isinstance(inside, list) and any(isinstance(one, dict) for one in inside)
        if name in document and (holds_objects or document.keys() & beside):
            return format
    if "statement" in document:
        return "puzzles"
    names = [name for example in document.values() if isinstance(example, dict) for name in example]
    is_prontoqa = any(re.match("test_example|in_context_example", name) for name in names)
    return "prontoqa" if is_prontoqa else None


def _steps(value: object, name: str, pattern: str) -> int | None:
    if value is None or str(value).strip().lower() in UNKNOWN:
        return None
    number = re.fullmatch(pattern, str(value))
    if not number:
        raise PuzzleError(
            f"field {name!r} holds no number of steps, found {reprlib.repr(value)}; correct it"
        )
    return int(number[1])
