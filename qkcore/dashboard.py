"""Starts the dashboard, wherever it is installed and from whatever folder.

Checks what can be checked before a server starts, then becomes Streamlit's own process, so that
Ctrl-C and signals reach the server and nobody else. Knows nothing of pages, and starts Streamlit
by name: importing it is not the core's business.
"""

import errno
import os
import socket  # noqa: TID251 -- asks only whether a port of this machine is free
import sys
from pathlib import Path

from qkcore import InputError
from qkcore.bundled import APP
from qkcore.results.reader import Reader

ADDRESS = "localhost"
LAST_PORT = 65_535
# `python -m streamlit`, but an interrupt ends it as it ends every command here, with status 130: no
# traceback, no "Aborted!", and what is in the temporary folder (an unpacked bundle) is put away.
# Then it is over at once: taken apart by Python, DuckDB prints forty lines of what it "leaked".
STREAMLIT = """
import atexit, os, runpy, signal, sys
for interrupt in (signal.SIGINT, signal.SIGTERM):
    signal.signal(interrupt, lambda *_: sys.exit(130))
try:
    runpy.run_module("streamlit", run_name="__main__", alter_sys=True)
except SystemExit as end:
    if end.code != 130:
        raise
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(130)
"""


def start(store: Path | None, port: int) -> None:
    """Turn this process into a server for this machine alone; does not return.

    Args:
        store: the result store to show; None leaves the choice to the settings (docs/hosting.md),
            whose default is the demo store.
        port: 1 to 65,535.

    Raises:
        InputError: when the store cannot be read, or the port cannot be had.
    """
    chosen = {}
    if store is not None:
        with Reader.open(store):  # which says what is wrong with it
            chosen = {"QKSCOPE_STORE": str(store.resolve())}
    _check_port(port)
    # -P: a file of the current folder must not stand in for a package of the same name.
    options = ["--server.address", ADDRESS, "--server.port", str(port)]
    line = [sys.executable, "-P", "-c", STREAMLIT, "run", str(APP / "app.py"), *options]
    os.execve(sys.executable, line, os.environ | chosen)  # noqa: S606 -- Streamlit, and no shell


def _check_port(port: int) -> None:
    if not 1 <= port <= LAST_PORT:
        raise InputError(f"port {port} does not exist; choose one from 1 to {LAST_PORT} (--port)")
    try:
        socket.create_server((ADDRESS, port)).close()
    except OSError as error:
        why = {
            errno.EADDRINUSE: "is in use by another program",
            errno.EACCES: "is reserved for the system",
        }.get(error.errno or 0, f"cannot be had ({error.strerror})")
        raise InputError(f"port {port} {why}; choose another with --port") from None
