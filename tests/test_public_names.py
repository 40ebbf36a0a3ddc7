"""What `from qkcore import ...` promises.

Names that load when used, and a page that lists them with examples that run.
"""

import ast
import doctest
import functools
import inspect
import re
import subprocess
import sys
from importlib import import_module
from itertools import chain

import pytest

import qkcore
from tests import ROOT
from tests.api_page import names_by_room, page

SOURCE = ast.parse((ROOT / "qkcore/__init__.py").read_text())
NAMES = sorted({*qkcore.__all__} - {"__version__"})
API = (ROOT / "docs/api.md").read_text()
EXAMPLES = dict(re.findall(r"^### (\w+)\n.*?```python\n(>>> .*?\n)```$", API, re.M | re.S))


def homes() -> dict[str, str]:
    """Each lazy name and its module, as `__getattr__` looks them up."""
    (found,) = (
        ast.literal_eval(one.value)
        for one in SOURCE.body
        if isinstance(one, ast.Assign) and one.targets[0].id == "_HOMES"
    )
    return {name: f"qkcore.{home}" for home, names in found.items() for name in names.split()}


def test_importing_qkcore_and_listing_its_names_loads_nothing_heavy():
    code = (
        "import sys, qkcore; assert 'load_model' in dir(qkcore); heavy = 'torch transformers pandas"
        " numpy scipy pyarrow duckdb altair streamlit'.split(); print({*heavy} & {*sys.modules})"
    )
    line = [sys.executable, "-c", code]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_type_checkers_see_the_names_that_are_loaded():
    blocks = [one for one in SOURCE.body if isinstance(one, ast.If)]
    (block,) = (one for one in blocks if isinstance(one.test, ast.Name))  # if TYPE_CHECKING
    seen = {name.name: one.module for one in block.body for name in one.names}
    assert seen == homes()


@pytest.mark.parametrize("name", sorted(homes()))
def test_a_public_name_is_what_its_home_calls_so(name):
    found = getattr(qkcore, name)
    assert found is getattr(import_module(homes()[name]), name)
    assert found.__module__ == homes()[name]


def test_public_names_are_those_with_a_home_and_inputerror():
    assert {*NAMES} == {*homes(), "InputError"}
    assert {*NAMES} <= {*dir(qkcore)}


def test_an_unknown_name_is_refused_by_name():
    with pytest.raises(AttributeError, match="has no attribute 'load_modle'"):
        _ = qkcore.load_modle
    with pytest.raises(ImportError, match="load_modle"):
        exec("from qkcore import load_modle")


def test_the_page_of_public_names_is_that_of_the_docstrings():
    assert page() == API, "renew it with: python -m tests.api_page > docs/api.md"


def test_the_page_lists_every_public_name_once_with_an_example():
    assert sorted(re.findall(r"^### (\w+)$", API, re.M)) == NAMES
    assert sorted(chain(*names_by_room().values())) == NAMES
    assert sorted(EXAMPLES) == NAMES


@pytest.mark.parametrize("name", [name for name in NAMES if name.islower()])
def test_an_example_of_a_function_calls_it(name):
    assert f"{name}(" in EXAMPLES[name]


@pytest.mark.parametrize("name", NAMES)
def test_an_example_of_the_page_is_that_of_the_docstring(name):
    def examples(text: str) -> list[tuple[str, str]]:
        return [(one.source, one.want) for one in doctest.DocTestParser().get_examples(text)]

    assert examples(EXAMPLES[name]) == examples(inspect.getdoc(getattr(qkcore, name)))


@pytest.fixture(scope="module")
def loaded_once():
    return functools.cache(qkcore.load_model)


@pytest.mark.parametrize("name", NAMES)
def test_an_example_runs_by_itself_in_any_folder_and_leaves_nothing(
    name, tmp_path, monkeypatch, loaded_once
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(qkcore, "load_model", loaded_once)
    complaints: list[str] = []
    example = doctest.DocTestParser().get_doctest(EXAMPLES[name], {}, name, None, None)
    doctest.DocTestRunner(verbose=False).run(example, out=complaints.append)
    assert not complaints, "".join(complaints)
    assert not [*tmp_path.iterdir()]
