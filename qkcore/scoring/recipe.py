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

    def plain(self) -> "PromptTemplate | None":
        """The template as plain text; None for the usual one.

        Raises:
            PromptError: when it is none.
        """
        from qkcore.asking.templates import PromptTemplate

        return PromptTemplate(self.template.replace("\\n", "\n")) if self.template else None

    def load(self) -> "tuple[CausalLM, Template | None]":
        """The model, and the template or None.

        Raises:
            UnsupportedModelError, PromptError: as `load_model` and the templates.
        """
        from transformers.utils import logging

        from qkcore.asking.templates import Chat
        from qkcore.attention.load import load_model

        logging.set_verbosity_error()
        plain = self.plain()
        lm = load_model(self.model, dtype=self.dtype, device=self.device, quantize=self.quantize)
        return lm, Chat(plain) if self.chat else plain
