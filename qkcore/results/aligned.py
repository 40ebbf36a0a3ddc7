"""What every head's queries make of every token of one prompt: the numbers, once they are read.

Knows nothing of models, so that whoever only shows them need not load any; scoring/alignment reads
them.
"""

from dataclasses import dataclass

import numpy as np

from qkcore.puzzles.puzzle import Puzzle


@dataclass(frozen=True, slots=True, eq=False)
class Alignment:
    """What every head's queries make of every token of one prompt.

    >>> from qkcore import align, bundled_model, load_model, typed_puzzle
    >>> one = typed_puzzle("Max is a cat. Every cat is kind.", "Max is kind.", answer=0)
    >>> found = align(load_model(bundled_model()), one)
    >>> values = found.of(layer=6, head=1, candidate=0, other=1)
    >>> len(values) == len(found.texts), found.by_premise(values).shape
    (True, (2,))
    """

    puzzle: Puzzle
    # (token) the part of the prompt that each token stands for; joined, they are the prompt
    texts: tuple[str, ...]
    # (token) the premise it belongs to, counted from 0; None outside of the context
    premises: tuple[int | None, ...]
    sentences: tuple[str, ...]  # the premises
    key_at: int  # the token whose product is the QK-score
    products: np.ndarray  # (layer, head, candidate, token) float32, unscaled
    # (layer,) the model's numbers of the layers in `products`: those with softmax heads
    layers: tuple[int, ...]

    def of(self, layer: int, head: int, candidate: int, other: int | None = None) -> np.ndarray:
        """(token) products of one candidate's query, or how far above another's they are."""
        by_candidate = self.products[self.layers.index(layer), head]
        own: np.ndarray = by_candidate[candidate]
        return own if other is None else own - by_candidate[other]

    def by_premise(self, values: np.ndarray) -> np.ndarray:
        """(premise) sums over each premise's tokens.

        Args:
            values: (token).
        """
        numbers = np.array([-1 if one is None else one for one in self.premises])
        return np.array([values[numbers == number].sum() for number in range(len(self.sentences))])
