"""How a model is loaded and asked, in words: what a worker elsewhere needs to do the same.

Plain values only, so that it travels; `load` gives what the command line's options mean.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qkcore.asking.templates import PromptTemplate, Template
    from qkcore.attention.load import CausalLM


@dataclass(frozen=True, slots=True)
class Recipe:
    """A model and how it is asked; see `load_model`."""

    model: str
    dtype: str | None = None
    device: str | None = None
    quantize: str | None = None
    template: str | None = None  # as typed: "\\n" is a new line
    chat: bool = False
    roles: str = "answer"  # who has the query: one of `asking.options.ROLES`

    def plain(self) -> "PromptTemplate | None":
        """The template as plain text; None for each puzzle's own.

        Raises:
            PromptError: for a text that is none, or is of other roles.
        """
        from qkcore.asking.templates import OPTIONS, PromptError, PromptTemplate

        text = self.template
        plain = PromptTemplate(text.replace("\\n", "\n")) if text else None
        if self.roles == "options" and plain is None:
            plain = OPTIONS
        if plain is not None and plain.roles != self.roles:
            raise PromptError(
                f"template {plain.text!r} is of roles {plain.roles!r}, not {self.roles!r}: with "
                "--roles options it lists {options} on a line of its own, without it does not"
            )
        return plain

    def asked_by(self) -> "Template | None":
        """The template, as a chat where that is asked for; raises as `plain` does."""
        from qkcore.asking.templates import Chat

        plain = self.plain()
        return Chat(plain) if self.chat else plain

    def load(self) -> "tuple[CausalLM, Template | None]":
        """The model, and the template or None.

        Raises:
            UnsupportedModelError, PromptError: as `load_model` and the templates.
        """
        from transformers.utils import logging

        from qkcore.attention.load import load_model

        logging.set_verbosity_error()
        template = self.asked_by()
        lm = load_model(self.model, dtype=self.dtype, device=self.device, quantize=self.quantize)
        return lm, template
