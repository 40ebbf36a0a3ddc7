"""`app`: the dashboard in a browser."""

from argparse import Namespace
from pathlib import Path

from qkcore.commands.options import Added


def add_app(added: Added) -> None:
    """Options of `app`."""
    parser = added.add_parser("app", help="open the dashboard in the browser")
    parser.add_argument(
        "--store",
        type=Path,
        metavar="FILE.duckdb",
        help="the results to show (default: the demo store that comes with QKScope)",
    )
    parser.add_argument("--port", type=int, default=8501, help="on this machine (default: 8501)")
    parser.set_defaults(run=app)


def app(options: Namespace) -> None:
    """Open the dashboard."""
    from qkcore.dashboard import start

    start(options.store, options.port)
