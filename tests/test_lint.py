"""What `make lint` must find: each violation is planted once, in a snippet or a file of its own."""

import ast
import re
import subprocess
import sys
import tomllib

import pytest

import qkcore
from tests import ROOT

BANNED = [
    "import pickle",
    "from marshal import loads",
    "import shelve",
    "import dill",
    "from joblib import load",
    "import cloudpickle",
    "import pandas as pd\n\npd.read_pickle(path)",
    "import torch\n\ntorch.load(path)",
    "import ctypes",
    "from subprocess import run",
    "import os\n\nos.system(text)",
    "from os import popen",
    "import runpy",
    "import streamlit as st\n\nst.html(text)",
    "import streamlit as st\n\nst.iframe(text)",
    "import streamlit as st\n\nst.components.v1.html(text)",
    "import streamlit.components.v1 as components",
    "from streamlit.components.v1 import declare_component",
    "import urllib.request",
    "import urllib\n\nurllib.request.urlopen(address)",
    "from http.client import HTTPConnection",
    "import requests",
    "import httpx",
    "import aiohttp",
    "from ftplib import FTP",
    "def look_up() -> None:\n    import socket",
]
OTHERS = {
    "S101": "assert is_right",
    "S102": "exec(text)",
    "S113": "import requests\n\nrequests.get(address)",
    "S301": "import pickle\n\npickle.loads(data)",
    "S307": "eval(text)",
    "S310": "from urllib.request import urlopen\n\nurlopen(address)",
    "S501": "import requests\n\nrequests.get(address, timeout=1, verify=False)",
    "S506": "import yaml\n\nyaml.load(text)",
    "S602": "import subprocess\n\nsubprocess.run(text, shell=True)",
    "S605": "import os\n\nos.system(text)",
    "S608": "sql = f\"select * from runs where run_id = '{run_id}'\"",
    "ANN001": "def twice(n) -> int:\n    return 2 * n",
    "ANN201": "def twice(n: int):\n    return 2 * n",
    "ANN401": "from typing import Any\n\n\ndef twice(n: Any) -> int:\n    return 2 * n",
    "D103": "def twice(n: int) -> int:\n    return 2 * n",
    "D205": '"""A summary that goes on\non a second line.\n"""',
    "D415": '"""No full stop"""',
}
EXCEPTED = {  # (file, rule), whatever the number of lines
    ("app.py", "TID251"),
    ("data/reference/train.py", "TID251"),
    ("pages/live/process.py", "S301"),  # a process of ours, and its words
    ("pages/live/process.py", "TID251"),
    ("qkcore/results/publish.py", "S608"),
    ("qkcore/sharing/excerpt.py", "S608"),
    ("qkcore/sharing/fetch.py", "S310"),
    ("qkcore/attention/english_check.py", "S311"),  # words are shuffled, no secret
    ("qkcore/dashboard.py", "S606"),  # Streamlit, in this process' place
    ("qkcore/dashboard.py", "TID251"),
    ("qkcore/sharing/fetch.py", "TID251"),
}


def run(*words: str, text: str = "") -> subprocess.CompletedProcess:
    line = [sys.executable, "-m", *words]
    return subprocess.run(line, cwd=ROOT, input=text, capture_output=True, text=True, check=False)


def ruff(snippet: str, name: str = "pages/results/planted.py") -> str:
    """What ruff says of a snippet, as if it stood in this file."""
    done = run(
        "ruff", "check", "--output-format=concise", f"--stdin-filename={name}", "-", text=snippet
    )
    assert not done.stderr, done.stderr
    return done.stdout


@pytest.mark.parametrize("snippet", BANNED)
def test_a_banned_name_is_found(snippet):
    assert " TID251 " in ruff(f"{snippet}\n")


@pytest.mark.parametrize("name", ["app.py", "qkcore/sharing/fetch.py", "data/reference/train.py"])
def test_a_banned_name_is_found_in_every_folder(name):
    assert " TID251 " in ruff("import pickle\n", name)


@pytest.mark.parametrize("rule", OTHERS)
def test_a_rule_finds_what_it_is_there_for(rule):
    assert f" {rule} " in ruff(f"{OTHERS[rule]}\n")


def test_a_clean_snippet_is_clean():
    assert "All checks passed" in ruff('"""Nothing to see here."""\n')


def test_these_lines_of_the_product_and_no_others_are_excepted():
    files = [
        ROOT / "app.py",
        *(p for f in ("qkcore", "pages", "data") for p in (ROOT / f).rglob("*.py")),
    ]
    found = {
        (file.relative_to(ROOT).as_posix(), rule)
        for file in files
        for noqa in re.findall(r"# noqa: ([A-Z0-9, ]+)", file.read_text())
        for rule in re.findall(r"S\d+|TID\d+", noqa)
    }
    assert found == EXCEPTED
    assert not [file for file in files if re.search(r"# noqa(?!: [A-Z])", file.read_text())]


@pytest.mark.parametrize(
    ("snippet", "error"),
    [
        ("def twice(n):\n    return 2 * n", "no-untyped-def"),
        ("def twice(n: int | None) -> int:\n    return 2 * n", "operator"),
        ("def twice(n: int = None) -> int:\n    return 2 * n", "assignment"),
        ("n: int = 1  # type: ignore[assignment]", "unused-ignore"),
        ("n: int = 'one'  # type: ignore", "ignore-without-code"),
    ],
)
def test_types_are_checked(snippet, error, tmp_path):
    file = tmp_path / "planted.py"
    file.write_text(f"{snippet}\n")
    done = run("mypy", f"--cache-dir={tmp_path}", "--config-file=pyproject.toml", str(file))
    assert f"[{error}]" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 1


def test_types_are_checked_everywhere_and_nothing_is_ignored_whole():
    mypy = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]
    assert mypy["files"] == ["qkcore", "pages", "app.py"]
    assert all(set(one) == {"module", "ignore_missing_imports"} for one in mypy["overrides"])
    assert mypy["strict"] is True
    assert "ignore_errors" not in mypy
    assert (ROOT / "qkcore" / "py.typed").is_file()


def test_public_names_are_written_out_for_type_checkers():
    (listed,) = (
        node.value
        for node in ast.parse((ROOT / "qkcore/__init__.py").read_text()).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    )
    source = ast.parse((ROOT / "qkcore/__init__.py").read_text())
    imported = [node for node in ast.walk(source) if isinstance(node, ast.ImportFrom)]
    ours = [node for node in imported if str(node.module).startswith("qkcore.")]
    names = {name.name for node in ours for name in node.names} | {"InputError", "__version__"}
    assert set(ast.literal_eval(listed)) == names == set(qkcore.__all__)
