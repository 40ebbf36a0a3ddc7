"""Prompts laid out for passes that read the model's own answers only.

Statements about one context share a row where a model lets candidates share one, exactly as for
scoring; elsewhere each prompt has a row of its own, read from its start.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from qkcore.asking.prompts import Prompt
from qkcore.attention.load import CausalLM
from qkcore.attention.rows import Rows, batches_of, groups_of, rows_of, separate_rows_of
from qkcore.scoring.score import Budget


@dataclass(frozen=True, slots=True)
class Laid:
    """A batch: its rows, and whose they are."""

    rows: Rows
    groups: list[list[Prompt]]  # by row
    numbers: list[list[int]]  # likewise, the prompts' places in what was laid out


def laid_out(
    lm: CausalLM, prompts: Sequence[Prompt], budget: Budget, left: Sequence[int] | None = None
) -> Iterator[Laid]:
    """All prompts, or those that are left, in batches of about the budget's tokens."""
    numbers = range(len(prompts)) if left is None else left
    wanted = [prompts[number] for number in numbers]
    if not lm.geometry.is_side_by_side:
        # Without candidates but for the tokens that all of them share: the answer is read there.
        wanted = [replace(prompt, candidates=prompt.candidates[:1]) for prompt in wanted]
        groups = [[place] for place in range(len(wanted))]
    else:
        groups = groups_of(wanted, budget.max_row_tokens)
    for batch in batches_of(wanted, groups, budget.max_tokens):
        members = [[wanted[place] for place in group] for group in batch]
        if lm.geometry.is_side_by_side:
            rows = rows_of(members)
        else:
            rows = separate_rows_of([prompt for group in members for prompt in group])
        yield Laid(rows, members, [[numbers[place] for place in group] for group in batch])
