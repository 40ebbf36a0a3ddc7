"""`get-sets` and `push`: puzzle sets from where they are published, results to where others are."""

from argparse import Namespace
from pathlib import Path

from qkcore.commands.options import Added


def add_get_sets(added: Added) -> None:
    """Options of `get-sets`."""
    parser = added.add_parser(
        "get-sets", help="fetch the published puzzle sets, and check that they are the same bytes"
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="made if it does not exist")
    parser.add_argument(
        "--from",
        type=Path,
        dest="source",
        metavar="FOLDER",
        help="copy them from here instead; nothing is fetched",
    )
    parser.add_argument(
        "--set", action="append", default=[], dest="names", metavar="SET", help="default: all"
    )
    parser.set_defaults(run=get_sets)


def get_sets(options: Namespace) -> None:
    """Get the published sets, and say their licences and what to do with them."""
    from qkcore.sharing.get_sets import get_sets as get
    from qkcore.sharing.pinned import pinned_sets

    record = get(options.folder, options.source, options.names, say=print)
    for one in pinned_sets():
        if one.name in record:
            print(
                f"next: qkscope import {one.format} {options.folder / one.name} --out "
                f"{one.name}.jsonl"
            )
