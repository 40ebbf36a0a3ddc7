"""What happens when something breaks that nobody foresaw.

A sentence for the visitor, the traceback for the log.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from pages.server.traces import LOG, without_words
from qkcore.results.reader import StoreError

SORRY = (
    "Something went wrong here, and the log of this demo has noted it. Reload the page, or go on "
    "to another one."
)


def say_sorry(error: Exception) -> bool:
    """Show the sentence; True tells Streamlit to show no more. For `st.App`'s on_script_error."""
    st.error(SORRY)
    return True


def log_and_say_sorry(error: Exception) -> None:
    """For an error that the main script has caught: Streamlit does not hear of it."""
    LOG.error("A page failed.\n%s", without_words(error))
    say_sorry(error)


@contextmanager
def in_words() -> Iterator[None]:
    """For a part of a page that is drawn by itself, where the main script catches nothing."""
    try:
        yield
    except StoreError as error:
        st.error(str(error))
    except Exception as error:
        log_and_say_sorry(error)


class _WithoutWords(logging.Filter):
    """Takes the words of errors out of a log."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and record.exc_info[1]:
            record.msg = f"{record.getMessage()}\n{without_words(record.exc_info[1])}"
            record.args = ()
            record.exc_info = record.exc_text = None
        return True


# What Streamlit itself catches, such as an error in a widget's callback, it logs here.
logging.getLogger("streamlit.error_util").addFilter(_WithoutWords())
