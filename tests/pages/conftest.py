import os
import threading
from functools import cache

import pytest
from streamlit.components.v2 import manifest_scanner

from pages.live import process


@pytest.fixture(scope="session", autouse=True)
def _components_are_looked_for_once():
    """Each `AppTest` reads the metadata of all installed packages, in search of components.

    That takes longer than most pages; what is installed stays the same.
    """
    with pytest.MonkeyPatch.context() as patch:
        name = "scan_component_manifests"
        patch.setattr(manifest_scanner, name, cache(getattr(manifest_scanner, name)))
        yield


@pytest.fixture(scope="session", autouse=True)
def _scoring_is_done_in_a_thread():
    """The process that scores is a thread here, with pipes as a process has them.

    Torch is then imported once for all tests, and tests can see and change what scoring uses.
    test_process.py and the servers of other tests start real ones.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "started", _started_as_a_thread)
        yield


def _started_as_a_thread(threads):
    asked, ask = (os.fdopen(one, mode) for one, mode in zip(os.pipe(), ("rb", "wb"), strict=True))
    said, say = (os.fdopen(one, mode) for one, mode in zip(os.pipe(), ("rb", "wb"), strict=True))

    def serve():
        with asked, say:
            process.serve(asked, say)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return process.Ends(ask, said, thread.is_alive, ask.close, lambda: process.ENDED)
