"""Command lines that a text shows: read as the command line reads them, and not carried out."""

import inspect
from collections.abc import Sequence

import pytest

from qkcore import commands
from qkcore.__main__ import main


def command_of(words: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> str:
    """The command that these words after `qkcore` ask for; fails where they cannot be read."""
    asked = []
    for name, function in vars(commands).items():
        if inspect.isfunction(function) and function.__module__ == commands.__name__:
            monkeypatch.setattr(commands, name, lambda options: asked.append(options.command))
    assert main(list(words)) == 0
    (command,) = asked
    return command
