"""Progress bars of transformers: hidden where another bar, or nothing, is shown instead."""

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
