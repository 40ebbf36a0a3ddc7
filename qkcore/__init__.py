"""The core of QKScope: everything that computes. Knows nothing of the screen.

Modules import only from those above them in ARCHITECTURE.md's table; nothing is imported here,
so that reading results never loads torch.
"""

__version__ = "0.1.0"


class InputError(ValueError):
    """Something that a person gave cannot be used; the message is one sentence: what, where, and
    what to do.
    """
