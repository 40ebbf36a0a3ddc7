"""What transformers says while it works: hidden where nothing, or something else, is shown."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial


@contextmanager
def without_bars(are_hidden: bool = True) -> Iterator[None]:
    """While open, transformers shows no progress bars of its own, if so asked."""
    from transformers import modeling_gguf_pytorch_utils as gguf_loader
    from transformers.utils import logging

    had_bars, bar_of_gguf = logging.is_progress_bar_enabled(), vars(gguf_loader)["tqdm"]
    if are_hidden:
        logging.disable_progress_bar()
        vars(gguf_loader)["tqdm"] = partial(bar_of_gguf, disable=True)  # it asks nobody
    try:
        yield
    finally:
        if are_hidden:
            vars(gguf_loader)["tqdm"] = bar_of_gguf
            if had_bars:
                logging.enable_progress_bar()


@contextmanager
def without_reports() -> Iterator[None]:
    """While open, transformers does not list the weights that a model has no place for.

    Whoever loads one asks for that list himself.
    """
    from transformers.utils import logging

    usual = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(usual)
