"""From a puzzle to the text that a model is asked, and where in it the statement stands.

A puzzle is asked as plain text by a `PromptTemplate`, or, with `Chat` around it, as the first turn
of a conversation in the words of the tokenizer's own chat template. Knows nothing of tokens.
"""

import string
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qkcore.asking.options import ends_of_lines, letters, listed, roles_named
from qkcore.puzzles.puzzle import Puzzle, PuzzleError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

DEFAULT = "default"  # a run's word for: each puzzle's default_template
# a run's mark for: asked as a chat; no template can begin with it, for it is no field of theirs
CHAT = "{chat}"
CHAT_DATE = "26 Jul 2024"  # for chat templates that write a date: a run must not change overnight


class PromptError(PuzzleError):
    """A puzzle, template and tokenizer that do not fit together; the message says where.

    >>> from qkcore import PromptError, PromptTemplate
    >>> try:
    ...     PromptTemplate("{context} Answer:")
    ... except PromptError as error:
    ...     print(error)
    template '{context} Answer:' must hold {context} once and then {statement} once
    """


@dataclass(frozen=True, slots=True)
class PromptText:
    """The text of one prompt, up to and with the cue, and where in it the puzzle stands.

    Places are character offsets.
    """

    text: str
    context_at: int
    statement_at: int
    statement_end: int
    cue_at: int
    is_chat: bool = False
    # Of a prompt that lists its options: what names each, and where its line begins and ends
    letters: tuple[str, ...] = ()
    option_lines: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """A plain format string with {context}, then {statement}, then the cue, such as "Answer:".

    With {options} on lines of its own before the cue, it lists the candidates by letters, and
    queries and keys change roles (see `roles`).

    Raises:
        PromptError: when a field is missing, stands twice or is unknown, or when the cue is empty
            or ends in space.

    >>> from qkcore import PromptTemplate, typed_puzzle
    >>> template = PromptTemplate("{context} So: {statement} Answer:")
    >>> template.render(typed_puzzle("Max is a cat.", "Max is red."))
    'Max is a cat. So: Max is red. Answer:'
    """

    text: str

    def __post_init__(self) -> None:
        try:
            names = [
                name for _, name, _, _ in string.Formatter().parse(self.text) if name is not None
            ]
            self.text.format(context="", statement="", options="")
        except (ValueError, LookupError, AttributeError) as error:
            raise PromptError(f"template {self.text!r} is not a format string: {error}") from None
        if names not in (["context", "statement"], ["context", "statement", "options"]):
            raise PromptError(
                f"template {self.text!r} must hold {{context}} once and then {{statement}} once"
            )
        if "options" in names and "\n{options}\n" not in self.text:
            raise PromptError(
                f"template {self.text!r} must have {{options}} on a line of its own, for the key "
                "of each option is read at the end of its line"
            )
        if not self.cue or self.cue != self.cue.rstrip():
            raise PromptError(
                f"template {self.text!r} must end in a cue such as 'Answer:' with no space after "
                "it; each candidate brings its own leading space"
            )

    @property
    def cue(self) -> str:
        """What stands after the statement, white space in front left out.

        >>> TRUE_FALSE.cue
        'Answer:'
        """
        last = "{options}" if self.roles == "options" else "{statement}"
        return self.text.split(last)[-1].replace("{{", "{").replace("}}", "}").lstrip()

    @property
    def roles(self) -> str:
        """Who has the query: "answer", the candidates after the cue, or "options", the cue itself.

        >>> TRUE_FALSE.roles, OPTIONS.roles
        ('answer', 'options')
        """
        return roles_named(self.text)

    def render(self, puzzle: Puzzle) -> str:
        """The prompt's text, up to and with the cue.

        Raises:
            PromptError: when there are more options than letters.
        """
        return self.text.format(
            context=puzzle.context, statement=puzzle.statement, options=self._listed(puzzle)
        )

    def _listed(self, puzzle: Puzzle) -> str:
        if self.roles == "answer":
            return ""
        if len(letters(puzzle.candidates)) < len(puzzle.candidates):
            raise PromptError(
                f"puzzle {puzzle.puzzle_id!r} has {len(puzzle.candidates)} candidates, but options "
                f"are named by {len(letters(puzzle.candidates))} letters; leave some out"
            )
        return listed(puzzle.candidates)

    def prompt_text(self, tokenizer: "PreTrainedTokenizerBase", puzzle: Puzzle) -> PromptText:
        """The text as it stands; the tokenizer has no say in it."""
        text = self.render(puzzle)
        before_context = self.text.split("{context}")[0].format()
        statement_at = len(self.text.split("{statement}")[0].format(context=puzzle.context))
        return PromptText(
            text=text,
            context_at=len(before_context),
            statement_at=statement_at,
            statement_end=statement_at + len(puzzle.statement),
            cue_at=len(text) - len(self.cue),
            **self._options(puzzle),
        )

    def _options(self, puzzle: Puzzle) -> dict[str, Any]:
        """What a prompt's text knows of its options, if it lists them."""
        if self.roles == "answer":
            return {}
        before, _, _ = self.text.partition("{options}")
        start = len(before.format(context=puzzle.context, statement=puzzle.statement))
        return {
            "letters": letters(puzzle.candidates),
            "option_lines": ends_of_lines(puzzle.candidates, start),
        }


TRUE_FALSE = PromptTemplate(
    "Decide from the context whether the statement is true or false.\n"
    "Context: {context}\nStatement: {statement}\nAnswer:"
)
YES_NO = PromptTemplate(
    "Answer the question from the context.\nContext: {context}\nQuestion: {statement}\nAnswer:"
)

OPTIONS = PromptTemplate(
    "Choose the option that follows from the context.\nContext: {context}\n"
    "Question: {statement}\nOptions:\n{options}\nAnswer:"
)


def options_template() -> PromptTemplate:
    """The usual template of multiple choice: it lists the options, and the cue has the query.

    >>> from qkcore import options_template, typed_puzzle
    >>> one = typed_puzzle("Max is a cat.", "Which of these is true of Max?", ("red", "a cat"))
    >>> print(options_template().render(one))
    Choose the option that follows from the context.
    Context: Max is a cat.
    Question: Which of these is true of Max?
    Options:
    A. red
    B. a cat
    Answer:
    """
    return OPTIONS


def default_template(puzzle: Puzzle) -> PromptTemplate:
    """YES_NO for the candidates yes and no, in any order and case, else TRUE_FALSE."""
    is_yes_no = {candidate.lower() for candidate in puzzle.candidates} == {"yes", "no"}
    return YES_NO if is_yes_no else TRUE_FALSE


@dataclass(frozen=True, slots=True)
class Chat:
    """A template asked as a chat.

    Its text up to the statement is the user's turn, its cue begins the assistant's. Turn markers
    are the tokenizer's own (`apply_chat_template`), and so is a system text that it puts in front.
    The key stays at the statement's end, in the user's turn, and not at the last token before the
    cue: that one belongs to the marker "now the assistant speaks", which is the same after every
    puzzle and is not part of the statement.

    >>> from qkcore import Chat, PromptTemplate
    >>> Chat().template is None
    True
    >>> Chat(PromptTemplate("{context} So: {statement} Answer:")).template.cue
    'Answer:'
    """

    template: PromptTemplate | None = None  # None: each puzzle's default_template

    def __post_init__(self) -> None:
        if self.template is not None and self.template.roles == "options":
            raise PromptError(
                "options are not asked as a chat: the turn ends where the last option's line does, "
                "so its key would be read at another kind of token; ask without --chat"
            )

    def prompt_text(self, tokenizer: "PreTrainedTokenizerBase", puzzle: Puzzle) -> PromptText:
        """The whole conversation so far.

        Raises:
            PromptError: when the tokenizer has no chat template, or one that does not keep the
                puzzle's text.
        """
        template = self.template or default_template(puzzle)
        plain = template.prompt_text(tokenizer, puzzle)
        turn = plain.text[: plain.cue_at].strip()
        text = self._rendered(tokenizer, turn, template.cue)
        if text.count(turn) != 1 or not text.endswith(template.cue):
            raise PromptError(
                f"puzzle {puzzle.puzzle_id!r}: the tokenizer's chat template does not keep the "
                "text that it is given; ask without it"
            )
        moved = text.index(turn) - plain.text.index(turn)
        return PromptText(
            text=text,
            context_at=plain.context_at + moved,
            statement_at=plain.statement_at + moved,
            statement_end=min(plain.statement_end + moved, text.index(turn) + len(turn)),
            cue_at=len(text) - len(template.cue),
            is_chat=True,
        )

    def _rendered(self, tokenizer: "PreTrainedTokenizerBase", turn: str, cue: str) -> str:
        from jinja2 import TemplateError

        if not getattr(tokenizer, "chat_template", None):
            raise PromptError(
                "the tokenizer has no chat template; ask without it, or use the model's chat "
                "version"
            )
        turns = [{"role": "user", "content": turn}, {"role": "assistant", "content": cue}]
        try:
            text = tokenizer.apply_chat_template(
                turns,
                tokenize=False,
                continue_final_message=True,
                date_string=CHAT_DATE,
                enable_thinking=False,
            )
        except (TemplateError, ValueError, TypeError, LookupError, AttributeError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise PromptError(
                "the tokenizer's chat template takes no user's turn with the answer begun "
                f"({reason}); ask without it"
            ) from error
        return str(text)  # it is one: nothing was asked to be tokenized


Template = PromptTemplate | Chat


def template_name(template: Template | None) -> str:
    """How a run names its template: its text, or DEFAULT; after CHAT where it is asked as a chat.

    >>> template_name(None), template_name(Chat()), template_name(Chat(TRUE_FALSE))[:12]
    ('default', '{chat}default', '{chat}Decide')
    """
    if isinstance(template, Chat):
        return CHAT + template_name(template.template)
    return DEFAULT if template is None else template.text


def template_named(name: str) -> Template | None:
    """The template that a run names; the way back from `template_name`.

    >>> from qkcore import template_named
    >>> template_named("{chat}default"), template_named("default")
    (Chat(template=None), None)

    Raises:
        PromptError: for a name that is none; a chat within a chat is none either.
    """
    plain = name.removeprefix(CHAT)
    template = None if plain == DEFAULT else PromptTemplate(plain)
    return Chat(template) if name.startswith(CHAT) else template
