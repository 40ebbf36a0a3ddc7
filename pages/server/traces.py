"""What the log gets of an error that nobody foresaw: where and of what kind, never its own words.

Those may quote a visitor's puzzle. Knows nothing of Streamlit: the process that scores logs too.
"""

import logging
import traceback

LOG = logging.getLogger("qkscope")


def without_words(error: BaseException) -> str:
    """A traceback with the kind of each error in place of its message, the first cause first."""
    parts = []
    cause: BaseException | None = error
    while cause is not None:
        parts.append("".join(traceback.format_tb(cause.__traceback__)) + type(cause).__name__)
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return "\nwhich led to\n".join(reversed(parts))
