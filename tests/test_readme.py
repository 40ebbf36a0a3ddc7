"""What README promises exists: commands, targets, files."""

import re
import shlex

import pytest

from qkcore.__main__ import _parser
from qkcore.puzzles.puzzle import load_puzzles
from tests import ROOT

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"(?:^    .*\n)+", README, flags=re.MULTILINE)
LINES = [line.strip() for block in BLOCKS for line in block.splitlines()]


COMMANDS = re.findall(r"^(?:.*-m qkcore|qkscope) (.+)$", "\n".join(LINES), flags=re.MULTILINE)


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_line_in_readme_parses(line):
    words = shlex.split(line)
    assert _parser().parse_args(words).command == words[0]


@pytest.mark.parametrize("target", sorted(set(re.findall(r"make (\w+)", README))))
def test_a_make_target_in_readme_exists(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)


def test_the_puzzle_in_readme_loads(tmp_path):
    (line,) = [line for line in LINES if line.startswith("{")]
    (tmp_path / "p.jsonl").write_text(line + "\n")
    assert load_puzzles(tmp_path / "p.jsonl")[0].answer == 0


def test_the_file_tree_in_readme_is_true():
    tree = next(block for block in BLOCKS if "app.py  " in block)
    folder = ROOT
    for line in tree.splitlines():
        depth, name = (len(line) - len(line.lstrip()) - 4) // 2, line.split()[0]
        folder = ROOT if depth == 0 else folder
        path = folder / name
        assert path.exists(), name
        if depth == 0 and name.endswith("/"):
            folder = path


def test_pictures_in_readme_exist():
    for picture in re.findall(r"!\[.*?\]\((.*?)\)", README):
        assert (ROOT / picture).is_file()


def test_project_files_speak_of_the_project_alone():
    texts = [
        *ROOT.glob("*.md"),
        *ROOT.glob("qkcore/*.py"),
        *ROOT.glob("pages/*/*.py"),
        *ROOT.glob("data/**/*.py"),
    ]
    for path in [*texts, *ROOT.glob("data/**/*.md"), ROOT / "Makefile", ROOT / ".ci/run"]:
        assert not re.search(r"/root/|/work/|/tmp/|pypi\.org|pythonhosted", path.read_text()), path
