"""How many visitors a server bears.

    python -m tests.bench.load --visitors 50 --live 5 --seconds 180

Visitors are websocket sessions as browsers hold them (tests/pages/visitor.py), so the figures are
the server's; drawing is the browser's business. Each looks at a page, reads for a while (--pause)
and goes on to another page or head; the live ones score a new puzzle each time. A warm-up comes
first and is not counted. With --puzzles N one visitor scores N puzzles in a row instead. Start the
server first, on the machine it is to be sized for, without the limit on each visitor:

    export QKSCOPE_HOSTED=1 QKSCOPE_PER_MINUTE=100000
    .venv/bin/python -m streamlit run app.py --server.address localhost

Only a server on this machine is asked, and never for longer than half an hour. Exit status 1 if a
target is missed.
"""

import argparse
import asyncio
import random
import re
import sys
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import psutil
from websockets.exceptions import WebSocketException

from pages.server.failures import SORRY
from qkcore.puzzles.generate import generate_puzzles
from tests.pages.visitor import Visitor

ROOT = Path(__file__).parents[2]
LIVE = "try-a-puzzle"
HERE = ("localhost", "127.0.0.1", "::1")
MOST = {"visitors": 500, "live": 100, "seconds": 1800, "puzzles": 5000}
TARGETS = {"results p95": 2.0, "live p95": 3.0, "memory MB": 1600, "growth": 0.03}


@dataclass
class Figures:
    """What was measured."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))  # by page
    errors: list[str] = field(default_factory=list)
    memory: list[tuple[float, float]] = field(default_factory=list)  # (time, MB)
    cpu_seconds: float = 0.0  # of the server and the process that scores
    busy: float = 0.0  # share of the machine's cores that was in use, by whomever


def pages() -> list[str]:
    """The results pages by their place in the address, as the main script lists them."""
    listed = re.findall(r'url_path="([\w-]+)"', (ROOT / "pages/main/main.py").read_text())
    return ["", *(page for page in listed if page != LIVE)]


async def browse(
    address: str, until: float, pause: float, figures: Figures, rng: random.Random
) -> None:
    """Look at pages until the time is over."""
    await asyncio.sleep(rng.uniform(0, pause))
    try:
        async with Visitor(address) as visitor:
            while time.monotonic() < until:
                page = rng.choice(pages())
                view = await visitor.open(page, layer=rng.randrange(4), head=rng.randrange(4))
                _note(figures, page or "overview", view)
                for _ in range(rng.randrange(3)):
                    await asyncio.sleep(rng.uniform(0.5, 1.5) * pause)
                    if (
                        "number_input",
                        "Head",
                    ) not in visitor.view.widgets or time.monotonic() > until:
                        break
                    view = await visitor.set("number_input", "Head", float(rng.randrange(4)))
                    _note(figures, page or "overview", view)
                await asyncio.sleep(rng.uniform(0.5, 1.5) * pause)
    except (OSError, WebSocketException, TimeoutError) as error:
        figures.errors.append(f"lost a visitor of results: {type(error).__name__} {error}")


async def score(
    address: str,
    until: float,
    pause: float,
    figures: Figures,
    rng: random.Random,
    most: int = 10**9,
) -> None:
    """Score new puzzles until the time is over, or as many as are asked for."""
    await asyncio.sleep(rng.uniform(0, pause))
    try:
        async with Visitor(address) as visitor:
            await _settled(visitor, await visitor.open(LIVE))
            while time.monotonic() < until and most > 0:
                puzzle = rng.choice(
                    generate_puzzles(range(1, 4), range(2), 4, rng.randrange(2**31))
                )
                fields = {
                    ("text_area", "Context"): puzzle.context,
                    ("text_input", "Statement"): puzzle.statement,
                }
                started = time.monotonic()
                view = await visitor.fill(fields | {("button", "Score this puzzle"): True})
                view = await _settled(visitor, view)
                view.seconds = time.monotonic() - started
                _note(figures, LIVE, view, must_say="Who gets it right")
                most -= 1
                await asyncio.sleep(rng.uniform(0.5, 1.5) * pause)
    except (OSError, WebSocketException, TimeoutError) as error:
        figures.errors.append(f"lost a visitor who scores: {type(error).__name__} {error}")


async def _settled(visitor: Visitor, view):
    """The view once nothing is waited for any more."""
    for _ in range(120):
        if not view.polls:
            return view
        view = await visitor.poll()
    return view


def _note(figures: Figures, page: str, view, must_say: str = "") -> None:
    figures.seconds[page].append(view.seconds)
    if view.exceptions or SORRY in view.text:
        figures.errors.append(f"{page}: {view.exceptions or SORRY}")
    elif must_say not in view.text:
        figures.errors.append(f"{page} does not say {must_say!r} but: {view.alerts}")


async def watch(server: psutil.Process, until: float, figures: Figures) -> None:
    """Resident memory, once a second."""
    while time.monotonic() < until:
        figures.memory.append((time.monotonic(), _used(server)[0]))
        await asyncio.sleep(1)


def _used(server: psutil.Process) -> tuple[float, float]:
    """Resident MB, and seconds of a processor so far, of the server and the process that scores."""
    resident = seconds = 0.0
    for one in (server, *server.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            resident += one.memory_info().rss / 1e6
            seconds += sum(one.cpu_times()[:2])
    return resident, seconds


def growth(memory: list[tuple[float, float]], seconds: float = 120) -> float:
    """By what share memory grew over the last seconds.

    Their last tenth against their first tenth, by median.

    >>> growth([(t, 100 + t / 12) for t in range(121)])
    0.09
    """
    last = [mb for at, mb in memory if at >= memory[-1][0] - seconds]
    tenth = max(1, len(last) // 10)
    return round(float(np.median(last[-tenth:]) / np.median(last[:tenth]) - 1), 3)


def report(figures: Figures) -> bool:
    """Print the figures; False when a target is missed."""
    results = [
        one for page, all_of_it in figures.seconds.items() if page != LIVE for one in all_of_it
    ]
    for page, seconds in sorted(figures.seconds.items()):
        p50, p95 = np.percentile(seconds, [50, 95])
        print(
            f"{page:>15}: {len(seconds):5} views, median {p50:.2f} s, p95 {p95:.2f} s, longest "
            f"{max(seconds):.2f} s"
        )
    found = {"memory MB": max(mb for _, mb in figures.memory), "growth": growth(figures.memory)}
    if results:
        found["results p95"] = float(np.percentile(results, 95))
    if LIVE in figures.seconds:
        found["live p95"] = float(np.percentile(figures.seconds[LIVE], 95))
    for name, value in found.items():
        print(
            f"{name:>15}: {value:.3f} (at most {TARGETS[name]}) "
            f"{'' if value <= TARGETS[name] else 'MISSED'}"
        )
    n_views = sum(map(len, figures.seconds.values()))
    print(
        f"{'CPU':>15}: {figures.cpu_seconds / n_views:.2f} s a view; the machine's cores were "
        f"{figures.busy:.0%} in use"
    )
    print(
        f"{'errors':>15}: {len(figures.errors)}",
        *sorted(set(figures.errors))[:10],
        sep="\n                 ",
    )
    return not figures.errors and all(value <= TARGETS[name] for name, value in found.items())


async def warm_up(address: str) -> None:
    """See each page once and score one puzzle.

    What a server does for its first visitors only is not measured.
    """
    figures = Figures()
    async with Visitor(address, timeout=180) as visitor:
        for page in pages():
            await visitor.open(page)
    await score(address, time.monotonic() + 180, 0, figures, random.Random(-1), 1)
    if figures.errors:
        sys.exit(f"the server does not score: {figures.errors[0]}")


async def run(options: argparse.Namespace) -> Figures:
    """Everybody at once."""
    await warm_up(options.address)
    figures, until = Figures(), time.monotonic() + options.seconds
    server = server_at(urlsplit(options.address).port)
    cpu_before, _ = _used(server)[1], psutil.cpu_percent()
    watching = asyncio.create_task(watch(server, time.monotonic() + MOST["seconds"] + 60, figures))
    if options.puzzles:
        await score(
            options.address, until, 0, figures, random.Random(options.seed), options.puzzles
        )
    else:
        rngs = [
            random.Random(options.seed + number)
            for number in range(options.visitors + options.live)
        ]
        await asyncio.gather(
            *(
                browse(options.address, until, options.pause, figures, rng)
                for rng in rngs[: options.visitors]
            ),
            *(
                score(options.address, until, options.pause, figures, rng)
                for rng in rngs[options.visitors :]
            ),
        )
    watching.cancel()
    figures.cpu_seconds = _used(server)[1] - cpu_before
    figures.busy = psutil.cpu_percent() / 100
    return figures


def server_at(port: int) -> psutil.Process:
    """The process that listens on a port of this machine."""
    for connection in psutil.net_connections("tcp"):
        if (
            connection.status == psutil.CONN_LISTEN
            and connection.laddr.port == port
            and connection.pid
        ):
            return psutil.Process(connection.pid)
    sys.exit(f"no server of yours listens on port {port}; start one first")


def options_of(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line, within bounds."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.load", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--address", default="http://localhost:8501")
    parser.add_argument("--visitors", type=int, default=50, help="who browse results")
    parser.add_argument("--live", type=int, default=5, help="who score puzzles")
    parser.add_argument("--seconds", type=int, default=180)
    parser.add_argument(
        "--puzzles",
        type=int,
        default=0,
        help="one visitor scores so many in a row, and no other is there",
    )
    parser.add_argument(
        "--pause", type=float, default=10, help="seconds for reading a page, on average"
    )
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    if urlsplit(options.address).hostname not in HERE or urlsplit(options.address).port is None:
        parser.error(
            f"{options.address} is not an address with a port on this machine; only such a server "
            "is asked"
        )
    for name, most in MOST.items():
        if not 0 <= getattr(options, name) <= most:
            parser.error(f"--{name} is at most {most:,}")
    return options


if __name__ == "__main__":
    sys.exit(not report(asyncio.run(run(options_of()))))
