"""`get-sets` and `push`: puzzle sets from where they are published, results to where others are."""

import sys
import tempfile
from argparse import Namespace
from pathlib import Path

from qkcore import InputError
from qkcore.commands.options import Added, licence_option


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


def add_push(added: Added) -> None:
    """Options of `push`."""
    parser = added.add_parser(
        "push", help="put runs, their reports and a data card on the Hugging Face hub"
    )
    parser.add_argument(
        "run_ids", nargs="*", metavar="RUN", help="one or more, as `qkscope runs` lists them"
    )
    parser.add_argument("--store", type=Path, required=True, metavar="FILE.duckdb")
    parser.add_argument("--to", required=True, metavar="hf://datasets/USER/NAME")
    licence_option(parser)
    parser.add_argument(
        "--with-texts",
        action="store_true",
        help="with the texts of all puzzles (default: where the set's licence permits copies)",
    )
    parser.add_argument(
        "--private", action="store_true", help="a data set that is made is yours alone"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would go, and ask nobody; needs no token"
    )
    parser.set_defaults(run=push)


def push(options: Namespace) -> None:
    """Push runs as one commit, or say what would go."""
    from huggingface_hub.utils.tqdm import disable_progress_bars

    from qkcore.reports.published import CARD, write_published
    from qkcore.sharing.bundle import said_of
    from qkcore.sharing.hub import hub_address
    from qkcore.sharing.push import check_target, files_of
    from qkcore.sharing.push import push as push_folder

    address = hub_address(options.to)
    if not options.run_ids:
        raise InputError(
            f"no run is named; name one or more that `qkscope runs --store {options.store}` lists"
        )
    check_target(address, needs_token=not options.dry_run)
    with tempfile.TemporaryDirectory(prefix="qkscope-") as building:
        folder = Path(building) / "published"
        manifest = write_published(
            options.store,
            options.run_ids,
            folder,
            address,
            dict(options.licence),
            options.with_texts,
            say=print,
        )
        for name, path in files_of(folder).items():
            print(f"{name}: {path.stat().st_size:,} bytes")
        for line in said_of(manifest):
            print(line)
        if options.dry_run:
            print(f"\n{(folder / CARD).read_text(encoding='utf-8')}")
            print(f"nothing was pushed to {address}: this was a dry run")
            print("the fingerprint above is this one's; a push makes the bundle anew, with another")
            return
        if not sys.stderr.isatty():
            disable_progress_bars()
        n = len(manifest["runs"])
        message = f"{n} {'run' if n == 1 else 'runs'} of QKScope {manifest['qkcore_version']}"
        pushed = push_folder(address, folder, message, options.private)
    print(f"pushed; open it with QKSCOPE_BUNDLE={pushed}")
