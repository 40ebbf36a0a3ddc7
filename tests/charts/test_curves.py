"""Curves and bars hold the numbers they were given.

(What they look like is for eyes; see tests/charts/test_grids.py.)
"""

import numpy as np
import pandas as pd
import pytest

from qkcore.charts.curves import agreement_bars, difference_curves, gap_chart, margin_curves
from qkcore.statistics.exams import VERDICTS, agreement, gaps


def rows_of(chart, column: str) -> pd.DataFrame:
    """The rows of the chart's own data that have this column."""
    spec = chart.to_dict()
    return next(
        frame for rows in spec["datasets"].values() if column in (frame := pd.DataFrame(rows))
    )


def marks(n: int = 200) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "steps": rng.integers(1, 4, n),
            "is_head_right": rng.random(n) < 0.7,
            "is_model_right": rng.random(n) < 0.6,
            "answer": rng.integers(0, 2, n),
            "margin": rng.normal(1, 2, n).astype(np.float32),
        }
    )


def test_the_names_of_runs_are_never_cut():
    frame = gaps(marks(), ["steps"]).assign(run=["a" * 60, "b\nb" * 20, "c"])
    spec = gap_chart(frame, "run", "Gap").to_dict()
    axes = [one["encoding"]["y"].get("axis", {}) for one in spec["layer"] if "y" in one["encoding"]]
    assert axes
    assert all(axis["labelLimit"] == 0 for axis in axes)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6])
@pytest.mark.parametrize("candidates", [("true", "false"), None])
def test_no_bar_of_margins_mixes_right_and_wrong_and_each_puzzle_is_in_one(scale, candidates):
    frame = marks()
    frame["margin"] *= np.float32(scale)
    frame.loc[:9, "margin"] = 0.0  # ties are wrong
    bars = rows_of(margin_curves(frame, candidates), "n")
    assert bars["n"].sum() == 200
    assert bars.loc[bars["low"] >= 0, "n"].sum() == (frame["margin"] > 0).sum()
    assert bars.loc[bars["high"] <= 0, "n"].sum() == (frame["margin"] <= 0).sum()
    if candidates:
        by_name = bars.groupby("answer")["n"].sum()
        counts = frame["answer"].value_counts()
        assert by_name.to_dict() == {
            f'answer is "{name}"': counts[i] for i, name in enumerate(candidates)
        }


@pytest.mark.parametrize("margin", [0.0, 7.0, -3.5, 20_000.0])
def test_margins_that_are_all_alike_make_one_bar(margin):
    frame = marks(5).assign(margin=np.float32(margin), answer=0)
    bars = rows_of(margin_curves(frame, ("true", "false")), "n")
    assert bars["n"].tolist() == [5]
    assert (bars["low"].item() >= 0) == (margin > 0)


def test_a_gap_is_drawn_in_points():
    table = gaps(marks(), ["steps"])
    drawn = rows_of(gap_chart(table, "steps", "Gap"), "gap")
    assert drawn["gap"].tolist() == pytest.approx((100 * table["gap"]).tolist())
    assert drawn["high"].tolist() == pytest.approx((100 * table["high"]).tolist())


def test_the_bars_of_who_is_right_are_shares_of_each_number_of_steps():
    table = agreement(marks(), ["steps"])
    drawn = rows_of(agreement_bars(table, "steps", {name: name for name in VERDICTS}), "share")
    assert drawn["share"].tolist() == pytest.approx(table["share"].tolist())
    assert drawn.groupby("steps")["share"].sum().tolist() == pytest.approx([1.0, 1.0, 1.0])


def test_a_difference_of_runs_is_drawn_in_points_at_its_steps():
    both = [gaps(marks(), ["steps"]).assign(who=who) for who in ("head", "model")]
    table = pd.concat(both, ignore_index=True)
    drawn = rows_of(difference_curves(table, {"head": "heads", "model": "models"}), "gap")
    assert drawn["gap"].tolist() == pytest.approx((100 * table["gap"]).tolist())
    assert drawn["steps"].tolist() == table["steps"].tolist()
    assert abs(drawn["place"] - drawn["steps"]).max() < 0.1
