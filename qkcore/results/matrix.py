"""The results matrix: models down, puzzle sets across, a set's twin beside its parent.

`summaries` in, a small frozen table out: who stands where, and which runs a cell holds. Knows
neither how a cell is worded nor how it is drawn.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from qkcore.asking.options import roles_named
from qkcore.asking.readings import READINGS
from qkcore.asking.templates import OPTIONS

LISTED = ("Run", "Result")  # columns of a matrix as a list
ORDERS = ("newest first", "name", "most is left")


@dataclass(frozen=True, slots=True)
class Matrix:
    """Rows, columns and the newest run of each cell, or None."""

    models: tuple[str, ...]  # rows: short names, with settings where they tell rows apart
    sets: tuple[str, ...]  # columns: short names
    run_ids: tuple[tuple[str | None, ...], ...]  # (model, set)

    def listed(self) -> "Matrix":
        """The same runs one below the other, a set's together: a row a run, however many sets.

        >>> Matrix(("m", "n"), ("a", "b"), (("1", None), ("2", "3"))).listed().run_ids
        (('1', '1'), ('2', '2'), ('3', '3'))
        """
        rows = [
            (f"{name}:\n{model}", of_model[place])
            for place, name in enumerate(self.sets)
            for model, of_model in zip(self.models, self.run_ids, strict=True)
            if of_model[place] is not None
        ]
        return Matrix(
            tuple(label for label, _ in rows), LISTED, tuple((run_id,) * 2 for _, run_id in rows)
        )


def matrix_of(table: pd.DataFrame, order: str = ORDERS[0], find: str = "") -> Matrix:
    """The matrix of these runs.

    Args:
        table: from `summaries`, newest first.
        order: of the rows, one of `ORDERS`.
        find: keeps rows, and if none is so called columns, whose name holds these letters.
    """
    labels = row_labels(table)
    sets = ordered_sets(table)
    cells: dict[tuple[str, str], str] = {}
    for label, name, run_id in zip(labels, table["set_name"], table["run_id"], strict=True):
        cells.setdefault((label, name), run_id)
    models = _in_order(table.assign(label=labels), order)
    letters = find.strip().casefold()
    found = [model for model in models if letters in model.casefold()]
    if letters and not found:
        found, sets = models, [name for name in sets if letters in name.casefold()]
        found = [model for model in found if any((model, name) in cells for name in sets)]
    sets = [name for name in sets if any((model, name) in cells for model in found)]
    return Matrix(
        tuple(found),
        tuple(sets),
        tuple(tuple(cells.get((model, name)) for name in sets) for model in found),
    )


def ordered_sets(table: pd.DataFrame) -> list[str]:
    """Short names of the puzzle sets, the newest first, each with its twins behind it."""
    once = table.drop_duplicates("set_name")
    hashes = set(once["puzzle_set_sha256"])
    is_twin = once["twin_of"].isin(hashes)
    names: list[str] = []
    for name, sha256 in once.loc[~is_twin, ["set_name", "puzzle_set_sha256"]].itertuples(
        index=False
    ):
        names += [name, *once.loc[is_twin & (once["twin_of"] == sha256), "set_name"]]
    return names + [name for name in once["set_name"] if name not in names]  # twins of twins


def row_labels(table: pd.DataFrame) -> list[str]:
    """A label a run: its model, and its settings where the model has runs with others.

    >>> settings = dict(model="m", model_revision="1", dtype="float32", template="default")
    >>> runs = pd.DataFrame([settings | {"rope": rope} for rope in ("pre", "post")])
    >>> row_labels(runs.assign(model_name="m", n_layers=2, n_heads=2))
    ['m, before rotary', 'm, after rotary']
    """
    differing = {
        name: [column for column in _SETTINGS if runs[column].nunique(dropna=False) > 1]
        for name, runs in table.groupby("model_name")
    }
    return [
        ", ".join([name, *(_SETTINGS[column](str(row[column])) for column in differing[name])])
        for name, row in zip(table["model_name"], table.to_dict("records"), strict=True)
    ]


def _asked_as(template: str) -> str:
    named = {"default": "plain", "{chat}default": "chat", OPTIONS.text: "options"}
    if roles_named(template) == "options":
        return named.get(template, "options, own words")
    return named.get(template, "chat, own words" if "{chat}" in template else "own words")


_SETTINGS: dict[str, Callable[[str], str]] = {
    "rope": lambda rope: READINGS.get(rope, rope),
    "dtype": str,
    "template": _asked_as,
    "model_revision": lambda revision: revision.removeprefix("sha256:")[:8],
}


def _in_order(table: pd.DataFrame, order: str) -> list[str]:
    once: Sequence[str] = list(dict.fromkeys(table["label"]))
    if order == "name":
        return sorted(once, key=str.casefold)
    if order == "most is left":
        n_left = table[table["verdict"] == "something is left"].groupby("label").size()
        return sorted(once, key=lambda label: -int(n_left.get(label, 0)))
    return list(once)
