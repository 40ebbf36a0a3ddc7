"""Progress bars of transformers: hidden where another bar, or nothing, is shown instead."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_bars(are_hidden: bool = True) -> Iterator[None]:
    """While open, transformers shows no progress bars of its own, if so asked."""
    from transformers.utils import logging

    are_hidden = are_hidden and logging.is_progress_bar_enabled()
    if are_hidden:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        if are_hidden:
            logging.enable_progress_bar()
