"""What the marks of an exam add up to: by difficulty, against the model, and where two disagree.

Pure functions of the frame that `answers.exam` gives, a row a test puzzle; every number on a page
that compares head, model and vote comes from here.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from qkcore.statistics.clusters import grouped_accuracy, grouped_balanced_accuracy
from qkcore.statistics.paired import grouped_balanced_difference, grouped_difference

WHO = ("head", "model", "vote")
DIFFICULTY = ("steps", "distractors")
VERDICTS = ("both", "only head", "only model", "neither")


def accuracy_by(
    exam: pd.DataFrame, by: Sequence[str], who: Sequence[str] = WHO, measure: str = "accuracy"
) -> pd.DataFrame:
    """How right they are, by difficulty, with intervals that know groups.

    Puzzles that do not say their steps or distractors are left out where those are asked for.

    Args:
        exam: a row a puzzle: is_{who}_right, the columns `by`, group (left out where each puzzle
            is one of its own), answer (for balanced accuracy).
        by: columns, of `DIFFICULTY`.
        who: names, such as those of `WHO`.
        measure: "accuracy" or "balanced_accuracy".

    Returns:
        who, the columns `by`, n, n_right, n_groups, accuracy (by that measure), low, high (95 %).

    >>> import pandas as pd
    >>> from qkcore import accuracy_by
    >>> marks = pd.DataFrame({"steps": [1, 1, 2], "is_head_right": [True, True, False]})
    >>> accuracy_by(marks, ["steps"], ["head"])[["steps", "n", "accuracy"]].to_numpy().tolist()
    [[1.0, 2.0, 1.0], [2.0, 1.0, 0.0]]
    """
    cells = _cells(exam, by)
    n = cells.count(np.ones(len(exam), dtype=bool))
    frames = []
    for name in who:
        right = cells.count(exam[f"is_{name}_right"].to_numpy(dtype=bool))
        found = (
            grouped_accuracy(right.sum(axis=-1), n.sum(axis=-1))
            if measure == "accuracy"
            else grouped_balanced_accuracy(right, n)
        )
        columns = {
            "n": found.n,
            "n_right": right.sum(axis=(-2, -1)),
            "n_groups": found.n_groups,
            "accuracy": found.value,
            "low": found.low,
            "high": found.high,
        }
        frames.append(cells.keys.assign(who=name, **columns))
    return pd.concat(frames, ignore_index=True)


def gaps(
    exam: pd.DataFrame,
    by: Sequence[str],
    who: str = "head",
    than: str = "model",
    measure: str = "accuracy",
) -> pd.DataFrame:
    """How much more right one is than another on the same puzzles, by difficulty.

    Args:
        exam: as `accuracy_by` takes it.
        by: likewise.
        who: whose accuracy counts,
        than: and whose is taken off.
        measure: "accuracy" or "balanced_accuracy".

    Returns:
        The columns `by`, n, n_groups, gap (share), low, high (95 %), p; interval and p know groups
        and are of one method (`paired.grouped_difference`).

    >>> import pandas as pd
    >>> from qkcore import gaps
    >>> marks = {"is_head_right": [True, True, False], "is_model_right": [True, False, False]}
    >>> gaps(pd.DataFrame(marks), by=[])[["n", "gap", "p"]].round(3).to_numpy().tolist()
    [[3.0, 0.333, 0.456]]
    """
    first, second = (exam[f"is_{name}_right"].to_numpy(dtype=bool) for name in (who, than))
    cells = _cells(exam, by)
    only_first, only_second, n = (
        cells.count(marks) for marks in (first & ~second, second & ~first, first == first)
    )
    found = (
        grouped_difference(only_first.sum(axis=-1), only_second.sum(axis=-1), n.sum(axis=-1))
        if measure == "accuracy"
        else grouped_balanced_difference(only_first, only_second, n)
    )
    return cells.keys.assign(n=found.n, n_groups=found.n_groups, gap=found.value).assign(
        low=found.low, high=found.high, p=found.p
    )


@dataclass(frozen=True, slots=True)
class _Cells:
    """Puzzles sorted into cells of a difficulty, and within them into groups and answers."""

    keys: pd.DataFrame  # a row a cell
    rows: np.ndarray  # of the exam's puzzles that have a cell
    place: np.ndarray  # (row,) in a table of cell, group and answer, flattened
    shape: tuple[int, int, int]

    def count(self, marks: np.ndarray) -> np.ndarray:
        """(cell, group, answer) how many of (puzzle,) booleans are true."""
        size = int(np.prod(self.shape))
        counts = np.bincount(self.place[marks[self.rows]], minlength=size)
        return counts.reshape(self.shape)


def _cells(exam: pd.DataFrame, by: Sequence[str]) -> _Cells:
    is_stated = exam[list(by)].notna().all(axis=1).to_numpy()
    rows = np.flatnonzero(is_stated)
    some = exam.iloc[rows]
    if by:
        grouped = some.groupby(list(by), sort=True)
        cell, keys = grouped.ngroup().to_numpy(), grouped.size().index.to_frame(index=False)
    else:
        cell, keys = np.zeros(len(some), dtype=int), pd.DataFrame(index=range(1))
    group = pd.factorize(some["group"])[0] if "group" in some else np.arange(len(some))
    answer = some["answer"].to_numpy() if "answer" in some else np.zeros(len(some), dtype=int)
    shape = (len(keys), int(group.max(initial=-1)) + 1, int(answer.max(initial=-1)) + 1)
    place = (cell * shape[1] + group) * shape[2] + answer
    return _Cells(keys, rows, place, shape)


def verdicts(exam: pd.DataFrame, who: str = "head") -> pd.Series:
    """Who is right on each puzzle: one of `VERDICTS`."""
    head, model = exam[f"is_{who}_right"], exam["is_model_right"]
    return pd.Series(
        np.select([head & model, head, model], VERDICTS[:3], VERDICTS[3]), index=exam.index
    )


def agreement(exam: pd.DataFrame, by: Sequence[str], who: str = "head") -> pd.DataFrame:
    """The columns `by`, verdict, n puzzles, and their share of the cell.

    Verdicts are those of `VERDICTS`, all of them in each cell.
    """
    # "everything": for where `by` is empty
    marks = exam[list(by)].assign(verdict=verdicts(exam, who), everything=0)
    counts = marks.groupby(["everything", *by, "verdict"]).size().unstack("verdict", fill_value=0)
    counts = counts.reindex(columns=list(VERDICTS), fill_value=0)
    shares = counts.div(counts.sum(axis=1), axis=0)
    both = pd.DataFrame({"n": counts.stack(), "share": shares.stack()})
    return both.reset_index().drop(columns="everything")


def kappa(exam: pd.DataFrame, who: str = "head") -> float:
    """Cohen's kappa of being right (1960).

    1 where both are right on the same puzzles, 0 as if by chance; NaN where one of them is always
    or never right.

    >>> right = [True, False] * 2
    >>> marks = pd.DataFrame({"is_head_right": right, "is_model_right": right})
    >>> kappa(marks)
    1.0
    """
    head, model = exam[f"is_{who}_right"].mean(), exam["is_model_right"].mean()
    observed = (exam[f"is_{who}_right"] == exam["is_model_right"]).mean()
    by_chance = head * model + (1 - head) * (1 - model)
    is_constant = {head, model} & {0.0, 1.0}
    return float("nan") if is_constant else float((observed - by_chance) / (1 - by_chance))
