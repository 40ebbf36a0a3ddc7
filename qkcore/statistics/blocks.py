"""Heads some at a time, on all cores: what is worked out a head needs no memory for all of them.

Knows nothing of what is worked out. Each head's numbers are the same bits in a block of any size
but one, since NumPy adds up along the same axis in the same order.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TypeVar

AT_ONCE = 64  # heads

Some = TypeVar("Some")
Found = TypeVar("Found")


def blocks(n_heads: int, at_once: int | None = None) -> list[slice]:
    """Nearly equal blocks of consecutive heads; none of one head, unless there is but one.

    >>> blocks(7, at_once=3)
    [slice(0, 2, None), slice(2, 4, None), slice(4, 7, None)]
    """
    n_blocks = max(1, min(-(-n_heads // (at_once or AT_ONCE)), n_heads // 2))
    ends = [number * n_heads // n_blocks for number in range(n_blocks + 1)]
    return [slice(first, last) for first, last in pairwise(ends)]


def of_each(work: Callable[[Some], Found], some: Sequence[Some]) -> list[Found]:
    """What the work gives for each block, in order; NumPy lets go of Python while it counts.

    >>> of_each(lambda some: some.stop - some.start, blocks(7, at_once=3))
    [2, 2, 3]
    """
    if len(some) == 1:
        return [work(some[0])]
    with ThreadPoolExecutor(n_cores()) as pool:
        return list(pool.map(work, some))


def n_cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
