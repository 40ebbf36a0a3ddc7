"""From a puzzle to text, and from text to the tokens that are read.

Positions are found by character offsets of the whole text, candidate included: tokenizers merge
across the seams that people see (".\\n" is often one token), so counting tokens of the pieces would
name the wrong ones in silence. Knows tokenizers only as something called with a text.
"""

import string
from dataclasses import dataclass

from qkcore.puzzles import Puzzle, PuzzleError


class PromptError(PuzzleError):
    """A puzzle, template and tokenizer that do not fit together; the message says where."""


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """A plain format string with {context}, then {statement}, then the cue, such as "Answer:".

    Raises:
        PromptError: when a field is missing, stands twice or is unknown, or when the cue is empty or ends in space.
    """

    text: str

    def __post_init__(self) -> None:
        try:
            names = [name for _, name, _, _ in string.Formatter().parse(self.text) if name is not None]
            self.text.format(context="", statement="")
        except (ValueError, LookupError, AttributeError) as error:
            raise PromptError(f"template {self.text!r} is not a format string: {error}") from None
        if names != ["context", "statement"]:
            raise PromptError(f"template {self.text!r} must hold {{context}} once and then {{statement}} once")
        if not self.cue or self.cue != self.cue.rstrip():
            raise PromptError(
                f"template {self.text!r} must end in a cue such as 'Answer:' with no space after it; "
                "each candidate brings its own leading space"
            )

    @property
    def cue(self) -> str:
        """What stands after the statement, white space in front left out.

        >>> TRUE_FALSE.cue
        'Answer:'
        """
        return self.text.split("{statement}")[-1].replace("{{", "{").replace("}}", "}").lstrip()

    def render(self, puzzle: Puzzle) -> str:
        """The prompt's text, up to and with the cue."""
        return self.text.format(context=puzzle.context, statement=puzzle.statement)


TRUE_FALSE = PromptTemplate(
    "Decide from the context whether the statement is true or false.\n"
    "Context: {context}\nStatement: {statement}\nAnswer:"
)
YES_NO = PromptTemplate("Answer the question from the context.\nContext: {context}\nQuestion: {statement}\nAnswer:")


def default_template(puzzle: Puzzle) -> PromptTemplate:
    """YES_NO for the candidates yes and no, in any order and case, else TRUE_FALSE."""
    return YES_NO if {candidate.lower() for candidate in puzzle.candidates} == {"yes", "no"} else TRUE_FALSE


@dataclass(frozen=True, slots=True)
class Prompt:
    """A puzzle's tokens, and which of them are read.

    `tokens` runs from the tokenizer's own opening tokens to the cue's last; each candidate's tokens follow it at
    the same position. The query is read at a candidate's last token, the key at `tokens[key_at]`. The model's own
    answer is its next-token logits after `tokens[-1]`, or, where all candidates begin with the same tokens, after
    those: `answer_tokens` are what is compared there.
    """

    puzzle_id: str
    text: str
    tokens: tuple[int, ...]
    candidates: tuple[tuple[int, ...], ...]
    key_at: int  # index into tokens: the last token before the cue
    n_shared: int = 0  # tokens with which all candidates begin
    n_context: int = 0  # tokens before the statement: what statements about one context can share

    @property
    def context_tokens(self) -> tuple[int, ...]:
        """The tokens before the statement; prompts that agree in them can share a row."""
        return self.tokens[: self.n_context]

    @property
    def answer_tokens(self) -> tuple[int, ...]:
        """The token of each candidate by which the model's own answer is told, all of them different."""
        return tuple(ids[self.n_shared] for ids in self.candidates)

    @property
    def n_positions(self) -> int:
        """How many positions the model must reach, the longest candidate included."""
        return len(self.tokens) + max(map(len, self.candidates))

    @property
    def n_tokens(self) -> int:
        """Tokens in the one sequence that holds the prompt and every candidate."""
        return len(self.tokens) + sum(map(len, self.candidates))


def locate(tokenizer, template: PromptTemplate, puzzle: Puzzle) -> Prompt:
    """Tokenize a puzzle with each candidate in turn and find the tokens to read.

    Args:
        tokenizer: a fast Hugging Face tokenizer (one that reports character offsets).

    Raises:
        PromptError: naming the puzzle, when candidates cannot be told apart in tokens, a candidate changes the
            prompt's own tokens, or the tokenizer has no token for a word.
    """
    text = template.render(puzzle)
    splits = [_split(tokenizer, text, candidate, puzzle) for candidate in puzzle.candidates]
    tokens, offsets, _ = splits[0]
    for candidate, (others, _, _) in zip(puzzle.candidates, splits, strict=True):
        if others != tokens:
            raise PromptError(
                f"puzzle {puzzle.puzzle_id!r}: candidate {candidate!r} changes how the tokenizer splits the prompt "
                f"before it; use a template whose cue does not merge with the candidate"
            )
    candidates = tuple(ids for _, _, ids in splits)
    n_shared = _n_shared(tokenizer, puzzle, candidates)
    cue_at = len(text) - len(template.cue)
    statement_at = len(template.text.split("{statement}")[0].format(context=puzzle.context))
    n_context = sum(end <= statement_at for _, end in offsets)
    before_cue = [index for index, (start, end) in enumerate(offsets) if start < end <= cue_at]
    if not before_cue:
        raise PromptError(f"puzzle {puzzle.puzzle_id!r}: the tokenizer leaves no token before {template.cue!r}")
    return Prompt(puzzle.puzzle_id, text, tokens, candidates, before_cue[-1], n_shared, n_context)


def _split(tokenizer, text: str, candidate: str, puzzle: Puzzle) -> tuple[tuple, list, tuple]:
    """(prompt tokens, their offsets, candidate tokens) of the text followed by the candidate."""
    encoding = tokenizer(
        f"{text} {candidate}", return_offsets_mapping=True, truncation=False, padding=False, verbose=False
    )
    tokens, offsets = encoding["input_ids"], encoding["offset_mapping"]
    _check_known(tokenizer, tokens, offsets, f"{text} {candidate}", puzzle)
    own = [index for index, (_, end) in enumerate(offsets) if end > len(text)]
    # Closing tokens that some tokenizers append have empty offsets, so `own` leaves them out.
    if not own or offsets[own[0]][0] < len(text):
        raise PromptError(
            f"puzzle {puzzle.puzzle_id!r}: the tokenizer merges candidate {candidate!r} with the text before it, so "
            "it has no token of its own; use another candidate or template"
        )
    first, last = own[0], own[-1]
    return tuple(tokens[:first]), offsets[:first], tuple(tokens[first : last + 1])


def _check_known(tokenizer, tokens: list[int], offsets: list, text: str, puzzle: Puzzle) -> None:
    unknown = getattr(tokenizer, "unk_token_id", None)
    for token, (start, end) in zip(tokens, offsets, strict=True):
        if token == unknown and start < end and text[start:end].strip() != tokenizer.unk_token:
            raise PromptError(
                f"puzzle {puzzle.puzzle_id!r}: the tokenizer has no token for {text[start:end].strip()!r}; "
                "its score would be that of an unknown word"
            )


def _n_shared(tokenizer, puzzle: Puzzle, candidates: tuple[tuple[int, ...], ...]) -> int:
    """How many tokens all candidates begin with; the next one must tell each of them from the others."""
    columns = list(zip(*candidates, strict=False))  # up to the shortest candidate's end
    n_shared = next((index for index, column in enumerate(columns) if len(set(column)) > 1), len(columns))
    seen: dict[tuple[int, ...], str] = {}
    for candidate, ids in zip(puzzle.candidates, candidates, strict=True):
        beginning = ids[: n_shared + 1]
        other = seen.setdefault(beginning, candidate)
        if other != candidate or len(beginning) == n_shared:
            other = other if other != candidate else next(one for one in puzzle.candidates if one != candidate)
            raise PromptError(
                f"puzzle {puzzle.puzzle_id!r}: candidates {other!r} and {candidate!r} both begin with the tokens "
                f"{tokenizer.decode(list(beginning))!r} where others differ or one ends, so the model's next-token "
                "answer cannot tell them apart; use others"
            )
    return n_shared
