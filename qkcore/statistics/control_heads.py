"""Which heads stand beside those that are switched off: as many, of the same layers, at random."""

from collections import Counter
from collections.abc import Sequence
from itertools import combinations, product
from math import comb, prod

import numpy as np

from qkcore import InputError
from qkcore.wording import head_name

Head = tuple[int, int]  # (layer, head)


def control_heads(
    heads: Sequence[Head], n_heads: int, n_draws: int, seed: int = 0
) -> list[tuple[Head, ...]]:
    """Sets of control heads, all different, and none of the heads themselves in them.

    Args:
        heads: (layer, head) that are switched off.
        n_heads: of each layer.
        n_draws: sets wanted. Where there are no more than so many, each of them is given once.
        seed: of what is drawn.

    Raises:
        InputError: where a layer has too few heads.

    >>> control_heads([(15, 7)], n_heads=4, n_draws=20)
    Traceback (most recent call last):
    ...
    qkcore.InputError: layer 15 has heads 0 to 3, so there is no L15 H7
    >>> control_heads([(15, 2)], n_heads=4, n_draws=20)
    [((15, 0),), ((15, 1),), ((15, 3),)]
    >>> [len(control) for control in control_heads([(3, 0), (3, 1), (5, 0)], 9, n_draws=3)]
    [3, 3, 3]
    """
    for layer, head in heads:
        if not 0 <= head < n_heads:
            raise InputError(
                f"layer {layer} has heads 0 to {n_heads - 1}, so there is no "
                f"{head_name(layer, head)}"
            )
    wanted = Counter(layer for layer, _ in heads)
    others = {
        layer: [(layer, head) for head in range(n_heads) if (layer, head) not in heads]
        for layer in sorted(wanted)
    }
    for layer, n in wanted.items():
        if n > len(others[layer]):
            raise InputError(
                f"layer {layer} has {n_heads} heads; with {n} of them switched off it has no {n} "
                "others to compare with, so switch off fewer"
            )
    if prod(comb(len(others[layer]), n) for layer, n in wanted.items()) <= n_draws:
        by_layer = [combinations(others[layer], wanted[layer]) for layer in others]
        return [tuple(head for part in parts for head in part) for parts in product(*by_layer)]
    chance = np.random.default_rng(seed)
    drawn: dict[tuple[Head, ...], None] = {}  # a set that keeps its order
    while len(drawn) < n_draws:
        one = [
            others[layer][place]
            for layer in others
            for place in sorted(chance.choice(len(others[layer]), wanted[layer], replace=False))
        ]
        drawn[tuple(one)] = None
    return list(drawn)
