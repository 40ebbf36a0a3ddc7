"""What is read after each layer in the pass that scores: the lens, and states for probes.

Says which puzzles probes are fitted on and asked, and brings their states to a bounded size. States
live in memory only. Probes are kept to `MAX_PROBED` validation and as many test puzzles, and states
to `MAX_DIMS` numbers, so they take at most 4,000 x 1,024 x 4 bytes a layer: 16 MB. Knows nothing of
files.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from qkcore.asking.prompts import Prompt
from qkcore.attention.geometry import UnsupportedModelError
from qkcore.attention.hidden_states import HiddenStates
from qkcore.attention.lens import Lens, find_lens
from qkcore.attention.load import CausalLM
from qkcore.puzzles.puzzle import SPLITS, Puzzle

MAX_PROBED = 2_000  # puzzles of a split
MAX_DIMS = 1_024  # numbers of a state
MAX_AT_ONCE = 2**22  # numbers of states that go through the lens together
SEED = 0


@dataclass(frozen=True, slots=True)
class LayerReader:
    """How a model is read after each layer, and of which puzzles states are kept."""

    lens: Lens
    probed: frozenset[str]  # ids of puzzles

    def read(
        self, states: HiddenStates, places: Sequence[tuple[int, int]], prompts: Sequence[Prompt]
    ) -> list[tuple[Tensor, np.ndarray | None]]:
        """What each prompt's states say.

        Args:
            states: of a pass.
            places: (row, statement) of each prompt in them.
            prompts: located.

        Returns:
            (layer, candidate) float32 logits of the lens, and the (layer, dim) state at the
            statement's end, for a puzzle that is probed.
        """
        n_layers, size = states.cue.shape[1], states.cue[0, 0, 0].numel()
        step = max(1, MAX_AT_ONCE // (n_layers * size))
        found: list[tuple[Tensor, np.ndarray | None]] = []
        for start in range(0, len(prompts), step):
            some = slice(start, start + step)
            rows, statements = (torch.tensor(index) for index in zip(*places[some], strict=True))
            lenses = self._lenses(states.cue[rows, :, statements], prompts[some])
            ends = [
                self._kept(states.end[row, :, statement], prompt)
                for (row, statement), prompt in zip(places[some], prompts[some], strict=True)
            ]
            found += zip(lenses, ends, strict=True)
        return found

    def _lenses(self, cue: Tensor, prompts: Sequence[Prompt]) -> list[Tensor]:
        """(layer, candidate) of each prompt, from (prompt, layer, ..., dim) states at the cue."""
        tokens = sorted({token for prompt in prompts for token in prompt.answer_tokens})
        logits = self.lens.logits(cue.flatten(0, 1)[:, None], torch.tensor(tokens))
        by_prompt = logits[:, 0].unflatten(0, (len(prompts), -1)).float().cpu()
        return [
            by_prompt[number][:, [tokens.index(token) for token in prompt.answer_tokens]]
            for number, prompt in enumerate(prompts)
        ]

    def _kept(self, end: Tensor, prompt: Prompt) -> np.ndarray | None:
        """(layer, dim) float32 of (layer, ..., dim) states, if the puzzle is probed."""
        if prompt.puzzle.puzzle_id not in self.probed:
            return None
        state = end.flatten(1).float()
        if state.shape[1] > MAX_DIMS:
            state = state @ projection(state.shape[1], state.device)
        kept: np.ndarray = state.cpu().numpy()
        return kept


def layer_reader(lm: CausalLM, puzzles: Sequence[Puzzle]) -> LayerReader:
    """How a model is read after each layer.

    Raises:
        UnsupportedModelError: saying why it has no lens; it can be scored all the same.
    """
    lens = find_lens(lm.model, lm.geometry, lm.check.tolerance)
    return LayerReader(lens, frozenset(probed(puzzles)))


def probed(puzzles: Sequence[Puzzle], most: int = MAX_PROBED) -> list[str]:
    """Ids of the puzzles that probes are fitted on and asked: of each split, so many at most.

    Whole groups, drawn with a fixed seed; a group that does not fit any more is left out.
    """
    found = []
    for split in SPLITS:
        groups: dict[str, list[str]] = {}
        for puzzle in puzzles:
            if puzzle.split == split:
                groups.setdefault(puzzle.group, []).append(puzzle.puzzle_id)
        drawn = list(groups.values())
        n_drawn = 0
        for index in np.random.default_rng(SEED).permutation(len(drawn)):
            if n_drawn + len(drawn[index]) <= most:
                found += drawn[index]
                n_drawn += len(drawn[index])
    return found


@cache
def projection(n_dims: int, device: torch.device) -> Tensor:
    """(n_dims, MAX_DIMS) that keeps distances about as they are (Johnson and Lindenstrauss 1984).

    The same in every run.
    """
    chance = torch.Generator().manual_seed(SEED)
    return (torch.randn(n_dims, MAX_DIMS, generator=chance) / MAX_DIMS**0.5).to(device)


def agreeing(lens: Tensor, logits: Tensor, scale: float, lm_name: str, tolerance: float) -> Tensor:
    """A prompt's lens, with the model's own logits after the last layer, which it must agree with.

    Args:
        lens: (layer, candidate).
        logits: (candidate,) the model's own.
        scale: the largest logit of the whole vocabulary.
        lm_name: for the sentence.
        tolerance: relative to `scale`.

    Raises:
        UnsupportedModelError: when they differ by more than rounding.
    """
    difference = float((lens[-1] - logits).abs().max()) / max(scale, 1e-12)
    if not difference <= tolerance:
        raise UnsupportedModelError(
            f"{lm_name}: its lens after the last layer differs from its own answer by "
            f"{difference:.1e} (at most {tolerance:.0e} is rounding); score without lens"
        )
    return torch.cat([lens[:-1], logits[None]])
