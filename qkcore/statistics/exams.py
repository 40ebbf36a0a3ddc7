"""What the marks of an exam add up to: by difficulty, against the model, and where two disagree.

Pure functions of the frame that `answers.exam` gives, a row a test puzzle; every number on a page
that compares head, model and vote comes from here.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from qkcore.statistics.clusters import by_group, grouped_accuracy
from qkcore.statistics.metrics import Gap, paired_test, with_accuracy
from qkcore.statistics.paired import grouped_difference

WHO = ("head", "model", "vote")
DIFFICULTY = ("steps", "distractors")
VERDICTS = ("both", "only head", "only model", "neither")


def accuracy_by(exam: pd.DataFrame, by: Sequence[str], who: Sequence[str] = WHO) -> pd.DataFrame:
    """who, the columns `by` (of `DIFFICULTY`), n, n_right, accuracy, low, high.

    Puzzles that do not say their steps or distractors are left out where those are asked for.
    Where the exam says the group of each puzzle, intervals are of groups (`clusters`).

    >>> import pandas as pd
    >>> from qkcore import accuracy_by
    >>> marks = pd.DataFrame({"steps": [1, 1, 2], "is_head_right": [True, True, False]})
    >>> accuracy_by(marks, ["steps"], ["head"])[["steps", "n", "accuracy"]].to_numpy().tolist()
    [[1.0, 2.0, 1.0], [2.0, 1.0, 0.0]]
    """
    if "group" in exam:
        return pd.concat([_grouped(exam, by, name) for name in who], ignore_index=True)
    frames = []
    for name in who:
        marks = exam[[*by, f"is_{name}_right"]].rename(columns={f"is_{name}_right": "is_right"})
        frames.append(_counts(marks, by, "is_right").assign(who=name))
    return with_accuracy(pd.concat(frames, ignore_index=True))


def _grouped(exam: pd.DataFrame, by: Sequence[str], name: str) -> pd.DataFrame:
    """`accuracy_by` of one, with intervals of groups."""
    rows = []
    for key, cell in _cells(exam, by):
        right = cell[f"is_{name}_right"].to_numpy()
        (n_right, n) = _by_group(cell, right, np.ones(len(cell), dtype=int))
        found = grouped_accuracy(n_right, n)
        ends = (float(found.value), float(found.low), float(found.high))
        rows.append((*key, len(cell), int(right.sum()), name, *ends))
    columns = [*by, "n", "n_right", "who", "accuracy", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def _cells(
    exam: pd.DataFrame, by: Sequence[str]
) -> Iterator[tuple[tuple[object, ...], pd.DataFrame]]:
    """Each cell of the columns `by`, which may be none."""
    if not by:
        yield (), exam
        return
    for key, cell in exam.groupby(list(by)):
        yield tuple(key), cell


def _by_group(cell: pd.DataFrame, *marks: np.ndarray) -> tuple[np.ndarray, ...]:
    group = pd.factorize(cell["group"])[0]
    return tuple(by_group(one, group) for one in marks)


def _counts(marks: pd.DataFrame, by: Sequence[str], column: str) -> pd.DataFrame:
    """The columns `by`, n and n_right of a boolean column."""
    if not by:
        return pd.DataFrame({"n": [len(marks)], "n_right": [int(marks[column].sum())]})
    return marks.groupby(list(by))[column].agg(n="size", n_right="sum").reset_index()


def gaps(exam: pd.DataFrame, by: Sequence[str], who: str = "head") -> pd.DataFrame:
    """The columns `by`, n, gap, low, high, p: who against the model on the same puzzles.

    See `metrics.paired_test`; where the exam says the group of each puzzle, see
    `paired.grouped_difference`.

    >>> import pandas as pd
    >>> from qkcore import gaps
    >>> marks = {"is_head_right": [True, True, False], "is_model_right": [True, False, False]}
    >>> gaps(pd.DataFrame(marks), by=[])[["n", "gap", "p"]].round(3).to_numpy().tolist()
    [[3.0, 0.333, 1.0]]
    """
    rows = []
    for key, cell in _cells(exam, by):
        head, model = (cell[f"is_{name}_right"].to_numpy() for name in (who, "model"))
        found = _gap(cell, head & ~model, ~head & model)
        rows.append((*key, len(cell), found.gap, found.low, found.high, found.p))
    return pd.DataFrame(rows, columns=[*by, "n", "gap", "low", "high", "p"])


def _gap(cell: pd.DataFrame, only_who: np.ndarray, only_model: np.ndarray) -> Gap:
    if "group" not in cell:
        return paired_test(len(cell), int(only_who.sum()), int(only_model.sum()))
    found = grouped_difference(
        *_by_group(cell, only_who, only_model, np.ones(len(cell), dtype=int))
    )
    return Gap(float(found.value), float(found.low), float(found.high), float(found.p))


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
