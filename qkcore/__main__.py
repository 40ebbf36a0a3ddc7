"""The command line: `qkscope COMMAND`, or `python -m qkcore COMMAND`.

Exit status 0 on success, 2 on bad input with one line that
says what is wrong, where, and what to do, 130 when interrupted.
"""

import argparse
import os
import signal
import sys

from qkcore import InputError, __version__
from qkcore.commands import ADD


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        options.run(options)
        sys.stdout.flush()
    except InputError as error:
        interrupted = type(error).__name__ == "Interrupted"
        print(
            f"qkscope {options.command}: {'' if interrupted else 'error: '}{error}", file=sys.stderr
        )
        return 130 if interrupted else 2
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        print(
            f"qkscope {options.command}: error: {error.filename}: {error.strerror}", file=sys.stderr
        )
        return 2
    except KeyboardInterrupt:
        print(f"qkscope {options.command}: stopped", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="qkscope",
        description="Which attention heads of a language model get a logic puzzle right?",
    )
    parser.add_argument("--version", action="version", version=f"qkscope {__version__}")
    added = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in ADD:
        add(added)
    return parser


if __name__ == "__main__":
    sys.exit(main())
