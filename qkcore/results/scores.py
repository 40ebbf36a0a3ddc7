"""One puzzle's scores, as plain NumPy: what every head and the model itself say to it.

The one form in which scores leave the model: for a notebook, a page, a part of a run. Needs no
torch, so whoever keeps them need not keep the model.
"""

from dataclasses import dataclass

import numpy as np

from qkcore.puzzles.puzzle import Puzzle, PuzzleError
from qkcore.statistics.marks import choices, margins

RIGHT, WRONG, UNDECIDED = "right", "wrong", "cannot decide"


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What every head, and the model itself, says to one puzzle.

    >>> from qkcore import bundled_model, load_model, score_puzzle, typed_puzzle
    >>> one = typed_puzzle("Max is a cat. Every cat is kind.", "Max is kind.", answer=0)
    >>> scores = score_puzzle(load_model(bundled_model()), one)
    >>> scores.qk.shape, scores.margins.shape, scores.logits.shape
    ((8, 4, 2), (8, 4), (2,))
    >>> one.candidates[scores.model_choice]
    'true'
    """

    puzzle: Puzzle
    qk: np.ndarray  # (layer, head, candidate) float32, comparable within a head only
    logits: np.ndarray  # (candidate,) float32, the model's own; see Prompt.answer_tokens
    # (layer,) the model's numbers of the layers in `qk`: those with softmax heads; () for 0, 1, ...
    layers: tuple[int, ...] = ()
    # Where they were asked for, of all layers: (layer, candidate) float32 logits of the lens, and
    # (layer, dim) float32 the hidden state at the statement's end
    lens: np.ndarray | None = None
    states: np.ndarray | None = None

    def __post_init__(self) -> None:
        """Number the layers where all have heads."""
        if not self.layers:
            object.__setattr__(self, "layers", tuple(range(len(self.qk))))

    def of(self, layer: int, head: int) -> np.ndarray:
        """(candidate,) scores of one head, by the model's own number of its layer.

        Raises:
            ValueError: for a layer without heads.
        """
        scores: np.ndarray = self.qk[self.layers.index(layer), head]
        return scores

    @property
    def margins(self) -> np.ndarray:
        """(layer, head): the right candidate's score minus the best wrong one's; > 0 is right.

        Raises:
            PuzzleError: when nobody knows the puzzle's answer.
        """
        if self.puzzle.answer is None:
            raise PuzzleError(
                f"puzzle {self.puzzle.puzzle_id!r} has no known answer, so no margins"
            )
        return margins(self.qk, self.puzzle.answer)

    @property
    def choices(self) -> np.ndarray:
        """(layer, head) candidate index, -1 where a head cannot decide."""
        return choices(self.qk)

    @property
    def model_choice(self) -> int:
        """Candidate index of the largest logit, -1 for a tie."""
        return int(choices(self.logits))

    @property
    def probabilities(self) -> np.ndarray:
        """(candidate,) the model's, shared out among the candidates only."""
        raised = np.exp(self.logits - self.logits.max())
        return raised / raised.sum()

    def named(self, scores: np.ndarray) -> str:
        """The candidate of the largest of (candidate,) scores, in words."""
        index = int(choices(scores))
        return UNDECIDED if index < 0 else self.puzzle.candidates[index]

    def verdict(self, scores: np.ndarray) -> str:
        """Whether that is right; empty where nobody knows."""
        if self.puzzle.answer is None:
            return ""
        return RIGHT if int(choices(scores)) == self.puzzle.answer else WRONG
