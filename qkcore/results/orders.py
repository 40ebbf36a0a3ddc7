"""Permutation accuracy: is a question answered right in every order of its options?

A function of a `ResultStore`; as in arXiv 2410.02343, with cyclic orders (see
qkcore.puzzles.multiple_choice). Head and offsets were chosen on validation puzzles; all is reported
on test puzzles, with intervals that count contexts.
"""

import difflib

import numpy as np
import pandas as pd

from qkcore import InputError
from qkcore.asking.options import roles_named
from qkcore.puzzles.multiple_choice import question_of
from qkcore.results.answers import exam
from qkcore.results.reader import StoreError
from qkcore.results.store import ResultStore
from qkcore.statistics.evidence import measured
from qkcore.wording import head_name

WHO = {"head": "head", "model": "the model", "calibrated_model": "the calibrated model"}


def permutation_accuracy(store: ResultStore, run_id: str) -> pd.DataFrame:
    """The chosen head and the model, over all orders and in every order.

    Args:
        store: that holds the run.
        run_id: of a run with roles "options" on puzzles that `in_orders` made.

    Returns:
        A row each for head, model and calibrated model: who, n_questions, n_groups (fewer than
        `clusters.FEW_GROUPS` are too few for intervals), n_orders, n_options (that are ever
        right), accuracy, low, high (the mean over orders, 95 %), and every,
        every_low, every_high: the share of questions that are right in every order.

    Raises:
        StoreError: when the store has no such run.
        InputError: when the run was asked with other roles, has no head to report, or its
            questions are not all in as many orders.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from qkcore import (
    ...     ResultStore, bundled_model, generate_options, in_orders, load_model,
    ...     permutation_accuracy, precompute,
    ... )
    >>> from qkcore.asking.templates import OPTIONS
    >>> puzzles = in_orders(generate_options(steps=1, distractors=0, n=4, options=2))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path, lm = Path(folder, "results.duckdb"), load_model(bundled_model())
    ...     run = precompute(
    ...         lm, puzzles, path, puzzle_set="eight", template=OPTIONS, show_progress=False
    ...     )
    ...     with ResultStore.open(path) as store:
    ...         permutation_accuracy(store, run)["n_questions"].tolist()
    [2, 2, 2]
    """
    _check_asked(store, run_id)
    best = store.best_head(run_id)
    marks = pd.DataFrame() if best is None else exam(store, run_id, *best)
    if best is None or marks.empty:
        raise InputError(f"run {run_id} has no puzzles to choose a head on, or none to report on")
    questions = marks["puzzle_id"].map(question_of)
    if questions.isna().any():
        one = marks.loc[questions.isna(), "puzzle_id"].iloc[0]
        raise InputError(
            f"run {run_id}: puzzle {one!r} is in one order only; make a puzzle file with "
            "`qkscope permute` and score that"
        )
    n_orders = questions.value_counts()
    if n_orders.nunique() > 1:
        raise InputError(
            f"run {run_id}: question {n_orders.index[-1]!r} is in {n_orders.iloc[-1]} orders, "
            f"{n_orders.index[0]!r} in {n_orders.iloc[0]}; make the file anew"
        )
    rows = [_row(marks, questions, who) for who in WHO]
    found = pd.DataFrame(rows).assign(
        who=[head_name(*best), *list(WHO.values())[1:]],
        n_questions=len(n_orders),
        n_groups=marks["group"].nunique(),
        n_orders=int(n_orders.iloc[0]),
        n_options=marks["answer"].nunique(),
    )
    counted = ["who", "n_questions", "n_groups", "n_orders", "n_options"]
    return found[[*counted, *rows[0]]]


def _check_asked(store: ResultStore, run_id: str) -> None:
    """Refuse a run that is not there, or that was not asked which option is right."""
    runs = store.runs().set_index("run_id")
    if run_id not in runs.index:
        known = [str(one) for one in runs.index]
        near = difflib.get_close_matches(run_id, known, n=3, cutoff=0.3) or known[:3]
        raise StoreError(
            f"the store has no run {run_id!r}; "
            + (f"the nearest of its {len(known):,}: {', '.join(near)}" if near else "it is empty")
        )
    if roles_named(str(runs.at[run_id, "template"])) != "options":
        raise InputError(
            f"run {run_id} was scored with --roles answer, where the order of options is not read; "
            "score its puzzles with --roles options and name that run"
        )


def _row(marks: pd.DataFrame, questions: pd.Series, who: str) -> dict[str, float]:
    is_right = marks[f"is_{who}_right"].to_numpy(bool)
    mean = measured(is_right, pd.factorize(marks["group"])[0])
    by_question = marks.assign(is_right=is_right).groupby(questions)
    every = measured(
        by_question["is_right"].all().to_numpy(bool),
        pd.factorize(by_question["group"].first())[0].astype(np.int64),
    )
    return {
        "accuracy": mean.value,
        "low": mean.low,
        "high": mean.high,
        "every": every.value,
        "every_low": every.low,
        "every_high": every.high,
    }
