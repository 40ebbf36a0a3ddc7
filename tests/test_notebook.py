"""docs/notebook.md, run as a notebook would: cell after cell, drawing what each ends in."""

import os
import re
import subprocess
import sys

import pytest

from tests import ROOT

PAGE = ROOT / "docs/notebook.md"
CELLS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
NOTEBOOK = """
import ast, sys
names = {}
for number, cell in enumerate(sys.stdin.read().split(chr(0))):
    *lines, last = ast.parse(cell).body
    exec(compile(ast.Module(lines, []), "cell", "exec"), names)
    shown = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
    shown.save(f"cell {number}.svg")
assert "streamlit" not in sys.modules
"""


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    """(folder, what was printed) after all cells were run in it."""
    folder = tmp_path_factory.mktemp("notebook")
    done = subprocess.run(
        [sys.executable, "-c", NOTEBOOK],
        input="\0".join(CELLS),
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_a_grid_takes_at_most_ten_lines():
    lines = [line for line in CELLS[0].splitlines() if line]
    assert len(lines) <= 10
    assert "head_grid(" in CELLS[0]


def test_every_cell_ends_in_a_chart_on_white(notebook):
    folder, _ = notebook
    for number in range(len(CELLS)):
        drawn = (folder / f"cell {number}.svg").read_text()
        assert 'fill="white"' in drawn, CELLS[number]
    assert (folder / "grid.png").read_bytes().startswith(b"\x89PNG")


def test_own_puzzles_are_scored_and_counted(notebook):
    _, printed = notebook
    assert re.fullmatch(r"The model is right on \d+%, its heads on at most \d+%\.\n", printed)
