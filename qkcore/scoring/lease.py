"""One job at a time at an object store, which has no locks: leases that are renewed.

A lease is an object with a name of its own beside a run's parts. A job takes the run by writing one
and then finding no other in the listing: of two that come at once the later one sees the earlier,
so at most one goes on (perhaps none), by the promise that a listing shows what was written before.
A lease that nobody renews for a minute is dead, by the clock of the job that watches it. Knows
nothing of parts.
"""

import json
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from qkcore import InputError
from qkcore.results.object_store import Address, Unreachable, sleep

BEAT = 15.0  # seconds between two renewals
LAPSE = 60.0  # seconds without one, and a lease is dead
LOOK = 5.0  # seconds between two looks at somebody else's


@contextmanager
def leased(folder: Address) -> Iterator[None]:
    """Hold a run's parts; a second job on the same parts is turned away.

    One that finds its lease taken away, for it was not heard of for so long that another job began,
    is interrupted as by Ctrl-C.

    Raises:
        InputError: when another job is at work there.
        Unreachable: when the store does not answer.
    """
    _outlive(folder)
    own = folder.parent / f"{folder.name}.{secrets.token_hex(8)}.lease"
    _renew(own, 0)
    try:
        if set(leases(folder)) != {own.name}:
            raise _taken(folder)
        ended = threading.Event()
        beating = threading.Thread(target=_beat, args=(folder, own, ended), daemon=True)
        beating.start()
        try:
            yield
        finally:
            ended.set()
            beating.join()
    finally:
        with suppress(Unreachable):  # it dies by itself
            own.unlink(is_patient=False)


def is_leased(folder: Address) -> bool:
    """Whether a job seems to be at work there: a lease that was renewed of late, by both clocks."""
    now = time.time()
    return any(
        one.mtime_ns is None or now - one.mtime_ns / 1e9 < LAPSE
        for name, one in folder.parent.listed().items()
        if _is_lease(name, folder)
    )


def _outlive(folder: Address) -> None:
    """Wait until leases that are there turn out to be dead, and take them away.

    Raises:
        InputError: when one is renewed meanwhile.
    """
    found = leases(folder)
    seen = {name: text for name, text in found.items() if not _is_left(text)}
    if seen:
        print(
            f"{folder}: {_who(seen)} holds these parts; looking for up to {LAPSE:.0f} s whether it "
            "is still at work.",
            file=sys.stderr,
        )
    for _ in range(int(LAPSE / LOOK) if seen else 0):
        sleep(LOOK)
        now = leases(folder)
        if any(text != found.get(name) for name, text in now.items()):
            raise _taken(folder)
        if not seen.keys() & now.keys():  # given back
            break
    for name in found:
        (folder.parent / name).unlink()


def _beat(folder: Address, own: Address, ended: threading.Event) -> None:
    """Renew a lease until it is over, or another job has one."""
    n_beats, others = 0, set[str]()
    while not ended.wait(BEAT):
        n_beats += 1
        with suppress(Unreachable):  # the next time, then
            listed = folder.parent.listed(is_patient=False)
            there = {name for name in listed if _is_lease(name, folder)}
            # Another's that stays is of a job that goes on; one that is turned away takes its own
            # back at once.
            before, others = others, there - {own.name}
            if own.name not in there or before & others:
                print(
                    f"{folder}: these parts were taken over by another job, since this one was not "
                    f"heard of for {LAPSE:.0f} s; it stops.",
                    file=sys.stderr,
                )
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
                return
            _renew(own, n_beats, is_patient=False)


def _renew(own: Address, n_beats: int, is_patient: bool = True) -> None:
    row = {"machine": _machine(), "host": os.uname().nodename, "process": os.getpid()}
    own.write_text(json.dumps(row | {"beat": n_beats}), is_patient)


def leases(folder: Address) -> dict[str, str]:
    """What each lease on the parts says."""
    found = {}
    for name in folder.parent.listed():
        if _is_lease(name, folder):
            with suppress(FileNotFoundError):  # just given back
                found[name] = (folder.parent / name).read_text()
    return found


def _is_lease(name: str, folder: Address) -> bool:
    return name.startswith(f"{folder.name}.") and name.endswith(".lease")


def _machine() -> str | None:
    """This machine since it was started, and where its process numbers count; None: not known."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{os.uname().nodename} {boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return None


def _is_left(text: str) -> bool:
    """Whether a lease is of a process of this machine that is no more (killed, say)."""
    try:
        row = json.loads(text)
        if row["machine"] is None or row["machine"] != _machine():
            return False
        os.kill(int(row["process"]), 0)
    except ProcessLookupError:
        return True
    except (OSError, ValueError, LookupError, TypeError):
        return False
    return False


def _who(leases: dict[str, str]) -> str:
    for text in leases.values():
        with suppress(ValueError, LookupError, TypeError):
            row = json.loads(text)
            return f"process {row['process']} on {row['host']}"
    return "another process"


def _taken(folder: Address) -> InputError:
    return InputError(f"another process is scoring this run in {folder}; wait for it, or stop it")
