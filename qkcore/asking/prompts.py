r"""From a prompt's text to the tokens that are read.

Positions are found by character offsets of the whole text, candidate included: tokenizers merge
across the seams that people see (".\n" is often one token), so counting tokens of the pieces would
name the wrong ones in silence. Knows tokenizers only as something called with a text.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from qkcore.asking.templates import PromptError, PromptText, Template
from qkcore.puzzles.puzzle import Puzzle

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Offsets = Sequence[tuple[int, int]]  # (token) the characters (start, end) that each stands for


@dataclass(frozen=True, slots=True)
class Prompt:
    """A puzzle's tokens, and which of them are read.

    `tokens` runs from the tokenizer's own opening tokens to the cue's last; each candidate's tokens
    follow it at the same position. The query is read at a candidate's last token, the key at
    `tokens[key_at]`. Where the prompt lists options, it is the other way round: one query at the
    cue's last token, keys at `option_ends`, and the candidates' tokens are those of letters.

    The model's own answer is its next-token logits after `tokens[-1]`, or, where all candidates
    begin with the same tokens, after those: `answer_tokens` are what is compared there.
    """

    puzzle: Puzzle
    text: str
    tokens: tuple[int, ...]
    candidates: tuple[tuple[int, ...], ...]
    # index into tokens: the last token before the cue; in a chat, the last of the statement
    key_at: int
    n_shared: int = 0  # tokens with which all candidates begin
    n_context: int = 0  # tokens before the statement: what statements about one context can share
    context_at: int = 0  # where in the text the context begins, in characters
    is_chat: bool = False  # the text holds turn markers and opening tokens already
    # (option) indices into tokens: the last token of each option's line; () without options
    option_ends: tuple[int, ...] = ()
    # (token) where in the text each ends, in characters
    ends: "array[int]" = field(default_factory=lambda: array("L"), repr=False)

    @property
    def context_tokens(self) -> tuple[int, ...]:
        """The tokens before the statement; prompts that agree in them can share a row."""
        return self.tokens[: self.n_context]

    @property
    def answer_tokens(self) -> tuple[int, ...]:
        """The token of each candidate by which the model's own answer is told; all differ."""
        return tuple(ids[self.n_shared] for ids in self.candidates)

    @property
    def n_positions(self) -> int:
        """How many positions the model must reach, the longest candidate included."""
        return len(self.tokens) + max(map(len, self.candidates))

    @property
    def n_tokens(self) -> int:
        """Tokens in the one sequence that holds the prompt and every candidate."""
        return len(self.tokens) + sum(map(len, self.candidates))


def locate(tokenizer: "PreTrainedTokenizerBase", template: Template, puzzle: Puzzle) -> Prompt:
    """Tokenize a puzzle with each candidate in turn and find the tokens to read.

    Args:
        tokenizer: a fast Hugging Face tokenizer (one that reports character offsets).
        template: makes the prompt's text.
        puzzle: with all its candidates.

    Raises:
        PromptError: naming the puzzle, when candidates cannot be told apart in tokens, a candidate
            changes the prompt's own tokens, or the tokenizer has no token for a word.
    """
    asked = template.prompt_text(tokenizer, puzzle)
    spoken = asked.letters or puzzle.candidates
    splits = [_split(tokenizer, asked, candidate, puzzle) for candidate in spoken]
    tokens, offsets, _ = splits[0]
    for candidate, (others, _, _) in zip(spoken, splits, strict=True):
        if others != tokens:
            raise PromptError(
                f"puzzle {puzzle.puzzle_id!r}: candidate {candidate!r} changes how the tokenizer "
                "splits the prompt before it; use a template whose cue does not merge with the "
                "candidate"
            )
    candidates = tuple(ids for _, _, ids in splits)
    return Prompt(
        puzzle=puzzle,
        text=asked.text,
        tokens=tokens,
        candidates=candidates,
        key_at=_key_at(asked, offsets, puzzle),
        n_shared=_n_shared(tokenizer, puzzle, spoken, candidates),
        n_context=sum(end <= asked.statement_at for _, end in offsets),
        context_at=asked.context_at,
        is_chat=asked.is_chat,
        option_ends=_option_ends(asked, offsets, puzzle),
        ends=array("L", (end for _, end in offsets)),
    )


def _key_at(asked: PromptText, offsets: Offsets, puzzle: Puzzle) -> int:
    """The last token before the cue.

    In a chat, the token that holds the statement's last character.
    """
    spans = [(index, start, end) for index, (start, end) in enumerate(offsets) if start < end]
    if asked.is_chat:
        before = [index for index, start, _ in spans if start < asked.statement_end]
    else:
        before = [index for index, _, end in spans if end <= asked.cue_at]
    if not before:
        raise PromptError(
            f"puzzle {puzzle.puzzle_id!r}: the tokenizer leaves no token before "
            f"{asked.text[asked.cue_at :]!r}"
        )
    return before[-1]


def _option_ends(asked: PromptText, offsets: Offsets, puzzle: Puzzle) -> tuple[int, ...]:
    """The last token of each option's line, the end of the line included.

    For the last option that is the last token before the cue, as `_key_at` has it.
    """
    found = []
    for option, (first, last) in zip(puzzle.candidates, asked.option_lines, strict=False):
        inside = [
            index
            for index, (start, end) in enumerate(offsets)
            if start < end <= last and start > first  # not the letter's token, nor any before it
        ]
        if not inside:
            raise PromptError(
                f"puzzle {puzzle.puzzle_id!r}: the tokenizer leaves no token of its own at the end "
                f"of option {option!r}; use another template"
            )
        found.append(inside[-1])
    return tuple(found)


def _split(
    tokenizer: "PreTrainedTokenizerBase", asked: PromptText, candidate: str, puzzle: Puzzle
) -> tuple[tuple[int, ...], Offsets, tuple[int, ...]]:
    """(prompt tokens, their offsets, candidate tokens) of the text followed by the candidate."""
    text = asked.text
    tokens, offsets = encoded(tokenizer, f"{text} {candidate}", asked.is_chat)
    _check_known(tokenizer, tokens, offsets, f"{text} {candidate}", puzzle)
    own = [index for index, (_, end) in enumerate(offsets) if end > len(text)]
    # Closing tokens that some tokenizers append have empty offsets, so `own` leaves them out.
    if not own or offsets[own[0]][0] < len(text):
        raise PromptError(
            f"puzzle {puzzle.puzzle_id!r}: the tokenizer merges candidate {candidate!r} with the "
            "text before it, so it has no token of its own; use another candidate or template"
        )
    first, last = own[0], own[-1]
    return tuple(tokens[:first]), offsets[:first], tuple(tokens[first : last + 1])


def encoded(
    tokenizer: "PreTrainedTokenizerBase", text: str, is_chat: bool = False
) -> tuple[list[int], Offsets]:
    """(token) ids and the characters (start, end) that each stands for.

    Args:
        tokenizer: a fast one.
        text: with the candidate.
        is_chat: the text was made by a chat template, which writes the opening tokens itself.
    """
    encoding = tokenizer(
        text,
        add_special_tokens=not is_chat,
        return_offsets_mapping=True,
        truncation=False,
        padding=False,
        verbose=False,
    )
    return encoding["input_ids"], encoding["offset_mapping"]


def token_text(tokenizer: "PreTrainedTokenizerBase", token: int) -> str:
    """What one token stands for."""
    return str(tokenizer.decode([token]))


def _check_known(
    tokenizer: "PreTrainedTokenizerBase",
    tokens: list[int],
    offsets: Offsets,
    text: str,
    puzzle: Puzzle,
) -> None:
    unknown = getattr(tokenizer, "unk_token_id", None)
    for token, (start, end) in zip(tokens, offsets, strict=True):
        if token == unknown and start < end and text[start:end].strip() != tokenizer.unk_token:
            raise PromptError(
                f"puzzle {puzzle.puzzle_id!r}: the tokenizer has no token for "
                f"{text[start:end].strip()!r}; its score would be that of an unknown word"
            )


def _n_shared(
    tokenizer: "PreTrainedTokenizerBase",
    puzzle: Puzzle,
    spoken: tuple[str, ...],
    candidates: tuple[tuple[int, ...], ...],
) -> int:
    """How many tokens all candidates begin with.

    The next one must tell each of them from the others.
    """
    columns = list(zip(*candidates, strict=False))  # up to the shortest candidate's end
    n_shared = next(
        (index for index, column in enumerate(columns) if len(set(column)) > 1), len(columns)
    )
    seen: dict[tuple[int, ...], str] = {}
    for candidate, ids in zip(spoken, candidates, strict=True):
        beginning = ids[: n_shared + 1]
        other = seen.setdefault(beginning, candidate)
        if other != candidate or len(beginning) == n_shared:
            if other == candidate:
                other = next(one for one in spoken if one != candidate)
            raise PromptError(
                f"puzzle {puzzle.puzzle_id!r}: candidates {other!r} and {candidate!r} both begin "
                f"with the tokens {tokenizer.decode(list(beginning))!r} where others differ or one "
                "ends, so the model's next-token answer cannot tell them apart; use others"
            )
    return n_shared
