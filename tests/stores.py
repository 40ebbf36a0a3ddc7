"""Stores with planted results: no model, so what each page must show is known beforehand."""

import shutil
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from qkcore.bundled import demo_store
from qkcore.puzzles.puzzle import Puzzle, puzzle_set_sha256
from qkcore.results.parts import PART_SIZE, Part, n_parts, part_path, write_part
from qkcore.results.publish import Run, WorkedExample, collect, publish
from qkcore.results.schema import ADDED
from qkcore.results.store import ResultStore
from qkcore.statistics.calibration import offsets

N_LAYERS, N_HEADS = 3, 4
PLANTED = (1, 2)  # right on nine puzzles in ten; every other head guesses


def demo_run(puzzle_set: str = "made-up", rope: str = "pre", model: str = "reference") -> str:
    """The id of a run of the demo store, by default of the bundled model."""
    with ResultStore.open(demo_store()) as store:
        runs = store.runs().set_index(["model", "puzzle_set", "rope"])["run_id"]
    return str(runs[model, puzzle_set, rope])


def planted_puzzles(n_groups: int = 60) -> list[Puzzle]:
    """Two puzzles a group, one true and one false.

    Steps 1 to 3, distractors 0 and 1, half of the groups test.
    """
    return [
        Puzzle(
            puzzle_id=f"g{group}-{answer}",
            context=f"Context {group}.",
            statement=f"Statement {answer}.",
            candidates=("true", "false"),
            answer=answer,
            steps=1 + group % 3,
            distractors=group // 3 % 2,
            group=f"g{group}",
            split="test" if group // 6 % 2 else "validation",
        )
        for group in range(n_groups)
        for answer in (0, 1)
    ]


def planted_scores(puzzles: list[Puzzle], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """qk (puzzle, layer * head, candidate) and logits (puzzle, candidate).

    The model is right on two in three.
    """
    rng = np.random.default_rng(seed)
    qk = rng.normal(size=(len(puzzles), N_LAYERS * N_HEADS, 2)).astype(np.float32)
    logits = np.zeros((len(puzzles), 2), dtype=np.float32)
    for index, puzzle in enumerate(puzzles):
        right = puzzle.answer if index % 10 else 1 - puzzle.answer
        qk[index, PLANTED[0] * N_HEADS + PLANTED[1], right] = 9.0
        logits[index, puzzle.answer if index % 3 else 1 - puzzle.answer] = 1.0
    return qk, logits


def planted_run(puzzles: list[Puzzle], **changes) -> Run:
    """A run on these puzzles."""
    fields = dict(
        run_id="planted-1",
        model="planted",
        model_revision="r1",
        puzzle_set="planted-set",
        puzzle_set_sha256=puzzle_set_sha256(puzzles),
        n_layers=N_LAYERS,
        n_heads=N_HEADS,
        n_kv_heads=2,
        dtype="float32",
        rope="pre",
        template="default",
    )
    return Run(**fields | changes)


def write_parts(
    folder: Path, puzzles: list[Puzzle], qk: np.ndarray, logits: np.ndarray
) -> list[Path]:
    """All parts of a run, as precompute would leave them."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index in range(n_parts(len(puzzles))):
        rows = slice(index * PART_SIZE, (index + 1) * PART_SIZE)
        ids = tuple(puzzle.puzzle_id for puzzle in puzzles[rows])
        write_part(part_path(folder, index), Part(ids, qk[rows], logits[rows], seconds=1.0))
        paths.append(part_path(folder, index))
    return paths


def publish_parts(
    path: Path,
    run: Run,
    puzzles: list[Puzzle],
    parts: list[Path],
    with_texts: bool = True,
    example: WorkedExample | None = None,
) -> None:
    """Finished parts into a store."""
    publish(path, run, puzzles, collect(run, puzzles, parts), with_texts, example)


def planted_store(path: Path, n_groups: int = 60, seed: int = 0, **changes) -> Path:
    """A store of one run, with a head worth finding."""
    puzzles = planted_puzzles(n_groups)
    parts = write_parts(path.with_suffix(".parts"), puzzles, *planted_scores(puzzles, seed))
    run = planted_run(puzzles, **changes)
    publish_parts(path, run, puzzles, parts, example=planted_example(run))
    return path


def planted_example(run: Run) -> WorkedExample:
    """The planted head, with vectors whose products can be checked in the head.

    1*2 + 2*1 = 4 for true, 1*0 + 2*1 = 2 for false.
    """
    place, head = divmod(PLANTED[0] * N_HEADS + PLANTED[1], run.n_heads)
    layer = run.layers_with_heads[place]
    tokens, candidates = ["Statement", ".", "\n", "Answer", ":"], [" true", " false"]
    vectors = [1.0, 2.0], [[2.0, 1.0], [0.0, 1.0]]
    return WorkedExample("g6-0", layer, head, tokens, 2, candidates, *vectors)


def family_store(path: Path) -> Path:
    """One model in three runs.

    planted-1 and planted-post on the same puzzles, planted-2 on another set.
    """
    planted_store(path, seed=2, run_id="planted-post", rope="post")
    planted_store(path, n_groups=48, seed=1, run_id="planted-2", puzzle_set="other-set")
    planted_store(path)
    puzzles = planted_puzzles()
    plant_layers(path, puzzles, planted_lens(puzzles, [0.5, 0.95], planted_scores(puzzles)[1]))
    return path


def planted_lens(
    puzzles: list[Puzzle], shares: list[float], logits: np.ndarray, seed: int = 0
) -> np.ndarray:
    """(puzzle, layer, candidate): a lens that is right on these shares, and after them the model.

    It leans to the second candidate at each layer, by more than it knows.
    """
    rng = np.random.default_rng(seed)
    answer = np.array([puzzle.answer for puzzle in puzzles])
    lens = np.zeros((len(puzzles), len(shares) + 1, 2), dtype=np.float32)
    for layer, share in enumerate(shares):
        is_right = rng.random(len(puzzles)) < share
        lens[np.arange(len(puzzles)), layer, np.where(is_right, answer, 1 - answer)] = 1.0
        lens[:, layer, 1] += 3.0
    lens[:, -1] = logits
    return lens


def plant_layers(
    path: Path,
    puzzles: list[Puzzle],
    lens: np.ndarray,
    run_id: str = "planted-1",
    probe: np.ndarray | None = None,
    control: np.ndarray | None = None,
) -> None:
    """Tables lens, lens_offsets and probes of a run that is there.

    Args:
        path: of the store.
        puzzles: of the run.
        lens: (puzzle, layer, candidate) logits.
        run_id: of the run.
        probe: (puzzle, layer) choices, -1 for none; None: right on nine test puzzles in ten.
        control: likewise; None: always the first.
    """
    answer = np.array([puzzle.answer for puzzle in puzzles])
    is_validation = np.array([puzzle.split == "validation" for puzzle in puzzles])
    own_offsets = offsets(lens[is_validation], answer[is_validation])
    if probe is None:
        right = np.where(np.arange(len(puzzles)) % 10 > 0, answer, 1 - answer)
        probe = np.where(is_validation, -1, right)[:, None].repeat(lens.shape[1], axis=1)
    if control is None:
        control = np.where(probe < 0, -1, 0)
    layers, starts = range(lens.shape[1]), range(0, len(puzzles), 256)
    rows = {
        "lens": [
            {
                "layer": layer,
                "first_place": first,
                "logit": lens[first : first + 256, layer].ravel(),
            }
            for layer in layers
            for first in starts
        ],
        "lens_offsets": [{"layer": layer, "offset": own_offsets[layer]} for layer in layers],
        "probes": [
            {
                "layer": layer,
                "choice": probe[:, layer].astype(np.int8),
                "control": control[:, layer].astype(np.int8),
                "n_validation": int(is_validation.sum()),
                "strength": 1.0,
            }
            for layer in layers
        ],
    }
    beside = path.with_suffix(".planting")
    shutil.copyfile(path, beside)  # as publishing does: a reader may have the file open
    with duckdb.connect(str(beside)) as connection:
        connection.execute(ADDED)
        for table, own in rows.items():
            planted = pa.Table.from_pylist([row | {"run_id": run_id} for row in own])
            connection.register("planted", planted)
            connection.execute(f"insert into {table} by name select * from planted")
    beside.replace(path)


def guessing_puzzles(n: int) -> list[Puzzle]:
    """Steps 1 to 6, distractors 0 to 5, two puzzles a group."""
    return [
        Puzzle(
            puzzle_id=f"p{number}",
            context=f"Context {number // 2}.",
            statement=f"Statement {number % 2}.",
            candidates=("true", "false"),
            answer=number % 2,
            steps=1 + number // 2 % 6,
            distractors=number // 12 % 6,
            group=f"g{number // 2}",
            split="test" if number // 72 % 2 else "validation",
        )
        for number in range(n)
    ]


def guessing_store(
    path: Path, n_puzzles: int, n_layers: int, n_heads: int, seed: int = 0, run_id="guess"
) -> Path:
    """A store of one run whose heads and model all guess.

    Steps 1 to 6, distractors 0 to 5, two puzzles a group.
    """
    puzzles = guessing_puzzles(n_puzzles)
    rng = np.random.default_rng(seed)
    folder = path.with_suffix(".parts")
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for index in range(n_parts(n_puzzles)):
        ids = tuple(
            puzzle.puzzle_id for puzzle in puzzles[index * PART_SIZE : (index + 1) * PART_SIZE]
        )
        qk = rng.standard_normal((len(ids), n_layers * n_heads, 2), dtype=np.float32)
        parts.append(part_path(folder, index))
        write_part(
            parts[-1],
            Part(ids, qk, rng.standard_normal((len(ids), 2), dtype=np.float32), seconds=1.0),
        )
    changes = dict(
        run_id=run_id,
        puzzle_set="guess",
        n_layers=n_layers,
        n_heads=n_heads,
        n_kv_heads=n_heads // 8 or 1,
    )
    run = planted_run(puzzles, **changes)
    publish(path, run, puzzles, collect(run, puzzles, parts))
    for part in parts:
        part.unlink()
    return path
