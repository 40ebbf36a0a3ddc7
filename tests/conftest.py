import gc
import logging
import os
from functools import cache

# Models here are tiny: a second thread costs more than it brings, and takes a core from the other
# worker. Set before torch is imported, it also holds for the servers and commands that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import settings

from tests.stores import family_store, planted_store

# Pages are tested with the bundled model, which loads in no time; tests of the real one say so.
os.environ.setdefault("QKSCOPE_REAL_MODEL", "false")

# The same examples each time, and no failure because a machine is busy.
settings.register_profile("project", deadline=None, derandomize=True)
settings.load_profile("project")


# What takes a worker longest is begun first, so that no worker waits for another at the end.
LONGEST = (
    "browser",
    "tests/attention/test_real_model.py",
    "tests/test_front_door.py",
    "tests/attention/test_gguf_cache.py",
    "tests/scoring/test_shards.py",
    "tests/scoring/test_engines.py",
    "tests/scoring/test_precompute.py",
    "tests/attention/test_coverage.py",
    "tests/attention/test_switching.py",
    "tests/attention/test_eyes.py",
    "tests/attention/test_hybrids.py",
    "tests/pages/test_live.py",
    "tests/pages/test_hosting.py",
    "tests/pages/test_security.py",
    "tests/asking/test_links.py",
    "tests/puzzles/test_balance.py",
    "tests/puzzles/test_shortcuts.py",
    "tests/statistics/test_simulation.py",
    "tests/statistics/test_verdicts.py",
    "tests/test_notebook.py",
)


@pytest.hookimpl(optionalhook=True)  # without pytest-xdist there is one worker
def pytest_xdist_make_scheduler(config, log):
    """Hands a whole file to a worker, so that what its tests share is made once.

    All that drives a browser counts as one file: two browsers at once would make each other wait.
    """
    from xdist.scheduler import LoadFileScheduling

    config.option.loadscopereorder = False  # else by the number of tests, whatever they take

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:  # the method that the schedulers differ in
            file = super()._split_scope(nodeid)
            return "browser" if "/test_browser" in file else file

    return ByFile(config, log)


def pytest_collection_modifyitems(items):
    """Puts the longest files in front; the others stay as they were."""

    def place(item):
        file = item.nodeid.split("::")[0]
        name = "browser" if "/test_browser" in file else file
        return LONGEST.index(name) if name in LONGEST else len(LONGEST)

    items.sort(key=place)


def pytest_collection_finish():
    """What has been imported by now stays, so `gc.collect()` need not look through all of it.

    The thread that scores and some tests make use of that.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def bucket():
    """The address of an empty bucket at an S3 server on this machine, which is in the environment.

    What is started from here finds the server too.
    """
    server = pytest.importorskip("moto.server", reason="moto is not installed")
    from pyarrow.fs import FileSystem

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    started = server.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    started.start()
    host, port = started.get_host_and_port()
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patched.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patched.setenv("AWS_DEFAULT_REGION", "us-east-1")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patched.setenv(name, "of-the-tests")
        files, name = FileSystem.from_uri("s3://kept?allow_bucket_creation=true")
        files.create_dir(name)
        yield "s3://kept"
    started.stop()


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory):
    """A random Qwen3 saved as people save theirs."""
    from tests.tiny import tiny_model, tiny_tokenizer  # torch, which most folders do without

    folder = tmp_path_factory.mktemp("models") / "tiny-qwen3"
    tiny_model("qwen3").save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def planted_path(tmp_path_factory):
    """A store with one run whose L1 H2 is right on nine puzzles in ten."""
    return planted_store(tmp_path_factory.mktemp("stores") / "planted.duckdb")


@pytest.fixture(scope="session")
def family_path(tmp_path_factory):
    """A store with three runs of one model, so that transfer and compare have something to show."""
    return family_store(tmp_path_factory.mktemp("stores") / "family.duckdb")


@pytest.fixture(scope="session")
def hand_built_store(tmp_path_factory):
    """(path, run id) of a store in which a hand-built model's heads were switched off, by name."""
    from tests.scoring.hand_built import ablated  # loads torch

    folder = tmp_path_factory.mktemp("hand-built")

    @cache
    def made(name):
        path = folder / f"{name.replace(' ', '-')}.duckdb"
        return path, ablated(name, path)

    return made
