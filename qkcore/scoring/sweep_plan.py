"""The runs of a sweep: which are in the store, which are left, and how long these may take.

A run that can be named without its model being loaded is looked up in the store; others are known
when their model is there. Times are estimated from runs of the same model that the store holds, and
from nothing else. Scores nothing, writes nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from qkcore import InputError
from qkcore.asking.readings import READINGS
from qkcore.asking.templates import template_name
from qkcore.bundled import names_of
from qkcore.puzzles.balance import balance_puzzles
from qkcore.puzzles.puzzle import PuzzleError, load_puzzles, puzzle_set_sha256
from qkcore.puzzles.twin import parent_of
from qkcore.results.publish import check_accepts
from qkcore.results.store import ResultStore
from qkcore.scoring.progress import in_words
from qkcore.scoring.status import status
from qkcore.scoring.sweep_file import ListedModel, ListedSet, SweepFile

WORDS = {True: "already there", False: "left", None: "left, perhaps"}


@dataclass(frozen=True, slots=True)
class Planned:
    """One run of a sweep."""

    number: int  # from 1
    n_all: int
    model: ListedModel
    puzzle_set: ListedSet
    rope: str
    is_there: bool | None  # in the store; None: known when the model is loaded

    @property
    def title(self) -> str:
        """The run in words."""
        reading = "" if self.rope == "pre" else f" ({READINGS[self.rope]})"
        return f"{self.model.label} on {self.puzzle_set.name}{reading}"

    @property
    def place(self) -> str:
        """Which of how many, and the run in words."""
        return f"run {self.number} of {self.n_all}: {self.title}"

    @property
    def n_puzzles(self) -> int:
        """How many puzzles it has."""
        return len(self.puzzle_set.puzzles)


def planned(sweep: SweepFile, store: Path) -> list[Planned]:
    """The runs that a file asks for, in the order in which they are scored.

    Raises:
        StoreError: when the store cannot be read, or may not be made.
        InputError: naming file and key where the store holds other puzzles by a set's name.
    """
    check_accepts(store, "", "")  # whatever the sets are
    for one in sweep.sets:
        try:
            check_accepts(store, one.name, one.sha256)
        except InputError as error:
            raise InputError(f"{one.where}: {error}") from None
    is_there = _looked_up(sweep, store)
    found = [
        Planned(0, 0, model, puzzle_set, rope, is_there(model, puzzle_set, rope))
        for model in sweep.models
        for puzzle_set in sweep.sets
        for rope in sweep.ropes
    ]
    return [replace(one, number=n, n_all=len(found)) for n, one in enumerate(found, start=1)]


def _looked_up(
    sweep: SweepFile, store: Path
) -> Callable[[ListedModel, ListedSet, str], bool | None]:
    """Says whether a run is in the store as it is now, or None."""
    from qkcore.attention.identity import identity_of  # torch
    from qkcore.scoring.scorer import run_id_of

    there = runs_in(store, sweep.lens)
    recipes = {one.where: one.recipe for one in sweep.models}
    identities = {
        where: None if one.chat else identity_of(one.model, one.dtype, one.device, one.quantize)
        for where, one in recipes.items()
    }

    def is_there(model: ListedModel, puzzle_set: ListedSet, rope: str) -> bool | None:
        if (identity := identities[model.where]) is None:
            return None
        decisive = {
            "model_revision": identity.revision,
            "dtype": identity.dtype,
            "puzzle_set_sha256": puzzle_set.sha256,
            "rope": rope,
            "template": template_name(model.recipe.plain()),
        }
        return run_id_of(decisive, identity.name, puzzle_set.name, sweep.scores) in there

    return is_there


def runs_in(store: Path, with_lens: bool) -> set[str]:
    """The runs that a store holds, with what is read after each layer where that is asked for."""
    if not store.exists():
        return set()
    with ResultStore.open(store) as opened:
        runs = set(opened.runs()["run_id"])
        return {run for run in runs if opened.has_layers(run)} if with_lens else runs


def with_twins(sweep: SweepFile) -> tuple[SweepFile, list[str]]:
    """The same with each set's balanced twin behind it, where the file asks for twins.

    A twin that lies beside its set, or is listed, is taken; others are made, and not written yet.

    Returns:
        Also a sentence for each set that has no twin.

    Raises:
        InputError: when the file beside a set is no twin of it.
    """
    if not sweep.twins:
        return sweep, []
    parents = {parent_of(one.puzzles) for one in sweep.sets}
    sets: list[ListedSet] = []
    without: list[str] = []
    for one in sweep.sets:
        sets.append(one)
        if parent_of(one.puzzles) is not None or one.sha256 in parents:
            continue
        try:
            sets.append(_twin_of(one))
        except PuzzleError as error:
            why = str(error).removeprefix("no twin can be made: ")
            without.append(f"{one.name}: no twin can be made: {why}")
    return replace(sweep, sets=sets), without


def _twin_of(one: ListedSet) -> ListedSet:
    path, name = one.path.with_name(f"{one.path.stem}-twin.jsonl"), f"{one.name}-twin"
    is_new = not path.exists()
    puzzles = balance_puzzles(one.puzzles).puzzles if is_new else load_puzzles(path)
    if parent_of(puzzles) != one.sha256:
        raise InputError(
            f"{one.where}: {path} is no twin of {one.path}; move it away, and it is made anew"
        )
    return ListedSet(one.where, name, path, puzzles, puzzle_set_sha256(puzzles), is_new)


def speeds(store: Path) -> dict[str, float]:
    """Puzzles a second of each model that the store has runs of, all of them together."""
    if not store.exists():
        return {}
    with ResultStore.open(store) as opened:
        sums = opened.runs().groupby("model")[["n_puzzles", "seconds"]].sum()
    known = sums[sums["seconds"] > 0]
    return {str(name): float(n / s) for name, n, s in known.itertuples()}


def speed_of(model: ListedModel, known: Mapping[str, float]) -> float | None:
    """That of the model's runs in the store; None without."""
    return next(
        (known[name] for name in sorted(names_of(model.recipe.model)) if name in known), None
    )


def listed(runs: Sequence[Planned], store: Path) -> list[str]:
    """Every run with its puzzles, and how long it may take where its model's speed is known."""
    known, lines, seconds = speeds(store), [], 0.0
    unknown = {one.model.label for one in runs if not one.is_there}
    for one in runs:
        line = f"{WORDS[one.is_there]:15}{one.title}: {one.n_puzzles:,} puzzles"
        speed = speed_of(one.model, known)
        if not one.is_there and speed:
            unknown.discard(one.model.label)
            seconds += one.n_puzzles / speed
            line += f", about {in_words(one.n_puzzles / speed)}"
        lines.append(line)
    left = [one for one in runs if not one.is_there]
    total = f"{counted(runs)}: {sum(one.n_puzzles for one in left):,} puzzles"
    if seconds:
        total += f", about {in_words(seconds)} at the speed of the store's runs"
    if unknown:
        total += f"; no speed is known of {', '.join(sorted(unknown))}"
    return [*lines, f"{total}."]


def counted(runs: Sequence[Planned]) -> str:
    """How many runs are there and how many are left."""
    n_there = sum(one.is_there is True for one in runs)
    unsure = sum(one.is_there is None for one in runs)
    told = f"{len(runs):,} {'run' if len(runs) == 1 else 'runs'}: {n_there:,} already there"
    told += f", {len(runs) - n_there:,} left"
    if unsure:
        told += f" (or fewer: {unsure:,} are known only when their model is loaded)"
    return told


def how_far(runs: Sequence[Planned], store: Path) -> list[str]:
    """What is done and left, and how far the unfinished runs beside the store are."""
    left = [f"  left: {one.title}" for one in runs if not one.is_there]
    return [f"{counted(runs)}.", *left, *status(store)]
