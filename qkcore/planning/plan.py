"""Hours, what limits them, and what to buy: a cost held against a machine.

A rough model: all passes together take the longer of multiplying and of moving bytes, and a model
that is spread over several GPUs works on one of them at a time. Good for choosing a machine, not
for promising a date; every sentence says whether its figures were measured, counted or assumed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from qkcore import InputError
from qkcore.planning.asked import Asked
from qkcore.planning.cost import OVERHEAD, Cost
from qkcore.planning.machine import USABLE, Machine
from qkcore.planning.shape import Shape

LOAD_BYTES = 1e9  # of weights a second, from disk into memory: assumed


@dataclass(frozen=True, slots=True)
class Plan:
    """A run of one model on a machine. Seconds are of the whole run."""

    shape: Shape
    asked: Asked
    cost: Cost
    machine: Machine
    width: str

    @property
    def n_spread(self) -> int:
        """How many GPUs one model is spread over; more than there are where it does not fit."""
        room = self.machine.usable_bytes - self.cost.pass_bytes
        if room <= 0:
            return self.machine.n + 1
        return max(1, ceil(self.cost.weight_bytes / room))

    @property
    def n_models(self) -> int:
        """How many copies of the model work at once; 0 where it does not fit."""
        if self.machine.is_cpu:
            return self.machine.n if self.n_spread == 1 else 0
        return min(self.machine.n // self.n_spread, self.asked.n_shards)

    @property
    def multiplying(self) -> float:
        """If nothing but operations took time. One GPU of a spread model works at a time."""
        rate = self.machine.tflops * 1e12 * max(1, self.n_models)
        return OVERHEAD * self.cost.flops / rate

    @property
    def moving(self) -> float:
        """If nothing but bytes between a GPU and its memory took time."""
        return self.cost.moved_bytes / (self.machine.bandwidth_gb * 1e9 * max(1, self.n_models))

    @property
    def scoring(self) -> float:
        """All passes."""
        return max(self.multiplying, self.moving)

    @property
    def loading(self) -> float:
        """Weights from disk, once, all copies at the same time."""
        return self.cost.weight_bytes / LOAD_BYTES

    @property
    def seconds(self) -> float:
        """The whole run."""
        return self.loading + self.scoring + self.cost.publish_seconds

    @property
    def limit(self) -> str:
        """What it takes longest for: memory, compute, memory bandwidth, publishing or loading."""
        if not self.n_models:
            return "memory"
        times = {
            "compute": self.multiplying,
            "memory bandwidth": self.moving,
            "publishing": self.cost.publish_seconds,
            "loading": self.loading,
        }
        return max(times, key=lambda name: times[name])

    @property
    def shard_seconds(self) -> tuple[float, ...]:
        """What each shard takes one worker."""
        whole = self.scoring * max(1, self.n_models)
        if not self.asked.shards:
            return (whole / self.asked.n_shards,) * self.asked.n_shards
        tokens = sum(self.asked.shards)
        return tuple(whole * one / tokens for one in self.asked.shards)


def advice(plan: Plan) -> str:
    """What to buy, or to change, first."""
    machine, needed = plan.machine, plan.cost.weight_bytes + plan.cost.pass_bytes
    unit = "CPU" if machine.is_cpu else "GPU"
    if plan.limit == "memory":
        if machine.is_cpu:
            return f"a machine with {gigabytes(needed)} of memory{_fewer_bits(plan)}"
        if plan.cost.pass_bytes >= machine.usable_bytes:
            return "fewer --batch-tokens: a pass by itself does not fit"
        whole = gigabytes(needed / USABLE)
        return f"{plan.n_spread} such GPUs or one with {whole}{_fewer_bits(plan)}"
    if plan.limit == "publishing":
        return "nothing: one process publishes, so more workers do not help"
    if plan.limit == "loading":
        return "nothing: the run is shorter than loading its model"
    if plan.n_spread > 1:
        return _less_spread(plan)
    what = "operations" if plan.limit == "compute" else "memory bandwidth"
    most = plan.asked.n_shards
    return (
        f"{unit}s with more {what}, or more of them: time falls in proportion, up to "
        f"{most:,} (one a shard)"
    )


def _less_spread(plan: Plan) -> str:
    """What to do about GPUs that take turns."""
    fewest = ceil(plan.cost.weight_bytes / plan.machine.usable_bytes)
    whole = gigabytes((plan.cost.weight_bytes + plan.cost.pass_bytes) / USABLE)
    said = (
        f"GPUs that hold the model whole ({whole}){_fewer_bits(plan)}: {plan.n_spread} GPUs of a "
        "model take turns, and are as fast as one"
    )
    if fewest < plan.n_spread:
        return f"nothing yet: with fewer --batch-tokens it fits into {fewest}; then {said}"
    return said


def _fewer_bits(plan: Plan) -> str:
    """The next smaller width, if there is one."""
    return {"4bit": "", "8bit": ", or --quantize 4bit"}.get(plan.width, ", or --quantize 8bit")


def total_hours(plans: Sequence[Plan]) -> float:
    """Of several runs one after the other.

    Raises:
        InputError: naming a model that does not fit.
    """
    for plan in plans:
        if not plan.n_models:
            raise InputError(f"{plan.shape.name} does not fit: {advice(plan)}")
    return sum(plan.seconds for plan in plans) / 3600


def gigabytes(n_bytes: float) -> str:
    """A size as people quote it.

    >>> gigabytes(141.1e9), gigabytes(4.1e6)
    ('141.1 GB', '4.1 MB')
    """
    return f"{n_bytes / 1e9:,.1f} GB" if n_bytes >= 1e8 else f"{n_bytes / 1e6:,.1f} MB"
