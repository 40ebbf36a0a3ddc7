"""Does the model use the heads in which its answer can be read? One of a closed list of verdicts.

`Switched` in (effects of more and more heads switched off, each beside control heads), name and
sentence out. Each rule is one small function, and `RULES` is their order: the first that has
something to say gives the verdict. Knows nothing of stores, pages or models.

What is measured is the area under the ROC curve (how well the model tells the answers apart): a
head that only adds to the model's lean changes the calibrated accuracy, and tells nothing. Where
one answer occurs alone, and so no area, it is calibrated accuracy. An area hardly falls where a
head falls silent on a few puzzles, so heads do nothing only where the logit difference says so too:
its fall is in proportion to how many those are.
"""

from collections.abc import Callable
from dataclasses import dataclass

from qkcore.statistics.clusters import FEW_GROUPS
from qkcore.statistics.effects import Effect
from qkcore.statistics.evidence import Measured
from qkcore.wording import percent, tenths

# Of what the model has above guessing: heads that for sure cost less are not used
MARGIN, MARGIN_IN_WORDS = 0.1, "a tenth"
SURE = 0.05  # the share of heads like any others of their layers that may be called used
N_CONTROLS = 19  # the fewest random draws among which a rank can be as rare as that
N_FEW = 3  # where a layer has no more other heads: the fewest to compare with, one by one


@dataclass(frozen=True, slots=True)
class SwitchedOff:
    """One set of heads switched off."""

    heads: str  # as they stand in a sentence: "L15 H7", "the best 5 heads"
    n_heads: int
    effect: Effect  # on the measure that the verdict is about
    # How much more they cost than the control that costs most like them (`effects.nearest`); asked
    # only where there are few controls
    nearest: Measured | None = None
    logits: Effect | None = None  # on the logit difference, in which all answers count alike

    @property
    def n_controls(self) -> int:
        """Control draws."""
        return len(self.effect.controls)


@dataclass(frozen=True, slots=True)
class Switched:
    """All that a verdict looks at."""

    sets: tuple[SwitchedOff, ...]  # fewest heads first, at least one
    measure: str  # as it stands in a sentence: "AUC"
    ability: Measured  # the model's own, by that measure
    guessing: float  # what guessing gets by it
    calibrated_model: Measured  # calibrated accuracy, by the run's measure
    commonest: float  # what always saying the commonest answer gets by it
    is_readable: bool  # the answer can be read in the heads: above the luck line
    n: int
    n_groups: int

    @property
    def at_stake(self) -> float:
        """What the model has above guessing."""
        return self.ability.value - self.guessing


@dataclass(frozen=True, slots=True)
class Usage:
    """A name in `NAMES`, and a sentence with its numbers."""

    name: str
    sentence: str


def usage(switched: Switched) -> Usage:
    """The first rule of `RULES` that has something to say.

    >>> idle = tuple(0.002 * draw - 0.02 for draw in range(20))
    >>> off = Effect(0.85, Measured(-0.30, -0.35, -0.25), idle)
    >>> found = usage(Switched((SwitchedOff("L15 H7", 1, off),), "AUC", Measured(0.85, 0.8, 0.9),
    ...     0.5, Measured(0.8, 0.7, 0.9), 0.5, True, 400, 100))
    >>> found.name, found.sentence.partition(":")[0]
    ('used', 'Used')
    """
    for name, rule in RULES:
        sentence = rule(switched)
        if sentence:
            return Usage(name, sentence)
    raise AssertionError("the last rule always speaks")


def is_used(off: SwitchedOff) -> bool:
    """Something is lost, and hardly any control costs as much.

    Of many random controls by rank. Of the few other heads that a layer may have, it must cost more
    than every single one, by the interval of the paired difference.
    """
    if off.effect.loss.low <= 0:
        return False
    if off.n_controls >= N_CONTROLS:
        return off.effect.p <= SURE
    return off.nearest is not None and off.nearest.low > 0


def is_idle(off: SwitchedOff, at_stake: float) -> bool:
    """Whatever is lost is less than `MARGIN` of what there is to lose: an equivalence test.

    Of the area and of the logit difference.
    By the 95 % interval, so it is wrong in 2.5 % of sets that lose exactly so much (two one-sided
    tests: Schuirmann, Journal of Pharmacokinetics and Biopharmaceutics 15, 1987).
    """
    losses = [(off.effect.loss, at_stake)]
    if off.logits is not None:
        losses.append((off.logits.loss, off.logits.before))
    return all(loss.high < MARGIN * whole for loss, whole in losses)


def is_like_others(off: SwitchedOff) -> bool:
    """Something is lost, and by whatever measure it is, within the spread of the controls."""
    effects = [effect for effect in (off.effect, off.logits) if effect is not None]
    hurt = [effect for effect in effects if effect.loss.low > 0]
    return bool(hurt) and all(effect.change.value >= effect.spread[0] for effect in hurt)


# The rules. Each says its sentence, or nothing where it does not apply.


def _few_groups(switched: Switched) -> str | None:
    """Fewer groups than intervals need."""
    if switched.n_groups >= FEW_GROUPS:
        return None
    return (
        f"Too little to say: {switched.n:,} puzzles in {switched.n_groups} groups, and intervals "
        f"need {FEW_GROUPS} groups."
    )


def _nothing_to_lose(switched: Switched) -> str | None:
    """The model itself is not above guessing, so nothing can bring it down."""
    model, own = switched.calibrated_model, switched.ability
    if model.low > switched.commonest and own.low > switched.guessing:
        return None
    return (
        f"Too little to say: the model has nothing to lose. Calibrated, it gets "
        f"{percent(model.value)} ({tenths(model.low)} to {tenths(model.high)}), the commonest "
        f"answer {percent(switched.commonest)}; its {switched.measure} is {_interval(own)}, that "
        f"of guessing {switched.guessing:.3g}."
    )


def _few_controls(switched: Switched) -> str | None:
    """Hardly any heads to compare with."""
    n = min(off.n_controls for off in (switched.sets[0], switched.sets[-1]))
    if n >= N_FEW:
        return None
    return (
        f"Too little to say: it takes {N_FEW} control heads at least to tell heads from any others "
        f"of their layers, and there {'is' if n == 1 else 'are'} {n or 'none'}."
    )


def _used(switched: Switched) -> str | None:
    """The fewest heads alone."""
    first = switched.sets[0]
    if not is_used(first):
        return None
    return f"Used: {_lost(switched, first)} {_beside(first)}"


def _used_together(switched: Switched) -> str | None:
    """The most heads together, though the fewest alone do nothing: heads that stand in."""
    first, last = switched.sets[0], switched.sets[-1]
    is_nothing = is_idle(first, switched.at_stake) or first.effect.loss.low <= 0
    is_much = last.effect.loss.value >= MARGIN * switched.at_stake
    if last is first or not (is_nothing and is_much and is_used(last)):
        return None
    alone = first.effect.loss
    little = (
        f"less than {MARGIN_IN_WORDS} of what it has hangs on it"
        if is_idle(first, switched.at_stake)
        else "which says too little of it alone"
    )
    return (
        f"Used together: {_lost(switched, last)} {_beside(last)} Without {first.heads} alone it "
        f"loses {_interval(alone)}: {little}."
    )


def _unreadable(switched: Switched) -> str | None:
    """Next to nothing hangs on heads in which nothing can be read."""
    first = switched.sets[0]
    if switched.is_readable or not is_idle(first, switched.at_stake):
        return None
    return (
        f"Too little to say: no answer can be read in {first.heads}, not above the luck line; "
        f"{_lost(switched, first)}"
    )


def _not_used(switched: Switched) -> str | None:
    """Next to nothing hangs on the fewest heads."""
    first, last = switched.sets[0], switched.sets[-1]
    if not is_idle(first, switched.at_stake):
        return None
    return f"Readable but not used: {_lost(switched, first)}{_with_more(switched, last)}"


def _by_others(switched: Switched) -> str | None:
    """Control heads hurt as much."""
    first = switched.sets[0]
    if not is_like_others(first):
        return None
    return f"Used by others too: {_lost(switched, first)} {_beside(first)}"


def _undecided(switched: Switched) -> str | None:
    """None of these can be said."""
    first, last = switched.sets[0], switched.sets[-1]
    return (
        f"Too little to say: {_lost(switched, first)} {_beside(first)} So it is neither clear that "
        f"it costs more than any other head, nor that it costs nothing."
        f"{_with_more(switched, last)}"
    )


RULES: tuple[tuple[str, Callable[[Switched], str | None]], ...] = (
    ("too little to say", _few_groups),
    ("too little to say", _nothing_to_lose),
    ("too little to say", _few_controls),
    ("used", _used),
    ("used together", _used_together),
    ("too little to say", _unreadable),
    ("readable but not used", _not_used),
    ("used by others too", _by_others),
    ("too little to say", _undecided),
)
NAMES = tuple(dict.fromkeys(name for name, _ in RULES))


def _lost(switched: Switched, off: SwitchedOff) -> str:
    """What the model loses, and how much of what there is."""
    effect, logits = off.effect, off.logits
    share = effect.loss.value / switched.at_stake
    part = f", {percent(share)} of what it has above guessing" if share >= 0.001 else ""
    if logits is not None:
        change = Measured(*(end / logits.before for end in _ends(logits.loss)))
        part += f"; its logit difference falls by {_percents(change)}"
    return (
        f"without {off.heads} the model's {switched.measure} is {effect.after:.3f} instead of "
        f"{effect.before:.3f}, a loss of {_interval(effect.loss)}{part}."
    )


def _with_more(switched: Switched, last: SwitchedOff) -> str:
    """What happens without more heads, where more were switched off."""
    if last is switched.sets[0]:
        return ""
    effect = last.effect
    return (
        f" Without {last.heads} the {switched.measure} changes by {_interval(effect.change)}; "
        f"{effect.n_as_harmful} of {last.n_controls} draws of random heads cost as much."
    )


def _ends(found: Measured) -> tuple[float, float, float]:
    return found.value, found.low, found.high


def _percents(found: Measured) -> str:
    r"""Shares with an interval.

    >>> _percents(Measured(0.125, -0.01, 0.2))
    '12.5\xa0% (−1.0 to 20.0)'
    """
    return f"{percent(found.value)} ({tenths(found.low)} to {tenths(found.high)})"


def _beside(off: SwitchedOff) -> str:
    """The same of the controls."""
    effect, n = off.effect, off.n_controls
    least, _, most = (-end for end in reversed(effect.spread))
    which = f"{n} draws of {off.n_heads} random heads of the same layers"
    if off.n_heads == 1:
        which = f"{n} other heads of its layer"
    as_much = {0: "none costs", 1: "one costs"}.get(
        effect.n_as_harmful, f"{effect.n_as_harmful} cost"
    )
    rank = f", p = {effect.p:.3f}" if n >= N_CONTROLS else ""
    by_it = "" if off.logits is None else " by it"
    said = (
        f"Of {which} {as_much} as much{by_it} (5th to 95th percentile {_signed(least)} to "
        f"{_signed(most)}{rank})"
    )
    if off.logits is not None:
        said += f", and {off.logits.n_as_harmful} by the logit difference"
    if off.nearest is None:
        return f"{said}."
    return f"{said}; it costs {_interval(off.nearest)} more than the costliest of them."


def _interval(found: Measured) -> str:
    """A number with its interval.

    >>> _interval(Measured(-0.002, -0.01, 0.006))
    '−0.002 (−0.010 to 0.006)'
    """
    return f"{_signed(found.value)} ({_signed(found.low)} to {_signed(found.high)})"


def _signed(value: float) -> str:
    rounded = round(value, 3) + 0.0  # no minus before nothing
    return f"{rounded:.3f}".replace("-", "−")
