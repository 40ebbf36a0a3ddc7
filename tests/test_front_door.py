"""The front door: what `pip install .` installs, and that it opens from a folder that is not ours.

The wheel is built and installed as pip does it, offline; what QKScope needs comes from the
environment that runs the tests.
"""

import asyncio
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import qkcore
from tests import ROOT
from tests.pages.test_browser import chromium, settle, wait_until_healthy  # noqa: F401
from tests.pages.visitor import Visitor

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NOT_IN_THE_WHEEL = r"__pycache__|\.pyc$|test_|tests/|checkpoint|\.parts|secrets|train\.py"


@dataclass(frozen=True)
class Installed:
    """An environment of its own, and a current folder with files named like our packages."""

    commands: Path  # its bin folder
    packages: Path  # its site-packages
    elsewhere: Path

    def started(self, *words: str, **more) -> subprocess.Popen:
        """A command of that environment, begun elsewhere."""
        around = {"PATH": os.environ["PATH"], "HOME": str(self.elsewhere)}
        around["QKSCOPE_REAL_MODEL"] = "false"  # it would be converted first
        around |= {"STREAMLIT_SERVER_HEADLESS": "true", "PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.Popen(
            [str(self.commands / words[0]), *words[1:]],
            cwd=self.elsewhere,
            env=around,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **more,
        )

    def ran(self, *words: str) -> tuple[int, str, str]:
        """(exit status, output, errors) of such a command."""
        with self.started(*words) as command:
            output, errors = command.communicate(timeout=60)
        return command.returncode, output, errors

    @contextmanager
    def serving(self, *words: str) -> Iterator[tuple[str, subprocess.Popen]]:
        """(address, process) of `qkscope app`, once it is healthy."""
        port = free_port()
        with self.started("qkscope", "app", "--port", str(port), *words) as server:
            try:
                yield wait_until_healthy(f"http://localhost:{port}", server), server
            finally:
                server.kill()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    line = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(line, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.iterdir()
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Installed:
    """The wheel in an environment that finds everything else in this one."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "env"], check=True)
    python = folder / "env" / "bin" / "python"
    options = ["--no-deps", "--no-index", "--no-compile", "--quiet", "--disable-pip-version-check"]
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", *options, str(wheel)]
    subprocess.run(pip, check=True)
    packages = folder / "env" / "lib" / "python3.11" / "site-packages"
    ours = sysconfig.get_path("purelib")
    (packages / "what_it_needs.pth").write_text(f"import site; site.addsitedir({ours!r})\n")

    elsewhere = folder / "elsewhere"
    (elsewhere / "pages").mkdir(parents=True)
    for name in ("app.py", "qkcore.py", "pandas.py", "pages/main.py"):
        (elsewhere / name).write_text("raise SystemExit('a file of the current folder was run')\n")
    return Installed(python.parent, packages, elsewhere)


@pytest.fixture(scope="module")
def address(installed) -> Iterator[str]:
    """The address of the dashboard as installed, on the demo store."""
    with installed.serving() as (found, _):
        yield found


def test_the_wheel_holds_the_core_and_the_dashboard_and_nothing_else(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    info = f"qkscope-{qkcore.__version__}.dist-info"
    assert {name.split("/")[0] for name in names} == {"qkcore", "qkscope_app", info}
    assert not [name for name in names if re.search(NOT_IN_THE_WHEEL, name)]
    core = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("qkcore/**/*.py")}
    core |= {"qkcore/py.typed", "qkcore/attention/english.txt", "qkcore/sharing/sets.toml"}
    core |= {"qkcore/sharing/origins.toml"}
    core |= {"qkcore/protocol/protocol-1.toml"}
    assert {name for name in names if name.startswith("qkcore/")} == core
    shown = [ROOT / "app.py", ROOT / "CITATION.cff", ROOT / ".streamlit/config.toml"]
    shown += ROOT.glob("pages/**/*.*")
    shown = [path for path in shown if "__pycache__" not in path.parts]
    data = [ROOT / "data/qkscope.duckdb", *model_files()]
    assert {name for name in names if name.startswith("qkscope_app/")} == {
        f"qkscope_app/{path.relative_to(ROOT).as_posix()}" for path in (*shown, *data)
    }
    assert wheel.stat().st_size <= 45_000_000


def model_files() -> list[Path]:
    """All of the bundled model that is no step of its training."""
    found = [path for path in ROOT.glob("data/reference/*") if path.is_file()]
    return [one for one in found if one.suffix != ".py" and not one.name.startswith("checkpoint")]


EXTRAS = PROJECT["optional-dependencies"]
REQUIREMENTS = [
    ("requirements.txt", PROJECT["dependencies"]),
    ("tests/requirements.txt", EXTRAS["dev"] + EXTRAS["cluster"] + EXTRAS["quantize"]),
]


@pytest.mark.parametrize(("path", "ranges"), REQUIREMENTS)
def test_what_is_installed_with_it_may_be_what_the_tests_ran_on(path, ranges):
    lines = (ROOT / path).read_text().splitlines()
    tested = {one.name: one for one in map(Requirement, filter(re.compile(r"\w").match, lines))}
    allowed = {one.name: one for one in map(Requirement, ranges)}
    assert tested.keys() == allowed.keys()
    for name, one in tested.items():
        (*_, version) = [part.version for part in one.specifier if part.operator == "=="] or [None]
        if version is None:
            assert one.specifier == allowed[name].specifier
        else:
            assert Version(version) in allowed[name].specifier, name
            assert any(part.operator.startswith("<") for part in allowed[name].specifier), name


def test_signing_in_needs_the_same_streamlit():
    (signing_in,) = map(Requirement, PROJECT["optional-dependencies"]["auth"])
    (streamlit,) = [
        one for one in map(Requirement, PROJECT["dependencies"]) if one.name == "streamlit"
    ]
    assert signing_in.extras == {"auth"}
    assert (signing_in.name, signing_in.specifier) == ("streamlit", streamlit.specifier)


def test_the_command_tells_its_version_and_that_of_the_wheel(installed, wheel):
    assert installed.ran("qkscope", "--version") == (0, f"qkscope {qkcore.__version__}\n", "")
    assert wheel.name.startswith(f"qkscope-{qkcore.__version__}-")


def test_help_loads_nothing_heavy(installed):
    script = str(installed.commands / "qkscope")
    status, output, loaded = installed.ran("python", "-X", "importtime", script, "--help")
    assert status == 0
    assert output.startswith("usage: qkscope ")
    names = {line.rpartition("|")[2].strip().split(".")[0] for line in loaded.splitlines()}
    assert "qkcore" in names
    assert not names & {"torch", "transformers", "pandas", "numpy", "duckdb", "streamlit"}


def test_the_bundled_files_are_those_of_the_installed_package(installed):
    code = "import qkcore; print(qkcore.demo_store()); print(qkcore.bundled_model())"
    status, output, errors = installed.ran("python", "-P", "-c", code)
    assert status == 0, errors
    data = installed.packages.resolve() / "qkscope_app" / "data"
    assert output.split() == [str(data / "qkscope.duckdb"), str(data / "reference")]


def test_the_dashboard_opens_on_what_is_bundled_and_writes_nothing_beside_itself(
    installed, address
):
    async def visit():
        async with Visitor(address) as visitor, asyncio.timeout(60):
            first, live = await visitor.open(), await visitor.open("try-a-puzzle")
            while live.polls:  # until the model is loaded and has answered
                live = await visitor.poll()
            return first, live

    before = states(installed.packages)
    first, live = asyncio.run(visit())
    for view in (first, live):
        assert not view.exceptions
        assert "went wrong" not in view.text
        assert view.n_charts >= 1
    assert states(installed.packages) == before

    # What a page gives to take away names files that are found from this folder too.
    code = next(one for one in first.words if "ResultStore.open" in one)
    status, _, errors = installed.ran("python", "-P", "-c", code)
    assert status == 0, errors
    model = installed.packages / "qkscope_app" / "data" / "reference"
    assert f"load_model({str(model)!r})" in live.text


def states(folder: Path) -> dict[Path, tuple[int, int]]:
    found = [path for path in folder.rglob("*") if path.is_file()]
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in found}


def test_a_store_of_the_current_folder_is_shown_and_ctrl_c_ends_it(installed, planted_path):
    shutil.copyfile(planted_path, installed.elsewhere / "own.duckdb")

    async def visit(address):
        async with Visitor(address) as visitor:
            return await visitor.open()

    with installed.serving("--store", "own.duckdb") as (address, server):
        assert "L1 H2" in asyncio.run(visit(address)).text
        server.send_signal(signal.SIGINT)
        _, errors = server.communicate(timeout=30)
    assert server.returncode == 130  # as every command that is interrupted
    assert not re.search("Traceback|Aborted|leaked", errors)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--store", "none.duckdb"], "There is no result store at none.duckdb"),
        (["--store", "app.py"], "app.py is not a DuckDB file"),
        (["--port", "0"], "port 0 does not exist; choose one from 1 to 65535"),
        (["--port", "70000"], "port 70000 does not exist; choose one from 1 to 65535"),
    ],
)
def test_what_cannot_be_opened_is_said_in_one_line_before_a_server_starts(
    words, message, installed
):
    status, output, errors = installed.ran("qkscope", "app", *words)
    assert (status, output) == (2, "")
    assert errors.startswith(f"qkscope app: error: {message}")
    assert errors.count("\n") == 1


def test_a_port_in_use_is_said_in_one_line(installed):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        status, output, errors = installed.ran("qkscope", "app", "--port", str(port))
    assert (status, output) == (2, "")
    assert errors == (
        f"qkscope app: error: port {port} is in use by another program; choose another with "
        "--port\n"
    )


# Last: from here on Playwright has an event loop running, and asyncio.run would not have another.
@pytest.mark.browser
def test_the_first_page_is_drawn_in_our_theme(chromium, address):  # noqa: F811
    page = chromium.new_context(color_scheme="light").new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(address)
    settle(page)
    assert page.locator("h1").is_visible()
    page.get_by_test_id("stVegaLiteChart").first.locator("svg.marks").wait_for()
    app = "getComputedStyle(document.querySelector('[data-testid=stApp]'))"
    text = page.evaluate(f"{app}.color")
    page.context.close()
    theme = tomllib.loads((ROOT / ".streamlit/config.toml").read_text())["theme"]["light"]
    assert [int(part) for part in re.findall(r"\d+", text)] == list(
        bytes.fromhex(theme["textColor"].lstrip("#"))
    )
    assert not errors
