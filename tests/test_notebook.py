"""docs/notebook.md, run as a notebook would: cell after cell, drawing what each ends in.

And docs/notebook.ipynb in a kernel of its own.
"""

import json
import os
import re
import subprocess
import sys

import nbformat
import pytest
from nbclient import NotebookClient

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


IPYNB = ROOT / "docs/notebook.ipynb"


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """(id) what each cell of docs/notebook.ipynb ends in, by kind of text, after all were run.

    The first exception in a cell fails here.
    """
    notebook = nbformat.read(IPYNB, as_version=4)
    nbformat.validate(notebook)
    folder = tmp_path_factory.mktemp("ipynb")
    client = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": folder}})
    client.execute(env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])})
    return {
        cell.id: output.data
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if output.output_type == "execute_result"  # and not what packages warn of
    }


def test_the_notebook_ships_without_outputs():
    cells = [cell for cell in nbformat.read(IPYNB, as_version=4).cells if cell.cell_type == "code"]
    assert len(cells) == 5
    assert not any(cell.outputs or cell.execution_count for cell in cells)


def test_the_notebook_loads_a_model_and_scores_ten_puzzles(ran):
    assert ran["load"]["text/plain"] == "'8 layers, 4 heads each'"
    said = re.fullmatch(
        r"'the model is right on (\d+) of 10, the best head on (\d+)'", ran["score"]["text/plain"]
    )
    assert said
    assert int(said[2]) >= 5  # the best of 32 heads


def test_the_notebook_shows_the_grid(ran):
    page = ran["grid"]["text/html"]  # a script that is called with the chart
    chart, _ = json.JSONDecoder().raw_decode(page, page.rindex("})({") + len("})("))
    cells = [one for rows in chart["datasets"].values() for one in rows if "accuracy" in one]
    assert {(one["layer"], one["head"]) for one in cells} == {
        (layer, head) for layer in range(8) for head in range(4)
    }
    best = int(ran["score"]["text/plain"].rpartition(" ")[2][:-1])
    assert max(one["accuracy"] for one in cells) == best / 10


def test_the_notebook_chooses_a_head_and_switches_it_off(ran):
    chosen = re.match(r"'(L\d H\d): right on \d of 5 test puzzles'", ran["choose"]["text/plain"])
    assert chosen
    means = dict(
        re.findall(r"^(none|L\d H\d) +(-?[\d.]+)$", ran["off"]["text/plain"], re.MULTILINE)
    )
    assert len(means) == 3
    assert means["none"] != means[chosen[1]]
