"""What the marks of an exam add up to: by difficulty, against the model, and where two disagree.

Pure functions of the frame that `answers.exam` gives, a row a test puzzle; every number on a page
that compares head, model and vote comes from here.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from qkcore.statistics.metrics import paired_test, with_accuracy

WHO = ("head", "model", "vote")
DIFFICULTY = ("steps", "distractors")
VERDICTS = ("both", "only head", "only model", "neither")


def accuracy_by(exam: pd.DataFrame, by: Sequence[str], who: Sequence[str] = WHO) -> pd.DataFrame:
    """who, the columns `by` (of `DIFFICULTY`), n, n_right, accuracy, low, high.

    Puzzles that do not say their steps or distractors are left out where those are asked for.

    >>> import pandas as pd
    >>> from qkcore import accuracy_by
    >>> marks = pd.DataFrame({"steps": [1, 1, 2], "is_head_right": [True, True, False]})
    >>> accuracy_by(marks, ["steps"], ["head"])[["steps", "n", "accuracy"]].to_numpy().tolist()
    [[1.0, 2.0, 1.0], [2.0, 1.0, 0.0]]
    """
    frames = []
    for name in who:
        marks = exam[[*by, f"is_{name}_right"]].rename(columns={f"is_{name}_right": "is_right"})
        frames.append(_counts(marks, by, "is_right").assign(who=name))
    return with_accuracy(pd.concat(frames, ignore_index=True))


def _counts(marks: pd.DataFrame, by: Sequence[str], column: str) -> pd.DataFrame:
    """The columns `by`, n and n_right of a boolean column."""
    if not by:
        return pd.DataFrame({"n": [len(marks)], "n_right": [int(marks[column].sum())]})
    return marks.groupby(list(by))[column].agg(n="size", n_right="sum").reset_index()


def gaps(exam: pd.DataFrame, by: Sequence[str], who: str = "head") -> pd.DataFrame:
    """The columns `by`, n, gap, low, high, p: who against the model on the same puzzles.

    See `metrics.paired_test`.

    >>> import pandas as pd
    >>> from qkcore import gaps
    >>> marks = {"is_head_right": [True, True, False], "is_model_right": [True, False, False]}
    >>> gaps(pd.DataFrame(marks), by=[])[["n", "gap", "p"]].round(3).to_numpy().tolist()
    [[3.0, 0.333, 1.0]]
    """
    head, model = exam[f"is_{who}_right"], exam["is_model_right"]
    marks = exam[list(by)].assign(only_who=head & ~model, only_model=~head & model)
    cells = marks.groupby(list(by)) if by else [((), marks)]
    rows = []
    for key, cell in cells:
        found = paired_test(len(cell), int(cell["only_who"].sum()), int(cell["only_model"].sum()))
        rows.append((*key, len(cell), found.gap, found.low, found.high, found.p))
    return pd.DataFrame(rows, columns=[*by, "n", "gap", "low", "high", "p"])


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
