"""What a model is asked: tokens, rows and passes of a puzzle set, as scoring lays them out.

A puzzle file is cut into shards, rows and batches by the functions that scoring uses, so packing of
statements that share a context and padding are counted and not guessed. Without a tokenizer a token
is so many characters; without a file, all puzzles are of one length. Says which of these it was.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qkcore import InputError
from qkcore.asking.prompts import Prompt, locate
from qkcore.asking.templates import default_template
from qkcore.puzzles.puzzle import Puzzle
from qkcore.results.parts import PART_SIZE, n_parts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# Of the public sets as SmolLM2's tokenizer cuts them: python -m tests.bench.bench_plan --characters
CHARACTERS = 4


@dataclass(frozen=True, slots=True)
class Asked:
    """What passes over a puzzle set hold, all shards together."""

    n_puzzles: int
    n_candidates: int  # of the puzzle with the most
    n_tokens: float  # in passes, padding included
    n_unpacked: float  # had every puzzle a row of its own, without padding
    n_squares: float  # of the lengths of all rows, padding included: what attention multiplies
    n_passes: int
    longest_pass: int  # tokens in the largest
    longest_row: int
    source: str  # where the numbers come from, in words
    shards: tuple[float, ...] = ()  # tokens of each shard; empty where all are alike

    @property
    def n_shards(self) -> int:
        """How many shards a run has."""
        return n_parts(self.n_puzzles)


def alike(n_puzzles: int, n_tokens: int, batch_tokens: int, n_candidates: int = 2) -> Asked:
    """So many puzzles of one length, each in a row of its own.

    Args:
        n_puzzles: how many.
        n_tokens: of each, its candidates included.
        batch_tokens: padded tokens a pass.
        n_candidates: of each.

    Raises:
        InputError: when there is nothing to ask.

    >>> asked = alike(128, 250, batch_tokens=512)
    >>> asked.n_tokens, asked.n_passes, asked.longest_pass
    (32000, 64, 500)
    """
    if min(n_puzzles, n_tokens) < 1:
        raise InputError("--n-puzzles and --tokens must be 1 or more")
    if n_candidates < 2:
        raise InputError(f"--candidates {n_candidates}: a puzzle has two or more")
    rows = min(max(1, batch_tokens // n_tokens), PART_SIZE, n_puzzles)
    whole, rest = divmod(n_puzzles, PART_SIZE)
    n_passes = whole * -(-PART_SIZE // rows) + -(-rest // rows)
    total = n_puzzles * n_tokens
    return Asked(
        n_puzzles,
        n_candidates,
        total,
        total,
        total * n_tokens,
        n_passes,
        rows * n_tokens,
        n_tokens,
        f"{n_tokens:,} tokens a puzzle as given, no packing, no padding",
    )


def counted(
    puzzles: Sequence[Puzzle], tokenizer: "PreTrainedTokenizerBase | None", batch_tokens: int
) -> Asked:
    """A puzzle set as scoring would lay it out.

    Args:
        puzzles: in their order.
        tokenizer: the model's; None: every `CHARACTERS` characters are a token.
        batch_tokens: padded tokens a pass.

    Raises:
        InputError: when there is no puzzle, or one cannot be asked.
    """
    if not puzzles:
        raise InputError("the puzzle file is empty, so there is nothing to plan")
    cut: Callable[[Puzzle], Prompt] = cut_evenly
    source = f"counted in the puzzle file, a token taken as {CHARACTERS} characters (assumed)"
    if tokenizer is not None:
        own = tokenizer

        def cut(puzzle: Puzzle) -> Prompt:
            return locate(own, default_template(puzzle), puzzle)

        source = "counted in the puzzle file with the model's tokenizer"
    prompts = [cut(puzzle) for puzzle in puzzles]
    shards = [
        _laid_out(prompts[start : start + PART_SIZE], batch_tokens)
        for start in range(0, len(prompts), PART_SIZE)
    ]
    passes = [(rows, longest) for shard in shards for rows, longest in shard]
    return Asked(
        n_puzzles=len(puzzles),
        n_candidates=max(len(puzzle.candidates) for puzzle in puzzles),
        n_tokens=sum(rows * longest for rows, longest in passes),
        n_unpacked=sum(prompt.n_tokens for prompt in prompts),
        n_squares=sum(rows * longest**2 for rows, longest in passes),
        n_passes=len(passes),
        longest_pass=max(rows * longest for rows, longest in passes),
        longest_row=max(longest for _, longest in passes),
        source=source,
        shards=tuple(float(sum(rows * longest for rows, longest in shard)) for shard in shards),
    )


def _laid_out(prompts: Sequence[Prompt], batch_tokens: int) -> list[tuple[int, int]]:
    """(rows, tokens of the longest) of each pass over a shard."""
    from qkcore.attention.rows import batches_of, groups_of, n_row_tokens

    found = []
    for batch in batches_of(prompts, groups_of(prompts), batch_tokens):
        sizes = [n_row_tokens([prompts[index] for index in group]) for group in batch]
        found.append((len(sizes), max(sizes)))
    return found


def cut_evenly(puzzle: Puzzle) -> Prompt:
    """A prompt cut every few characters, its candidates of one token each.

    >>> from qkcore import typed_puzzle
    >>> one = cut_evenly(typed_puzzle("Max is a cat.", "Max is red.", answer=0))
    >>> len(one.tokens), len(one.text)
    (30, 117)
    """
    text = default_template(puzzle).render(puzzle)
    statement_at = text.rfind(puzzle.statement)
    pieces = [text[at : at + CHARACTERS] for at in range(0, len(text), CHARACTERS)]
    return Prompt(
        puzzle=puzzle,
        text=text,
        tokens=tuple(int.from_bytes(piece.encode()) for piece in pieces),
        candidates=tuple((place,) for place in range(len(puzzle.candidates))),
        key_at=(statement_at + len(puzzle.statement) - 1) // CHARACTERS,
        n_context=statement_at // CHARACTERS,
    )


def tokenizer_of(model: str | None) -> "PreTrainedTokenizerBase | None":
    """The tokenizer that lies beside a model's configuration, if there is one."""
    if model is None:
        return None
    from transformers import AutoTokenizer

    try:
        found: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            model.removesuffix("/config.json"), trust_remote_code=False
        )
    except Exception:  # of transformers, the hub's client or its HTTP library: it is not there
        return None
    return found if found.is_fast else None
