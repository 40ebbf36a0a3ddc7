"""What is counted once, when a run is published, so that pages only add up.

Scores of all puzzles in, the tables of the store that hang on them out (as `store.SCHEMA` has them,
less run_id). Knows nothing of files.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from qkcore.puzzles.puzzle import SPLITS, Puzzle
from qkcore.puzzles.surface import SURFACE_RULES, surface_choices
from qkcore.results.reader import StoreError
from qkcore.results.spool import Halved, InMemory, RawScores
from qkcore.statistics.blocks import blocks, of_each
from qkcore.statistics.calibration import balance_weights, offsets
from qkcore.statistics.clusters import by_group, grouped_accuracy, grouped_balanced_accuracy
from qkcore.statistics.luck import luck_lines
from qkcore.statistics.marks import TIE, choices, typical_leads
from qkcore.statistics.metrics import auc, balanced_accuracy
from qkcore.statistics.probes import ProbeChoices
from qkcore.statistics.rivals import constant_answers, is_imbalanced
from qkcore.statistics.stability import accuracy_by_size, chosen_shares

CHUNK = 256  # puzzles of which a row of head_scores keeps the scores
PUZZLE_COLUMNS = ("answer", "group", "steps", "distractors", "split", "candidates")


@dataclass(frozen=True, slots=True)
class Answers:
    """What the heads and the model answered to every puzzle, in the order of the puzzle set."""

    puzzles: pd.DataFrame  # PUZZLE_COLUMNS
    qk: RawScores
    logits: np.ndarray  # (puzzle, candidate) float32; candidates that a puzzle lacks are NaN
    heads: np.ndarray  # (puzzle, layer * head) int8 candidate index, -1 for a tie
    model: np.ndarray  # (puzzle,) likewise
    rules: dict[str, np.ndarray]  # (puzzle,) likewise, by surface rule
    n_heads: int  # of a layer
    seconds: float  # that scoring took
    layers: tuple[int, ...]  # (layer,) the model's numbers of the layers that have heads
    # Where a run was scored with lens: (puzzle, layer, candidate) float32, of all layers
    lens: np.ndarray | None = None
    probes: ProbeChoices | None = None

    @property
    def answer(self) -> np.ndarray:
        """(puzzle,) index of the right candidate."""
        return self.puzzles["answer"].to_numpy()

    @property
    def model_offset(self) -> np.ndarray:
        """(candidate,) what makes the model do best on validation puzzles, by the set's measure."""
        return self.offsets_of(self.logits)

    def offsets_of(self, scores: np.ndarray) -> np.ndarray:
        """(..., candidate) likewise, of any (puzzle, ..., candidate) scores."""
        rows = (self.puzzles["split"] == "validation").to_numpy()
        answer = self.answer[rows]
        weights = balance_weights(answer) if self.is_imbalanced else None
        return offsets(scores[rows], answer, weights)

    @property
    def model_constant(self) -> int | None:
        """The candidate that the model says to nearly all validation puzzles."""
        rows = (self.puzzles["split"] == "validation").to_numpy()
        constant = int(constant_answers(self.model[rows])) if rows.any() else TIE
        return None if constant == TIE else constant

    @property
    def is_imbalanced(self) -> bool:
        """Whether one answer is right for too many validation puzzles, whatever its place.

        Known only where all puzzles have the same candidates, in whatever order.
        """
        rows = self.puzzles[self.puzzles["split"] == "validation"]
        kinds = {frozenset(candidates) for candidates in rows["candidates"]}
        if len(kinds) != 1:
            return False
        named = [
            candidates[answer]
            for candidates, answer in zip(rows["candidates"], rows["answer"], strict=True)
        ]
        return is_imbalanced(pd.factorize(np.array(named))[0], len(next(iter(kinds))))

    @property
    def best_head(self) -> tuple[int, int] | None:
        """(layer, head) chosen on validation puzzles, by the set's measure; None without any."""
        is_validation = (self.puzzles["split"] == "validation").to_numpy()
        if not is_validation.any():
            return None
        own = self.answer[is_validation]
        is_right = self.heads[is_validation] == own[:, None]
        marks = is_right.sum(axis=0)
        if self.is_imbalanced:
            by_answer = _by_answer(is_right, own, own.max() + 1)
            marks = balanced_accuracy(by_answer, np.bincount(own))
        place, head = divmod(int(marks.argmax()), self.n_heads)
        return self.layers[place], head


def answers_of(
    puzzles: Sequence[Puzzle],
    qk: np.ndarray,
    logits: np.ndarray,
    n_heads: int,
    seconds: float = 0.0,
    has_texts: bool = True,
    layers: Sequence[int] = (),
) -> Answers:
    """Mark every puzzle, of scores that are all there.

    Args:
        puzzles: each has an answer.
        qk: (puzzle, layer * head, candidate), in the order of the puzzles.
        logits: (puzzle, candidate), likewise.
        n_heads: of a layer.
        seconds: that scoring took.
        has_texts: whether the puzzles' texts are known, which surface rules read.
        layers: the model's numbers of the layers that have heads; by default 0, 1, and so on.
    """
    scores, heads = InMemory(qk, n_heads), choices(qk)
    return marked(puzzles, scores, heads, logits, n_heads, seconds, has_texts, layers)


def marked(
    puzzles: Sequence[Puzzle],
    qk: RawScores,
    heads: np.ndarray,
    logits: np.ndarray,
    n_heads: int,
    seconds: float = 0.0,
    has_texts: bool = True,
    layers: Sequence[int] = (),
) -> Answers:
    """`answers_of` where the scores are not all in memory.

    Args:
        puzzles: as `answers_of` takes them, and so on.
        qk: of all heads.
        heads: (puzzle, layer * head) what they choose.
        logits: as `answers_of` takes them, and so on.
        n_heads: likewise.
        seconds: likewise.
        has_texts: likewise.
        layers: likewise.
    """
    frame = pd.DataFrame([[getattr(puzzle, name) for name in PUZZLE_COLUMNS] for puzzle in puzzles])
    frame = frame.set_axis(PUZZLE_COLUMNS, axis="columns")
    frame = frame.astype({"steps": "Int64", "distractors": "Int64"})
    rules = dict(zip(SURFACE_RULES, surface_choices(puzzles).T, strict=True))
    if not has_texts:
        rules = {"majority": rules["majority"]}
    numbers = tuple(layers) or tuple(range(heads.shape[1] // n_heads))
    return Answers(frame, qk, logits, heads, choices(logits), rules, n_heads, seconds, numbers)


@dataclass(frozen=True, slots=True)
class Halving:
    """What keeping scores as float16 does to them."""

    n_changed: int  # answers of heads that became another, or a tie
    n: int  # answers of heads
    largest: float  # change of a head's accuracy over all puzzles, as a share

    def __str__(self) -> str:
        """The figures as people read them."""
        return (
            f"float16 changes {self.n_changed:,} of {self.n:,} answers, and no head's accuracy by "
            f"more than {100 * self.largest:.2f} points"
        )


def halved(answers: Answers) -> tuple[Answers, Halving]:
    """The answers as scores rounded to float16 give them, and what that changes.

    Raises:
        StoreError: when a score is too large for float16.
    """
    qk, heads, largest = Halved(answers.qk), np.empty_like(answers.heads), 0.0
    for place, own in _columns(answers):
        scores = qk.of_layer(place)
        if np.isinf(scores).any():
            largest = max(largest, float(np.nanmax(np.abs(answers.qk.of_layer(place)))))
        heads[:, own] = choices(scores)
    if largest:
        raise StoreError(
            f"scores up to {largest:,.0f} do not fit float16, which ends at 65,504; keep them as "
            "float32"
        )
    right, was_right = (
        _n_right(chosen, answers.answer) / max(len(chosen), 1) for chosen in (heads, answers.heads)
    )
    effect = Halving(
        n_changed=int((heads != answers.heads).sum()),
        n=heads.size,
        largest=float(np.abs(right - was_right).max(initial=0.0)),
    )
    return replace(answers, qk=qk, heads=heads), effect


def _columns(answers: Answers) -> Iterator[tuple[int, slice]]:
    """The place of each layer that has heads, and its heads among all."""
    for place in range(len(answers.layers)):
        yield place, slice(place * answers.n_heads, (place + 1) * answers.n_heads)


def _n_right(heads: np.ndarray, answer: np.ndarray) -> np.ndarray:
    """(head,) right answers of (puzzle, head) choices."""
    return (heads == answer[:, None]).sum(axis=0)


class _Cell(NamedTuple):
    """What puzzles of one difficulty share."""

    split: str
    steps: int | None
    distractors: int | None


def _cells(answers: Answers) -> Iterator[tuple[_Cell, np.ndarray]]:
    """Each cell, and the rows of its puzzles."""
    puzzles = answers.puzzles
    for found in puzzles.groupby(list(_Cell._fields), dropna=False).indices.values():
        rows = np.asarray(found)
        split, *stated = puzzles[list(_Cell._fields)].iloc[rows[0]]
        steps, distractors = (None if pd.isna(value) else int(value) for value in stated)
        yield _Cell(split, steps, distractors), rows


def _difficulties(answers: Answers) -> Iterator[tuple[_Cell, np.ndarray]]:
    """Each cell, each row and column of cells (None: all of them) and all; with their puzzles."""
    by_key: dict[_Cell, list[np.ndarray]] = {}
    for cell, rows in _cells(answers):
        for steps in {cell.steps, None}:
            for distractors in {cell.distractors, None}:
                by_key.setdefault(_Cell(cell.split, steps, distractors), []).append(rows)
    yield from ((cell, np.concatenate(found)) for cell, found in by_key.items())


def _by_answer(is_right: np.ndarray, answer: np.ndarray, n_answers: int) -> np.ndarray:
    """(puzzle, ...) booleans summed by answer: (..., answer)."""
    return np.stack([is_right[answer == index].sum(axis=0) for index in range(n_answers)], axis=-1)


def _layers_and_heads(answers: Answers) -> tuple[np.ndarray, np.ndarray]:
    place, head = np.divmod(np.arange(answers.heads.shape[1], dtype=np.int32), answers.n_heads)
    return np.array(answers.layers, dtype=np.int32)[place], head


def head_accuracy(answers: Answers) -> pa.Table:
    """Table head_accuracy: how often each head is right, by split, steps and distractors."""
    answer = answers.answer
    layer, head = _layers_and_heads(answers)
    tables = []
    for cell, rows in _cells(answers):
        is_right = answers.heads[rows] == answer[rows][:, None]
        by_answer = _by_answer(is_right, answer[rows], answer.max() + 1)
        counts = {
            "layer": layer,
            "head": head,
            "n": np.full(len(layer), len(rows), dtype=np.int32),
            "n_right": by_answer.sum(axis=-1),
            "n_right_by_answer": pa.FixedSizeListArray.from_arrays(
                pa.array(by_answer.ravel()), by_answer.shape[-1]
            ),
        }
        tables.append(_cell_table(cell, counts, len(layer)))
    return pa.concat_tables(tables)


def model_accuracy(answers: Answers) -> pa.Table:
    """Table model_accuracy, likewise for the model's own answers."""
    answer = answers.answer
    is_right = answers.model == answer
    tables = []
    for cell, rows in _cells(answers):
        counts = {
            "n": [len(rows)],
            "n_right": [is_right[rows].sum()],
            "n_by_answer": [np.bincount(answer[rows], minlength=answer.max() + 1).tolist()],
            "n_right_by_answer": [
                _by_answer(is_right[rows], answer[rows], answer.max() + 1).tolist()
            ],
        }
        tables.append(_cell_table(cell, counts, 1))
    return pa.concat_tables(tables)


def _cell_table(cell: _Cell, counts: Mapping[str, object], n_rows: int) -> pa.Table:
    types = {"split": pa.string(), "steps": pa.int32(), "distractors": pa.int32()}
    stated = cell._asdict()
    columns = {name: pa.array([stated[name]] * n_rows, types[name]) for name in types}
    return pa.table({**columns, **counts})


def intervals(answers: Answers) -> pa.Table:
    """Table intervals: how sure every head's accuracy is, at every difficulty and at all.

    Intervals do not add up.
    """
    tables = []
    for cell, rows in _difficulties(answers):
        found = head_intervals(answers.heads[rows], answers.puzzles.iloc[rows])
        columns = {
            name: pa.FixedSizeListArray.from_arrays(pa.array(ends.astype(np.float32)), len(ends))
            for name, ends in found.items()
            if name != "n_groups"
        }
        tables.append(_cell_table(cell, columns | {"n_groups": found["n_groups"][:1]}, 1))
    return pa.concat_tables(tables)


def head_intervals(heads: np.ndarray, puzzles: pd.DataFrame) -> dict[str, np.ndarray]:
    """95 % intervals of every head's accuracy and balanced accuracy, and how many groups there are.

    Args:
        heads: (puzzle, head) choices.
        puzzles: answer, group, of the same puzzles.

    Returns:
        low, high, balanced_low, balanced_high, n_groups, each (head,).
    """
    answer, group = puzzles["answer"].to_numpy(), pd.factorize(puzzles["group"])[0]
    n = by_group(np.ones((len(answer), 1), dtype=bool), group, answer)[0]

    def of_block(some: slice) -> tuple[np.ndarray, ...]:
        right = by_group(heads[:, some] == answer[:, None], group, answer)
        plain = grouped_accuracy(right.sum(axis=-1), n.sum(axis=-1))
        balanced = grouped_balanced_accuracy(right, n)
        n_groups = np.broadcast_to(plain.n_groups, plain.low.shape).astype(np.int32)
        return plain.low, plain.high, balanced.low, balanced.high, n_groups

    found = zip(*of_each(of_block, blocks(heads.shape[1])), strict=True)
    names = ("low", "high", "balanced_low", "balanced_high", "n_groups")
    return {name: np.concatenate(own) for name, own in zip(names, found, strict=True)}


def heads(answers: Answers) -> pa.Table:
    """Table heads: what is known of each head beside its counts."""
    layer, head = _layers_and_heads(answers)
    rows = np.flatnonzero(answers.puzzles["split"] == "validation")
    constant, shares = np.full(len(layer), TIE), [np.zeros(len(layer))] * 2
    if len(rows):
        constant = constant_answers(answers.heads[rows])
        shares = [chosen_shares(*counts) for counts in _by_measure(answers, rows).values()]
    return pa.table(
        {
            "layer": layer,
            "head": head,
            "constant": pa.array(constant, pa.int32(), mask=constant == TIE),
            "chosen_share": shares[0],
            "chosen_share_balanced": shares[1],
        }
    )


def stability(answers: Answers) -> pa.Table:
    """Table stability: the chosen head against how many validation puzzles chose it."""
    validation, test = (np.flatnonzero(answers.puzzles["split"] == split) for split in SPLITS)
    tables = [pd.DataFrame(columns=["n", "median", "low", "high", "same_head", "measure"])]
    if len(validation) and len(test):
        right, n = _right_by_group(answers, test)
        of_test = {
            "accuracy": right.sum(axis=(1, 2)) / n.sum(),
            "balanced_accuracy": balanced_accuracy(right.sum(axis=1), n.sum(axis=0)),
        }
        tables = [
            accuracy_by_size(*counts, of_test[measure]).assign(measure=measure)
            for measure, counts in _by_measure(answers, validation).items()
        ]
    return pa.Table.from_pandas(pd.concat(tables), preserve_index=False)


def _by_measure(answers: Answers, rows: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """What `stability` chooses heads by: (n_right, n) of each measure."""
    right, n = _right_by_group(answers, rows)
    return {
        "accuracy": (right.sum(axis=-1), n.sum(axis=-1)),
        "balanced_accuracy": (right, n),
    }


def _right_by_group(answers: Answers, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(head, group, answer) right answers and (group, answer) puzzles."""
    answer = answers.answer[rows]
    group = pd.factorize(answers.puzzles["group"].iloc[rows])[0]
    n = by_group(np.ones((len(rows), 1), dtype=bool), group, answer)[0]
    right = np.empty((answers.heads.shape[1], *n.shape), dtype=np.int32)

    def count(some: slice) -> None:
        right[some] = by_group(answers.heads[rows, some] == answer[:, None], group, answer)

    of_each(count, blocks(len(right)))
    return right, n


def rule_choices(answers: Answers) -> pa.Table:
    """Table rule_choices: what each surface rule says to every puzzle."""
    said = np.stack(list(answers.rules.values()))
    lists = pa.FixedSizeListArray.from_arrays(pa.array(said.ravel()), said.shape[1])
    return pa.table({"rule": list(answers.rules), "choice": lists})


def surface_accuracy(answers: Answers) -> pa.Table:
    """Table surface_accuracy, likewise for each rule."""
    rules = answers.rules
    tables = [
        _cell_table(
            cell,
            {
                "rule": list(rules),
                "n": np.full(len(rules), len(rows), dtype=np.int32),
                "n_right": [
                    int((said[rows] == answers.answer[rows]).sum()) for said in rules.values()
                ],
            },
            len(rules),
        )
        for cell, rows in _cells(answers)
    ]
    return pa.concat_tables(tables)


def luck(answers: Answers) -> pa.Table:
    """Table luck: `luck.luck_lines` of each split."""
    lines = []
    for split in SPLITS:
        rows = np.flatnonzero(answers.puzzles["split"] == split)
        if len(rows):
            lines.append(
                luck_lines(answers.heads[rows], answers.puzzles.iloc[rows]).assign(split=split)
            )
    return pa.Table.from_pandas(pd.concat(lines), preserve_index=False)


def aucs(answers: Answers) -> pa.Table:
    """Table auc: `metrics.auc` of every head.

    Areas do not add up, so they are taken at every difficulty and at all.
    """
    by_key = {
        cell: rows if _have_an_area(answers, rows) else None
        for cell, rows in _difficulties(answers)
    }

    def of_layer(place: int) -> list[np.ndarray | None]:
        qk = answers.qk.of_layer(place)
        evidence = np.ascontiguousarray((qk[:, :, 0] - qk[:, :, 1]).T)
        return [
            None if rows is None else auc(evidence[:, rows], answers.answer[rows] == 0)
            for rows in by_key.values()
        ]

    layers = of_each(of_layer, range(len(answers.layers)))
    found = zip(*layers, strict=True)
    areas = [None if own[0] is None else np.concatenate(own).tolist() for own in found]
    split, steps, distractors = zip(*by_key, strict=True)
    columns = {
        "steps": pa.array(steps, pa.int32()),
        "distractors": pa.array(distractors, pa.int32()),
    }
    return pa.table({"split": split, **columns, "auc": pa.array(areas, pa.list_(pa.float64()))})


def leads(answers: Answers) -> pa.Table:
    """Table typical_leads: `marks.typical_leads` of every head, in one row."""

    def of_layer(place: int) -> np.ndarray:
        return typical_leads(answers.qk.of_layer(place).swapaxes(0, 1))

    found = of_each(of_layer, range(len(answers.layers)))
    return pa.table({"lead": [np.concatenate(found).tolist()]})


def _have_an_area(answers: Answers, rows: np.ndarray) -> bool:
    """Whether some puzzles have the same two candidates, and either is right somewhere."""
    candidates = answers.puzzles["candidates"].iloc[rows]
    is_first = answers.answer[rows] == 0
    is_one_kind = bool((candidates.map(len) == 2).all()) and candidates.nunique() == 1
    return is_one_kind and bool(is_first.any()) and not is_first.all()


def logits(answers: Answers) -> pa.Table:
    """Table logits: the model's own, a row a puzzle."""
    is_known = ~np.isnan(answers.logits)
    ends = np.concatenate([[0], is_known.sum(axis=1).cumsum()]).astype(np.int32)
    return pa.table(
        {
            "place": np.arange(len(ends) - 1, dtype=np.int32),
            "logit": pa.ListArray.from_arrays(
                pa.array(ends), pa.array(answers.logits[is_known].astype(np.float32))
            ),
        }
    )


def head_scores(answers: Answers, width: str = "float32") -> Iterator[pa.Table]:
    """Table head_scores, a layer at a time.

    So a large run needs little more memory than its scores.

    Args:
        answers: whose scores.
        width: "float32" or "float16"; scores that are to be kept as the latter must be such
            numbers already (`halved`).
    """
    n_puzzles, n_candidates = answers.logits.shape
    starts = np.arange(0, n_puzzles, CHUNK, dtype=np.int32)
    sizes = np.diff([*starts, n_puzzles]) * n_candidates
    for position, layer in enumerate(answers.layers):
        # (head, puzzle, candidate)
        qk = answers.qk.of_layer(position).swapaxes(0, 1)
        ends = np.concatenate([[0], np.tile(sizes, len(qk)).cumsum()]).astype(np.int32)
        values = np.ascontiguousarray(qk).ravel()
        half = width == "float16"
        if half:
            values = values.astype(np.float16).view(np.uint16)
        yield pa.table(
            {
                "layer": np.full(len(ends) - 1, layer, dtype=np.int32),
                "head": np.repeat(np.arange(len(qk), dtype=np.int32), len(starts)),
                "first_place": np.tile(starts, len(qk)),
                "qk_half" if half else "qk": pa.ListArray.from_arrays(
                    pa.array(ends), pa.array(values)
                ),
            }
        )
