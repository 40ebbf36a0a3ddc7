"""Made-up models whose heads are used, idle, used by others too, or stand in for each other.

A model's evidence is a sum over heads and the rest of the model; `switched` takes heads out of it,
and as many control heads, and gathers what a verdict looks at, as is done with a stored run.
"""

import numpy as np

from qkcore.statistics.calibration import calibrated, offsets
from qkcore.statistics.effects import ability, effects
from qkcore.statistics.evidence import measured
from qkcore.statistics.usage import Switched, SwitchedOff

KINDS = ("used", "idle", "others", "backup", "lean", "guess")
N_DRAWS = 20


def planted(kind: str, rng, n_groups: int) -> tuple[np.ndarray, ...]:
    """(puzzle,) answer and group; evidence for the second candidate: as it is and without heads.

    Returns:
        answer, group, plain (puzzle,), without (k, draw, puzzle) for 1 and for 5 heads; draw 0 is
        the heads, the others are controls.
    """
    group = np.repeat(np.arange(n_groups), 4)
    answer = rng.integers(0, 2, len(group))
    towards = np.where(answer == 1, 1.0, -1.0) * (rng.random(n_groups) < 0.8)[group]
    noise = rng.normal(size=len(group))
    signal = 0.0 if kind == "guess" else 1.5
    plain = signal * towards + noise - 3.0  # leans to the first
    own = rng.normal(scale=0.15, size=(2, 1 + N_DRAWS, len(group)))  # what any head does
    own[1] *= np.sqrt(5)
    without = plain - own
    if kind == "used":
        without[:, 0] -= 0.9 * signal * towards
    if kind == "others":
        without -= signal * towards * rng.uniform(0.5, 0.9, size=(2, 1 + N_DRAWS, 1))
    if kind == "backup":
        without[1, 0] -= 0.9 * signal * towards
    if kind == "lean":
        without[:, 0] += 1.5
    return answer, group, plain, without


def switched(kind: str, rng, n_groups: int = 80) -> Switched:
    """What a verdict on a made-up run looks at."""
    answer, group, plain, without = planted(kind, rng, n_groups)
    is_test = group >= n_groups // 2
    logits = np.stack([np.zeros_like(plain), plain], axis=-1)
    offset = offsets(logits[~is_test], answer[~is_test])
    rows, own_group = answer[is_test], group[is_test] - n_groups // 2
    sets = []
    for k, evidence in zip((1, 5), without[:, :, is_test], strict=True):
        off = np.stack([np.zeros_like(evidence), evidence], axis=-1)
        found = effects(logits[is_test], off, rows, own_group, offset, is_balanced=True)
        name = "L1 H2" if k == 1 else f"{k} heads"
        sets.append(SwitchedOff(name, k, found["auc"], logits=found["logit_difference"]))
    return Switched(
        sets=tuple(sets),
        measure="AUC",
        ability=ability(logits[is_test], rows, own_group),
        guessing=0.5,
        calibrated_model=measured(calibrated(logits[is_test], offset) == rows, own_group),
        commonest=float(np.bincount(rows).max() / len(rows)),
        is_readable=True,
        n=len(rows),
        n_groups=n_groups // 2,
    )
