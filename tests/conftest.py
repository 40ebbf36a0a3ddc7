import os

import pytest
from hypothesis import settings

from tests.stores import family_store, planted_store
from tests.tiny import tiny_model, tiny_tokenizer

# Pages are tested with the bundled model, which loads in no time; tests of the real one say so.
os.environ.setdefault("QKSCOPE_REAL_MODEL", "false")

# The same examples each time, and no failure because a machine is busy.
settings.register_profile("project", deadline=None, derandomize=True)
settings.load_profile("project")


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory):
    """A random Qwen3 saved as people save theirs."""
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
