"""What README promises exists: commands, targets, files."""

import re
import shlex

import pytest

from qkcore.asking.known_words import unknown_words
from qkcore.bundled import bundled_model
from qkcore.puzzles.puzzle import load_puzzles
from tests import ROOT, files_of
from tests.command_lines import command_of

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"(?:^    .*\n)+", README, flags=re.MULTILINE)
LINES = [line.strip() for block in BLOCKS for line in block.splitlines()]


COMMANDS = re.findall(r"^(?:.*-m qkcore|qkscope) (.+)$", "\n".join(LINES), flags=re.MULTILINE)


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_line_in_readme_parses(line, monkeypatch):
    words = shlex.split(line)
    assert command_of(words, monkeypatch) == words[0]


@pytest.mark.parametrize("target", sorted(set(re.findall(r"make (\w+)", README))))
def test_a_make_target_in_readme_exists(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)


def test_the_puzzle_in_readme_loads(tmp_path):
    (line,) = [line for line in LINES if line.startswith("{")]
    (tmp_path / "p.jsonl").write_text(line + "\n")
    assert load_puzzles(tmp_path / "p.jsonl")[0].answer == 0


def test_the_puzzles_in_readme_are_of_words_that_the_bundled_model_knows():
    quoted = [line for line in LINES if line.startswith(("{", "printf", "Context:", "Statement:"))]
    texts = re.findall(
        r"(?:context\": \"|statement\": \"|Context: |Statement: )([^\"\\\\]+)", "\n".join(quoted)
    )
    assert len(texts) >= 4
    assert unknown_words(bundled_model(), " ".join(texts)).keys() <= {"Statement"}


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


# Paths of a machine and hosts of packages; written so that this line is not one of them.
FOREIGN = re.compile(r"/(root|work|tmp|home)/|pypi[.]org|python[h]osted")
TMP = "/tmp"
MEANT = {
    "Dockerfile": f"{TMP}/torch.txt",  # a path inside of the image
    "tests/sharing/test_bundle.py": f"{TMP}/qkscope-escaped.txt",  # what a bad bundle tries
}


def test_project_files_speak_of_the_project_alone():
    code = [f"{folder}/**/*.py" for folder in ("qkcore", "pages", "tests", "data")]
    others = ["*.md", "docs/**/*.md", "data/**/*.md", "*.py", "*.toml", "*.txt", "tests/*.txt"]
    around = ["Makefile", "Dockerfile", ".ci/run", ".dockerignore", ".gitignore", ".streamlit/*"]
    for path in files_of(*code, *others, *around):
        name = path.relative_to(ROOT).as_posix()
        text = path.read_text().replace(MEANT.get(name, "\0"), "")
        assert not FOREIGN.search(text), f"{name}: {FOREIGN.search(text).group()}"
    for name, meant in MEANT.items():
        assert meant in (ROOT / name).read_text(), f"{name} is excepted for nothing"
