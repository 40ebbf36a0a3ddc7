"""Who may import whom. ARCHITECTURE.md's table is the order; a module imports only from rows above it."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = {path.stem: path for path in (ROOT / "qkcore").glob("*.py") if path.stem != "__init__"}
ORDER = re.findall(r"^\| `(\w+)` \|", (ROOT / "ARCHITECTURE.md").read_text(), flags=re.MULTILINE)


def imported(path: Path) -> set[str]:
    """Every module that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_the_table_names_every_module_once():
    assert sorted(ORDER) == sorted(MODULES)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_a_module_imports_only_from_rows_above_it(name):
    above = set(ORDER[: ORDER.index(name)])
    own = {n.split(".")[1] for n in imported(MODULES[name]) if n.startswith("qkcore.")} & set(MODULES)
    assert own <= above


def test_the_core_never_imports_the_screen():
    for path in MODULES.values():
        assert not {n.split(".")[0] for n in imported(path)} & {"streamlit", "pages", "app"}, path


@pytest.mark.parametrize(
    "names", ["qkcore.store qkcore.charts qkcore.metrics qkcore.publish", "pages.frame.reading pages.frame.curves"]
)
def test_reading_results_loads_no_torch(names):
    code = f"import sys, {names.replace(' ', ', ')}; assert not {{'torch', 'transformers'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_every_page_is_registered_and_none_lies_directly_in_pages():
    listed = set(re.findall(r'"(pages/\w+/\w+\.py)"', (ROOT / "pages/frame/frame.py").read_text()))
    found = {str(path.relative_to(ROOT)) for path in ROOT.glob("pages/*/*.py") if path.parent.name != "frame"}
    assert listed == found
    assert not list(ROOT.glob("pages/*.py"))
    names = [Path(path).stem for path in found]
    assert len(names) == len(set(names))


def test_nothing_on_screen_is_raw_html():
    for path in [ROOT / "app.py", *ROOT.glob("pages/*/*.py")]:
        assert "unsafe_allow_html" not in path.read_text()
