"""What takes the place of a head's output, from puzzles that nobody is tested on.

"mean" is the mean of a head's output over all tokens of the puzzles' prompts, a prompt's tokens
counting as often as it is asked. "resample" is the output at a token drawn at random: a random
prompt, and in it a random token, the same for all heads; cues and statement ends are drawn apart,
and stand in for their own kind only. Candidates' tokens are in neither.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from qkcore import InputError
from qkcore.asking.prompts import Prompt
from qkcore.asking.templates import Template
from qkcore.attention.capture import logits_of
from qkcore.attention.geometry import UnsupportedModelError
from qkcore.attention.load import CausalLM
from qkcore.attention.rows import places_of
from qkcore.attention.switching import KINDS, Noting, Replacements, changing
from qkcore.puzzles.puzzle import Puzzle
from qkcore.scoring.score import budget_for, prompts_of
from qkcore.scoring.whole_rows import Laid, laid_out

N_DRAWN = (256, 64, 64)  # tokens that "resample" draws from: any other, cues, statement ends
SEED = 0
UNREAD = ("zero", "knock-out")  # kinds for which no puzzles are read


def replacements_of(
    lm: CausalLM,
    puzzles: Sequence[Puzzle],
    kind: str = "mean",
    *,
    template: Template | None = None,
    layers: Collection[int] | None = None,
) -> Replacements:
    """What takes the place of heads' outputs on such puzzles, from one pass over all of them.

    Args:
        lm: the model.
        puzzles: to take outputs from, such as a set's validation puzzles; unused by "zero" and
            "knock-out".
        kind: "mean", "zero", "resample" or "knock-out".
        template: as of `score_puzzles`.
        layers: whose heads may be switched off; by default all that have heads.

    Raises:
        InputError: where the kind is not known, or needs puzzles and has none.
        UnsupportedModelError: where a layer's outputs are not those of heads.

    >>> from qkcore import bundled_model, generate_puzzles, load_model, replacements_of
    >>> puzzles = generate_puzzles(steps=1, distractors=0, n=4)
    >>> means = replacements_of(load_model(bundled_model()), puzzles).means
    >>> len(means), tuple(means[6].shape)
    (8, (4, 16))
    """
    check_kind(kind, puzzles)
    if kind in UNREAD:
        return Replacements(kind)
    prompts = prompts_of(lm, puzzles, template)
    reader = _Reader(frozenset(lm.geometry.head_layers if layers is None else layers))
    drawn = _draws(prompts) if kind == "resample" else ()
    for laid in laid_out(lm, prompts, budget_for(lm)):
        reader.begin(laid, drawn)
        with changing(Noting(reader.note)):
            logits_of(lm.model, lm.geometry, laid.rows)
    if kind == "resample":
        return Replacements(kind, drawn=reader.drawn)
    n_tokens = sum(len(prompt.tokens) for prompt in prompts)
    return Replacements(kind, {one: (sum_ / n_tokens).float() for one, sum_ in reader.sums.items()})


def check_kind(kind: str, puzzles: Sequence[Puzzle]) -> None:
    """Refuse a kind that is not known, or needs puzzles where there are none.

    Raises:
        InputError: saying so.
    """
    if kind not in KINDS:
        raise InputError(f"kind {kind!r} is not known; use one of {', '.join(KINDS)}")
    if kind not in UNREAD and not puzzles:
        raise InputError(
            f"kind {kind!r} takes heads' outputs from validation puzzles, and there are none; use "
            "'zero' or 'knock-out'"
        )


def drawn_at(laid: Laid) -> Tensor:
    """(row, token) for each token which of the drawn ones "resample" puts there.

    The same for the same row in whatever batch, and for all heads.
    """
    rows = laid.rows
    found = torch.zeros_like(rows.tokens)
    n_other, n_cues, n_ends = N_DRAWN
    for row, group in enumerate(laid.groups):
        n_tokens = int(rows.is_token[row].sum())
        ids = rows.tokens[row, :n_tokens].tolist()
        chance = np.random.default_rng([SEED, *ids])
        found[row, :n_tokens] = torch.from_numpy(chance.integers(n_other, size=n_tokens))
        n = len(group)
        cues, ends = chance.integers(n_cues, size=n), chance.integers(n_ends, size=n)
        found[row, rows.key_at[row, :n]] = n_other + n_cues + torch.from_numpy(ends)
        found[row, rows.logits_at[row, :n]] = n_other + torch.from_numpy(cues)
    return found


Draw = tuple[int, int, int]  # prompt, token of it, and where it goes


def _draws(prompts: Sequence[Prompt]) -> tuple[Draw, ...]:
    """Tokens drawn with replacement: others, then cues, then statement ends."""
    chance = np.random.default_rng(SEED)
    n_other, n_cues, _ = N_DRAWN
    found = []
    for place, number in enumerate(chance.integers(len(prompts), size=sum(N_DRAWN)).tolist()):
        prompt = prompts[number]
        cue = len(prompt.tokens) - 1
        others = [at for at in range(cue) if at != prompt.key_at]
        if place >= n_other + n_cues:
            token = prompt.key_at
        else:
            token = cue if place >= n_other else int(chance.choice(others))
        found.append((number, token, place))
    return tuple(found)


@dataclass
class _Reader:
    """Adds outputs up, or keeps those of the drawn tokens, batch by batch."""

    layers: frozenset[int]
    sums: dict[int, Tensor] = field(default_factory=dict)  # (head, dim) float64
    drawn: dict[int, Tensor] = field(default_factory=dict)  # (drawn token, head, dim)
    weights: Tensor = field(default_factory=lambda: torch.zeros(0, 0))  # (row, token)
    wanted: list[Draw] = field(default_factory=list)  # row, token, place
    is_drawing: bool = False
    told: set[int] = field(default_factory=set)

    def begin(self, laid: Laid, drawn: Sequence[Draw]) -> None:
        """Get ready for a batch."""
        self.told.clear()
        self.is_drawing = bool(drawn)
        self.weights = torch.zeros(laid.rows.tokens.shape)
        self.wanted = []
        for row, (group, numbers) in enumerate(zip(laid.groups, laid.numbers, strict=True)):
            places = places_of(group)
            for own in places:
                self.weights[row, own] += 1
            of_prompt = dict(zip(numbers, places, strict=True))
            self.wanted += [
                (row, of_prompt[number][token], place)
                for number, token, place in drawn
                if number in of_prompt
            ]

    def note(self, layer: int, output: Tensor) -> None:
        """Take in a layer's outputs, (row, token, head, dim)."""
        if layer not in self.layers:
            return
        if layer in self.told:
            raise UnsupportedModelError(
                f"layer {layer} attends several times, so no one output is that of a head"
            )
        self.told.add(layer)
        if not self.is_drawing:
            weights = self.weights.to(output.device)
            by_row = torch.einsum("rt,rthd->rhd", weights, output.float())
            summed = by_row.cpu().double().sum(0)  # Apple's mps has no float64
            self.sums[layer] = self.sums.get(layer, 0) + summed
        elif self.wanted:
            rows, tokens, places = (list(column) for column in zip(*self.wanted, strict=True))
            empty = torch.zeros(sum(N_DRAWN), *output.shape[2:])
            kept = self.drawn.setdefault(layer, empty)
            kept[places] = output[rows, tokens].float().cpu()
