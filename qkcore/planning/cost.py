"""Operations and bytes of a run: counted from the model's shape and what it is asked.

A forward pass multiplies every token by every active weight (2 operations each); attention adds
what grows with the square of a row. All else that scoring does is in a measured ratio. Knows
nothing of machines, so nothing of time.
"""

from dataclasses import dataclass

from qkcore.planning.asked import Asked
from qkcore.planning.shape import Shape

# Bytes of a weight; quantised ones carry their scales (qkcore.attention.memory).
WIDTHS = {"float32": 4.0, "bfloat16": 2.0, "float16": 2.0, "8bit": 1.0, "4bit": 0.5625}
SCORE_WIDTHS = {"float32": 4, "float16": 2}

# Measured on two CPU cores; docs/scaling.md names the commands.
OVERHEAD = 1.05  # scoring two candidates, as a multiple of the best bare forward (bench_scoring)
# Bytes of a part, as a multiple of its float32 scores: SmolLM2's, in parts of 64 puzzles; random
# ones take 0.85 to 0.94 (bench_plan)
PART_RATIO = 0.80
# Of a store that are no raw scores, for each head and difficulty; texts too (the demo store)
COUNT_BYTES = 100
# Of publishing, by bench_plan and bench_publish: seconds of a processor, bytes of memory.
PUBLISH_START = 1.0  # seconds, however small the run
PUBLISH_COUNTING = 1.2e-4  # and for each head and difficulty
PUBLISH_SECONDS = 0.8e-6  # and for each head and puzzle
PUBLISH_BASE = 0.45e9  # bytes, however small
PUBLISH_BYTES = 28  # and for each head and puzzle, of two candidates


@dataclass(frozen=True, slots=True)
class Cost:
    """What a run of one model multiplies, moves and keeps. FLOPs and bytes."""

    forward_flops: float
    attention_flops: float  # the part of it that grows with the square of a row
    own_flops: float  # queries times keys, for the scores alone
    weight_bytes: float  # held, and read once a pass
    pass_bytes: float  # held beside them, in the largest pass
    moved_bytes: float  # read and written in all passes together
    raw_bytes: float  # scores, in float32
    part_bytes: float
    store_bytes: float  # scores as kept, and counts
    publish_bytes: float  # of memory
    publish_seconds: float

    @property
    def flops(self) -> float:
        """All that is multiplied, of which the forward pass is nearly everything."""
        return self.forward_flops + self.own_flops


def cost_of(
    shape: Shape, asked: Asked, width: str, scores: str = "float32", n_difficulties: int = 50
) -> Cost:
    """The cost of a run.

    Args:
        shape: of the model.
        asked: of it.
        width: of its weights, see `WIDTHS`; states of quantised ones are bfloat16.
        scores: as what the store keeps raw scores.
        n_difficulties: splits times steps times distractors that occur; counts are kept of each.

    >>> from qkcore.planning.asked import alike
    >>> from qkcore.planning.shape import shape_of_size
    >>> cost = cost_of(shape_of_size("70B"), alike(1, 250, 16_384), "bfloat16")
    >>> round(cost.flops / 1e12, 1), round(cost.weight_bytes / 1e9)
    (34.1, 140)
    """
    state = 4.0 if width == "float32" else 2.0
    attending = shape.n_head_layers * shape.n_heads * shape.head_size
    attention = 4.0 * attending * asked.n_squares
    forward = (
        2.0 * shape.n_active * asked.n_tokens + attention + 2.0 * shape.n_output * asked.n_puzzles
    )
    weights = shape.n_inside * WIDTHS[width] + (shape.n_params - shape.n_inside) * state
    raw = 4.0 * asked.n_puzzles * shape.n_scored * asked.n_candidates
    published = publishing(asked.n_puzzles, shape.n_scored, n_difficulties)
    counts = COUNT_BYTES * shape.n_scored * n_difficulties
    return Cost(
        forward_flops=forward,
        attention_flops=attention,
        own_flops=2.0 * attending * asked.n_candidates * asked.n_puzzles,
        weight_bytes=weights,
        pass_bytes=_held(shape, asked, state),
        moved_bytes=asked.n_passes * weights + asked.n_tokens * _moved(shape, state),
        raw_bytes=raw,
        part_bytes=raw * PART_RATIO,
        store_bytes=raw * SCORE_WIDTHS[scores] / 4 + counts,
        publish_bytes=published[1],
        publish_seconds=published[0],
    )


def publishing(n_puzzles: int, n_heads: int, n_difficulties: int) -> tuple[float, float]:
    """Seconds of a processor, and bytes of memory, that publishing takes.

    >>> seconds, n_bytes = publishing(100_000, 1_024, 72)  # measured: 93 s and 3.3 GB
    >>> round(seconds), round(n_bytes / 1e9, 1)
    (92, 3.3)
    """
    each = n_puzzles * n_heads
    counting = n_heads * n_difficulties * PUBLISH_COUNTING
    return (
        PUBLISH_START + counting + each * PUBLISH_SECONDS,
        PUBLISH_BASE + each * PUBLISH_BYTES,
    )


def _moved(shape: Shape, state: float) -> float:
    """Bytes that a token's states are read and written as, in all layers: counted, not measured.

    A layer's states eight times (two norms, two sums), queries, keys, values and what they give
    twice each, the feed-forward part five times.
    """
    heads = (2 * shape.n_heads + 2 * shape.n_kv_heads) * shape.head_size
    return shape.n_layers * (8 * shape.hidden + 2 * heads + 5 * shape.inner) * state


def _held(shape: Shape, asked: Asked, state: float) -> float:
    """Bytes in memory during the largest pass, beside the weights: counted, not measured.

    One layer's states at a time, its mask, the logits of its statements, and the queries and keys
    that were kept of all layers.
    """
    layer = 4 * shape.hidden + 3 * shape.inner + 4 * shape.n_heads * shape.head_size
    mask = asked.longest_pass * asked.longest_row * state
    n_statements = max(1.0, asked.n_puzzles * asked.longest_pass / asked.n_tokens)
    vocabulary = shape.n_output / shape.hidden
    kept = shape.n_scored * shape.head_size * (asked.n_candidates + 1) * state
    return asked.longest_pass * layer * state + mask + n_statements * (vocabulary * state + kept)
