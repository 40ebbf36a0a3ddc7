"""Who has each puzzle of a run right, layer by layer: lens, probe and its control, and the model.

Puzzle by puzzle, in the order of the set; what it adds up to is in `results/layers`. Offsets and
probes were fitted on validation puzzles.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from qkcore.results.answers import puzzles_of
from qkcore.results.raw import (
    Steps,
    is_among,
    lens_logits,
    lens_offsets,
    probe_choices,
)
from qkcore.results.store import ResultStore
from qkcore.statistics.calibration import calibrated
from qkcore.statistics.marks import TIE
from qkcore.statistics.metrics import balanced_accuracy


@dataclass(frozen=True)
class LayerMarks:
    """What is right of a run with a lens; made by `layer_marks`."""

    puzzles: pd.DataFrame  # as `answers.puzzles_of`
    measure: str
    layers: np.ndarray  # (layer,) the model's numbers, of the lens
    lens: np.ndarray  # (puzzle, layer, candidate) logits
    is_right: np.ndarray  # (puzzle, layer) bool: the calibrated lens
    probe_layers: np.ndarray  # (layer,) none without probes
    is_probed: np.ndarray  # (puzzle,) bool: the probes were asked
    is_probe_right: np.ndarray  # (puzzle, layer) bool
    is_control_right: np.ndarray  # likewise of probes that were fitted on shuffled answers

    @cached_property
    def answer(self) -> np.ndarray:
        """(puzzle,) index of the right candidate."""
        return self.puzzles["answer"].to_numpy()

    @cached_property
    def group(self) -> np.ndarray:
        """(puzzle,) whole numbers from 0."""
        return pd.factorize(self.puzzles["group"])[0]

    @cached_property
    def steps(self) -> np.ndarray:
        """(puzzle,) float, NaN where a puzzle does not say."""
        return self.puzzles["steps"].to_numpy(dtype=float, na_value=np.nan)

    @cached_property
    def is_model_right(self) -> np.ndarray:
        """(puzzle,) bool: the calibrated model."""
        return self.who_is_right("calibrated_model")

    def who_is_right(self, who: str) -> np.ndarray:
        """(puzzle,) bool of somebody who stands in `puzzles_of`, such as "majority"."""
        return self.puzzles[who].to_numpy() == self.answer

    def test(self, steps: Steps = None) -> np.ndarray:
        """(row,) places of the test puzzles of these steps."""
        return np.flatnonzero(is_among(self.puzzles, "test", steps))

    def group_of(self, rows: np.ndarray) -> np.ndarray:
        """(row,) whole numbers from 0, none left out."""
        codes: np.ndarray = np.unique(self.group[rows], return_inverse=True)[1]
        return codes

    def answer_of(self, rows: np.ndarray) -> np.ndarray | None:
        """(row,) right candidates where the measure is balanced, else None."""
        return self.answer[rows] if self.measure == "balanced_accuracy" else None

    def middle(self) -> int | None:
        """Index of the layer, before the last, whose calibrated lens is best on **validation**.

        The first of equals; None where there are no such puzzles, or no such layer.
        """
        rows = np.flatnonzero(is_among(self.puzzles, "validation"))
        if not len(rows) or len(self.layers) < 2:
            return None
        is_right, answer = self.is_right[rows, :-1], self.answer[rows]
        if self.measure == "accuracy":
            return int(is_right.mean(axis=0).argmax())
        is_answer = answer[:, None] == np.arange(answer.max() + 1)  # (row, answer)
        n_right = is_right.T.astype(int) @ is_answer.astype(int)
        return int(balanced_accuracy(n_right, is_answer.sum(axis=0)).argmax())


def layer_marks(store: ResultStore, run_id: str) -> LayerMarks | None:
    """Of a run with a lens; None where it has none."""
    if not store.has_layers(run_id):
        return None
    puzzles = puzzles_of(store, run_id)
    answer = puzzles["answer"].to_numpy()[:, None]
    layers, lens = lens_logits(store, run_id)
    said = calibrated(lens, lens_offsets(store, run_id))
    probes = probe_choices(store, run_id)
    nobody = np.full((len(puzzles), 0), TIE)
    by_probe, by_control = (nobody, nobody) if probes is None else (probes.choices, probes.controls)
    return LayerMarks(
        puzzles=puzzles,
        measure=store.measure(run_id),
        layers=layers,
        lens=lens,
        is_right=said == answer,
        probe_layers=np.zeros(0, dtype=int) if probes is None else probes.layers,
        is_probed=(by_probe != TIE).any(axis=1),
        is_probe_right=by_probe == answer,
        is_control_right=by_control == answer,
    )
