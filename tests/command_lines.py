"""Command lines that a text shows: read as the command line reads them, and not carried out."""

import inspect
from collections.abc import Sequence

import pytest

from qkcore import commands
from qkcore.__main__ import main


def command_of(words: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> str:
    """The command that these words after `qkcore` ask for; fails where they cannot be read."""
    asked = []
    for file in vars(commands).values():
        if inspect.ismodule(file) and file.__name__.startswith(commands.__name__):
            for name, function in vars(file).items():
                takes = (
                    list(inspect.signature(function).parameters)
                    if inspect.isfunction(function)
                    else []
                )
                if takes == ["options"]:
                    monkeypatch.setattr(file, name, lambda options: asked.append(options.command))
    assert main(list(words)) == 0
    (command,) = asked
    return command
