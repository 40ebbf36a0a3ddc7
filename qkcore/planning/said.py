"""A plan in words: what is needed, how long it takes, what limits it, and what is not known.

Text only; numbers are those of the plan.
"""

from qkcore.planning.cluster import dealt, handed_out, lifetimes
from qkcore.planning.cost import COUNT_BYTES, OVERHEAD, PART_RATIO, PUBLISH_BYTES
from qkcore.planning.plan import LOAD_BYTES, Plan, advice, gigabytes
from qkcore.scoring.progress import in_words

DRAWS = 20  # simulated runs of each engine


def lines_of(plan: Plan, scores: str) -> list[str]:
    """A plan of one model, a line a subject."""
    shape, asked, cost, machine = plan.shape, plan.asked, plan.cost, plan.machine
    n = asked.n_puzzles
    origin = "shape assumed from its size" if shape.is_assumed else "counted from its configuration"
    packed = asked.n_unpacked / asked.n_tokens
    return [
        f"{shape.name}: {_many(shape.n_params)} weights, {shape.n_scored:,} heads in "
        f"{shape.n_head_layers} layers; {origin}",
        f"asked: {n:,} puzzles in {asked.n_shards:,} shards, {asked.n_tokens / n:,.0f} tokens a "
        f"puzzle in {asked.n_passes:,} passes; {asked.source}"
        + (f" (each in a row of its own: {packed:.2f} times as many)" if packed > 1.005 else ""),
        f"a puzzle: {cost.forward_flops / n / 1e9:,.1f} GFLOP forward (attention "
        f"{cost.attention_flops / cost.forward_flops:.1%}), {cost.own_flops / n / 1e6:,.2f} MFLOP "
        f"for the scores; scoring takes {OVERHEAD:.2f} times a bare forward pass (measured, on a "
        "CPU)",
        f"machine: {machine.n} x {machine.name}, {machine.source}",
        f"memory: {gigabytes(cost.weight_bytes)} of weights in {plan.width} and "
        f"{gigabytes(cost.pass_bytes)} for a pass of {asked.longest_pass:,} tokens (counted); "
        f"{_spread(plan)}",
        *_times(plan),
        f"disk: {gigabytes(cost.part_bytes)} of parts, {gigabytes(cost.store_bytes)} of store "
        f"({scores}), and once more while it is published; {gigabytes(cost.publish_bytes)} of "
        "memory to publish (measured ratios)",
        f"limit: {plan.limit}",
        f"buy: {advice(plan)}",
    ]


def _many(n: float) -> str:
    """A number of weights, in the unit that shows it.

    >>> _many(70_550_000_000), _many(134_515_008), _many(13_296)
    ('70.55 billion', '134.5 million', '13,296')
    """
    if n >= 1e9:
        return f"{n / 1e9:,.2f} billion"
    return f"{n / 1e6:,.1f} million" if n >= 1e6 else f"{n:,.0f}"


def _spread(plan: Plan) -> str:
    unit = "CPU" if plan.machine.is_cpu else "GPU"
    if not plan.n_models:
        return f"it does not fit: a {unit} has {plan.machine.memory_gb:g} GB, and there are " + (
            f"{plan.machine.n}"
        )
    copies = f"{plan.n_models} {'copy' if plan.n_models == 1 else 'copies'} at once"
    if plan.n_spread == 1:
        return f"{copies}, one a {unit}"
    return (
        f"{copies}, each spread over {plan.n_spread} GPUs that take turns "
        f"(--engine ray --gpus-per-model {plan.n_spread})"
    )


def _times(plan: Plan) -> list[str]:
    if not plan.n_models:
        return []
    return [
        f"time: {in_words(plan.seconds)}: multiplying {in_words(plan.multiplying)}, moving bytes "
        f"{in_words(plan.moving)} (the longer counts), loading {in_words(plan.loading)} "
        f"({LOAD_BYTES / 1e9:g} GB/s assumed), publishing {in_words(plan.cost.publish_seconds)}"
    ]


def with_failures(plan: Plan, between: float, seed: int = 0) -> list[str]:
    """What failures do to the time of scoring, by either engine's rule.

    Args:
        plan: that fits.
        between: seconds of work between two failures of one worker, on average.
        seed: of the draws.
    """
    found = []
    for name, rule in (("torchrun", dealt), ("ray", handed_out)):
        if name == "torchrun" and plan.n_spread > 1:
            found.append("torchrun: a model of this size cannot be spread over its processes")
            continue
        draw = lifetimes(between, seed)
        runs = [rule(plan.shard_seconds, plan.n_models, draw, plan.loading) for _ in range(DRAWS)]
        time = sum(run.makespan for run in runs) / DRAWS
        again = sum(run.lost for run in runs) / sum(run.work for run in runs)
        failures = sum(run.n_failures for run in runs) / DRAWS
        found.append(
            f"{name}: {in_words(time)}, {time / runs[0].ideal:.2f} of the ideal, {failures:.1f} "
            f"failures, {again:.1%} of the work done again (simulated, {DRAWS} runs)"
        )
    return found


def caveats() -> str:
    """What stands under every plan."""
    return (
        f"Measured on two CPU cores only: scoring's {OVERHEAD:.2f}, parts {PART_RATIO:.2f} of "
        f"the float32 scores, {PUBLISH_BYTES} bytes of memory to publish a head and puzzle, "
        f"{COUNT_BYTES} bytes of counts a head and difficulty. Not measured: anything on a GPU, "
        "shares of peaks, loading, the network. Check with a hundred puzzles before you buy."
    )
