"""CONTRIBUTING, CITATION and CHANGELOG say what is so."""

import re
from pathlib import Path

import pytest
import yaml

import qkcore
from qkcore.bundled import REAL_MODEL_PACKAGE
from tests import ROOT

CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
RECIPES = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", CONTRIBUTING, re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("title", RECIPES)
def test_a_recipe_is_under_ten_lines(title):
    assert 0 < len(RECIPES[title].strip().splitlines()) < 10


def test_files_that_contributing_names_exist():
    named = re.findall(r"`((?:qkcore|tests|pages|docs)/[\w/.]+)`", CONTRIBUTING)
    named += re.findall(r"python -m (tests[\w.]+)", CONTRIBUTING)
    assert len(named) > 10
    for name in named:
        path = name if "/" in name else name.replace(".", "/") + ".py"
        assert (ROOT / path).exists(), name


def test_names_in_capitals_in_contributing_are_in_the_code():
    code = "\n".join(path.read_text() for path in Path(ROOT / "qkcore").rglob("*.py"))
    code += (ROOT / "tests/pages/test_pages.py").read_text()
    code += (ROOT / "pages/main/main.py").read_text()
    for name in set(re.findall(r"`([A-Z]+_?[A-Z]+)`", CONTRIBUTING)):
        assert re.search(rf"^{name}\b.*= ", code, re.MULTILINE), name


def test_the_version_is_the_same_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == qkcore.__version__
    dated = f"## {qkcore.__version__} ({citation['date-released']})"
    assert dated in (ROOT / "CHANGELOG.md").read_text()
    assert "2502.17017" in str(citation["preferred-citation"])


def test_hooks_before_a_commit_are_local():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert {repo["repo"] for repo in hooks["repos"]} == {"local"}


@pytest.mark.parametrize("file", ["Makefile", "Dockerfile", "data/README.md"])
def test_the_real_models_package_is_the_same_wherever_it_is_named(file):
    package, version = REAL_MODEL_PACKAGE.split("==")
    found = re.findall(rf"{package}[`\"=\s]+([\d.]+\d)", (ROOT / file).read_text())
    assert set(found) == {version}
