"""Who may import whom: contracts in pyproject.toml, what must stay light, and where pages lie."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ROOT, files_of

CORE = files_of("qkcore/**/*.py")
PAGES = files_of("pages/**/*.py")


def lint_imports(folder: Path) -> subprocess.CompletedProcess:
    line = [
        sys.executable,
        "-c",
        "import sys; from importlinter.cli import lint_imports_command; lint_imports_command()",
    ]
    wide = os.environ | {"COLUMNS": "300"}
    return subprocess.run(line, cwd=folder, env=wide, capture_output=True, text=True, check=False)


def planted(tmp_path: Path, path: str, line: str) -> subprocess.CompletedProcess:
    """The contracts' word on a copy of the code with one import more."""
    for name in ("qkcore", "pages"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    file = tmp_path / path
    file.write_text(f"{file.read_text()}\n{line}\n")
    return lint_imports(tmp_path)


def test_imports_keep_to_the_contracts():
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("path", "line", "contract"),
    [
        ("qkcore/puzzles/negation.py", "import qkcore.results.store", "Rooms of qkcore"),
        (
            "qkcore/results/store.py",
            "import qkcore.attention.load",
            "Reading results loads no torch",
        ),
        (
            "pages/results/overview.py",
            "import qkcore.scoring.score",
            "Reading results loads no torch",
        ),
        ("qkcore/wording.py", "import streamlit", "The core knows nothing of the screen"),
        ("qkcore/puzzles/english.py", "import qkcore.puzzles.variants", "No circles"),
        ("pages/server/turns.py", "import pages.widgets.curves", "Pages: a page's own folder"),
    ],
)
def test_an_import_against_the_arrows_is_found(path, line, contract, tmp_path):
    done = planted(tmp_path, path, line)
    assert done.returncode != 0
    assert re.search(rf"^{re.escape(contract)}.* BROKEN", done.stdout, re.MULTILINE)


def test_architecture_names_every_file_of_the_core_once():
    named = re.findall(
        r"^\| `([\w/]+)` \|", (ROOT / "ARCHITECTURE.md").read_text(), flags=re.MULTILINE
    )
    found = [
        str(path.relative_to(ROOT / "qkcore").with_suffix(""))
        for path in CORE
        if path.stem != "__init__"
    ]
    assert sorted(named) == sorted(found)


@pytest.mark.parametrize(
    "names",
    [
        "qkcore.results.store, qkcore.charts.grids, qkcore.statistics.metrics, "
        "qkcore.results.publish",
        "pages.main.stored, pages.widgets.curves",
    ],
)
def test_reading_results_loads_no_torch(names):
    code = f"import sys, {names}; assert not {{'torch', 'transformers'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_every_page_is_registered_and_none_lies_directly_in_pages():
    listed = set(re.findall(r'"(pages/\w+/\w+\.py)"', (ROOT / "pages/main/main.py").read_text()))
    found = {
        str(path.relative_to(ROOT))
        for path in PAGES
        if re.search(r"^st\.title\(", path.read_text(), re.M)
    }
    assert listed == found
    assert not list(ROOT.glob("pages/*.py"))
    names = [Path(path).stem for path in found]
    assert len(names) == len(set(names))


def test_a_pattern_that_no_file_matches_is_a_failure():
    with pytest.raises(AssertionError, match="gone"):
        files_of("pages/**/*.py", "gone/*.py")
