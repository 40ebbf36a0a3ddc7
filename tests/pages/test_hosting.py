"""The Dockerfile does what it says, without a container engine.

Its files are copied, its commands run. Also what a hosted demo promises its visitors: headers, shut
addresses, one sentence when something breaks.
"""

import asyncio
import fnmatch
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import ROOT
from tests.command_lines import command_of
from tests.pages.visitor import Visitor

DOCKERFILE = [
    line.split(maxsplit=1)
    for line in re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text()).splitlines()
    if line and not line.startswith("#")
]
IGNORED = [
    line
    for line in (ROOT / ".dockerignore").read_text().splitlines()
    if line and not line.startswith("#")
]
# Any connection but to this machine fails: an image must need no network.
NO_NETWORK = """
import socket
connect = socket.socket.connect
def only_here(self, address):
    if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1", "localhost"):
        raise OSError(f"no network: {address}")
    return connect(self, address)
socket.socket.connect = only_here
"""


def arguments(instruction: str) -> list[str]:
    return [rest for word, rest in DOCKERFILE if word == instruction]


def is_ignored(path: Path) -> bool:
    name = path.relative_to(ROOT).as_posix()
    return any(
        fnmatch.fnmatch(name, pattern) or fnmatch.fnmatch(f"/{name}", pattern.replace("**/", "*/"))
        for pattern in IGNORED
    )


def copied_tree(app: Path) -> Path:
    """What the COPY lines put into the image's folder."""
    for line in arguments("COPY"):
        source, target = line.split()
        source, target = ROOT / source, app / target
        if source.is_dir():

            def ignore(folder, names):
                return [name for name in names if is_ignored(Path(folder) / name)]

            shutil.copytree(source, target, ignore=ignore)
        else:
            target = target / source.name if line.endswith("/") else target
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    return app


def environment_of_image() -> dict[str, str]:
    pairs = " ".join(arguments("ENV")).split()
    return dict(pair.split("=", 1) for pair in pairs)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextmanager
def running(app: Path, home: Path, log: Path, **environment):
    """The address of a server started by the image's CMD in that tree.

    It is healthy by the image's HEALTHCHECK.
    """
    port = str(free_port())
    here = lambda words: [{"python": sys.executable}.get(w, w.replace("8501", port)) for w in words]  # noqa: E731
    command = here(json.loads(arguments("CMD")[0]))
    command[command.index("0.0.0.0")] = "127.0.0.1"  # a test is nobody else's business
    health = here(json.loads(re.search(r"CMD (\[.*\])", arguments("HEALTHCHECK")[0]).group(1)))
    around = {
        "PATH": os.environ["PATH"],
        **environment_of_image(),
        "QKSCOPE_REAL_MODEL": "false",  # the tests of it are elsewhere
        "HOME": str(home),
        **environment,
    }
    with (
        log.open("w") as output,
        subprocess.Popen(command, cwd=app, env=around, stdout=output, stderr=output) as server,
    ):
        try:
            deadline = time.monotonic() + 120
            while subprocess.run(health, capture_output=True).returncode:
                assert server.poll() is None, log.read_text()
                assert time.monotonic() < deadline, "not healthy within two minutes"
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def visited(address: str, *pages: str) -> list:
    async def visit():
        async with Visitor(address) as visitor:
            return [await visitor.open(page) for page in pages]

    return asyncio.run(visit())


@pytest.fixture(scope="module")
def image(tmp_path_factory, planted_path):
    """A server as the image would run it.

    (address, folder of the app, home, log, what was there before).
    """
    folder = tmp_path_factory.mktemp("image")
    app = copied_tree(folder / "app")
    shutil.copyfile(planted_path, app / "data" / "qkscope.duckdb")  # small, and of this version
    (folder / "home").mkdir()
    (folder / "no_network").mkdir()
    (folder / "no_network" / "sitecustomize.py").write_text(NO_NETWORK)
    before = states(app)
    with running(
        app, folder / "home", folder / "log", PYTHONPATH=str(folder / "no_network")
    ) as address:
        yield address, app, folder / "home", folder / "log", before


def states(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path): (path.stat().st_mtime_ns, path.stat().st_size)
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_image_installs_what_the_tests_run_on():
    line = next(line for line in arguments("RUN") if "--requirement requirements.txt" in line)
    assert "^torch==" in line
    assert re.search(r"^torch==", (ROOT / "requirements.txt").read_text(), flags=re.MULTILINE)
    # All of it is installed here, so pip looks nothing up: it fails if a line is none, or not what
    # the tests run on.
    options = [
        "--dry-run",
        "--no-index",
        "--disable-pip-version-check",
        "--quiet",
        "--requirement",
        "requirements.txt",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", *options], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "Would install" not in done.stdout


def test_the_image_does_not_run_as_root_and_tells_its_health():
    assert arguments("USER") == ["1000"]
    assert "/_stcore/health" in arguments("HEALTHCHECK")[0]
    assert environment_of_image()["HF_HUB_OFFLINE"] == "1"
    assert environment_of_image()["QKSCOPE_HOSTED"] == "true"
    order = [word for word, _ in DOCKERFILE]
    assert order.index("USER") > max(i for i, word in enumerate(order) if word in ("RUN", "COPY"))


def test_the_image_holds_what_pages_need_and_no_secrets_or_leftovers(tmp_path):
    app = copied_tree(tmp_path / "app")
    names = {path.relative_to(app).as_posix() for path in app.rglob("*") if path.is_file()}
    assert {
        "data/qkscope.duckdb",
        "data/reference/model.safetensors",
        "pages/main/main.py",
        ".streamlit/config.toml",
    } <= names
    assert not [
        name for name in names if re.search(r"secrets|__pycache__|\.parts/|checkpoint|/\.git", name)
    ]


def test_the_image_serves_every_page_without_network(image):
    address, app, *_ = image
    listed = re.findall(r'url_path="([\w-]+)"', (app / "pages/main/main.py").read_text())
    first, *others = visited(address, "", *listed)
    assert "L1 H2" in first.text
    assert first.n_charts >= 1
    for view in (first, *others):
        assert not view.exceptions
        assert "went wrong" not in view.text


def test_a_server_writes_nothing_outside_its_temporary_folder(image):
    address, app, home, _, before = image
    visited(address, "", "head-grid")
    assert states(app) == before
    assert not [path for path in home.rglob("*") if path.is_file()]


def test_every_answer_carries_the_security_headers(image):
    for path in ("/", "/head-grid", "/_stcore/health", "/static/none"):
        try:
            headers = urllib.request.urlopen(image[0] + path).headers
        except urllib.error.HTTPError as error:
            headers = error.headers
        policy = dict(
            part.split(maxsplit=1) for part in headers["Content-Security-Policy"].split("; ")
        )
        assert policy["default-src"] == "'self'"
        assert "unsafe" not in policy["script-src"]
        assert policy["frame-ancestors"] == "'self'"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "SAMEORIGIN"
        assert headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize("path", ["/_stcore/upload_file/a/b", "/_stcore/metrics"])
@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE", "OPTIONS"])
def test_uploads_and_metrics_are_shut(path, method, image):
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(urllib.request.Request(image[0] + path, method=method))
    assert caught.value.code == 403


def test_the_host_may_name_who_embeds_it():
    from pages.server.headers import security_headers
    from pages.server.settings import SettingsError

    headers = security_headers(["https://huggingface.co", "https://*.example.org:8443"])
    assert (
        "frame-ancestors 'self' https://huggingface.co https://*.example.org:8443"
        in headers["Content-Security-Policy"]
    )
    assert "X-Frame-Options" not in headers
    for wrong in ("example.org", "https://a; script-src *", "https://a\r\nX: y", "'none'"):
        with pytest.raises(SettingsError, match="write origins such as"):
            security_headers([wrong])


def test_streamlits_own_settings_are_those_of_a_hosted_demo():
    config = tomllib.loads((ROOT / ".streamlit/config.toml").read_text())
    assert config["server"]["enableXsrfProtection"] is True
    assert "enableCORS" not in config["server"]  # on by default; off, any site could open a session
    assert config["logger"]["enableRich"] is False
    assert config["browser"]["gatherUsageStats"] is False
    assert config["client"] == {"showErrorDetails": "none", "toolbarMode": "viewer"}


BREAKING = """import streamlit as st
def fail(): raise ValueError('Max is a wumpus')
"""
BROKEN = {"head-grid": "fail()\n", "difficulty": "st.button('Break', on_click=fail)\n"}


@pytest.fixture(scope="module")
def broken(tmp_path_factory, planted_path):
    """(address, log) of a server with a page that breaks, and one that breaks at a click."""
    folder = tmp_path_factory.mktemp("broken")
    app = copied_tree(folder / "app")
    for place, line in BROKEN.items():
        name = f"{place.replace('-', '_')}.py"
        (app / "pages/results" / name).write_text(BREAKING + line)
    (folder / "home").mkdir()
    store = {"QKSCOPE_STORE": str(planted_path)}
    with running(app, folder / "home", folder / "log", **store) as address:
        yield address, folder / "log"


@pytest.mark.parametrize("place", BROKEN)
def test_a_visitor_sees_one_sentence_and_the_log_no_word_of_the_puzzle(place, broken):
    address, log = broken

    async def visit():
        async with Visitor(address) as visitor:
            view = await visitor.open(place)
            if place == "difficulty":
                view = await visitor.set("button", "Break", True)
            return view, await visitor.open("")

    view, next_page = asyncio.run(visit())
    assert "Something went wrong here, and the log of this demo has noted it." in view.text
    assert not view.exceptions
    assert "wumpus" not in view.text
    assert "L1 H2" in next_page.text
    logged = log.read_text()
    assert "ValueError" in logged
    assert f"{place.replace('-', '_')}.py" in logged
    assert "Max is a wumpus" not in logged.replace("raise ValueError('Max is a wumpus')", "")


def test_a_model_that_a_visitor_sends_past_the_select_box_is_not_loaded(image, tmp_path):
    """A websocket client may send any value for a select box.

    Callbacks see it before the page does.
    """
    folder = str(shutil.copytree(ROOT / "data/reference", tmp_path / "somewhere"))

    async def visit():
        for sent in (folder, "../reference", "http://127.0.0.1:9/x", "org/other", "another model"):
            async with Visitor(image[0]) as visitor:
                await visitor.open("try-a-puzzle")
                view = await visitor.fill(
                    {("selectbox", "Model"): sent, ("button", "Score this puzzle"): True}
                )
                assert any(
                    re.search(r"is not offered here|No model is named", one) for one in view.alerts
                ), sent
                assert not view.exceptions
                assert view.widgets["selectbox", "Model"].raw_value == "data/reference"

    asyncio.run(visit())


def test_a_host_that_runs_app_py_as_a_plain_script_gets_the_frame(planted_path, monkeypatch):
    from streamlit.testing.v1 import AppTest

    monkeypatch.setenv("QKSCOPE_STORE", str(planted_path))
    at = AppTest.from_file(ROOT / "app.py", default_timeout=30).run()
    assert not at.exception
    assert at.title[0].value


def test_a_setting_that_cannot_be_used_is_said_on_the_page(planted_path, monkeypatch):
    from streamlit.testing.v1 import AppTest

    monkeypatch.setenv("QKSCOPE_HOSTED", "perhaps")
    at = AppTest.from_file(ROOT / "pages/main/main.py", default_timeout=30).run()
    assert not at.exception
    assert "QKSCOPE_HOSTED is 'perhaps'; write true or false" in at.error[0].value


def test_a_bundle_is_what_visitors_see_and_a_changed_one_is_not(
    planted_path, tmp_path, monkeypatch
):
    from streamlit.testing.v1 import AppTest

    from qkcore.sharing.bundle import STORE, write_bundle

    fingerprint = write_bundle(planted_path, tmp_path / "shared")["fingerprint"]
    monkeypatch.setenv("QKSCOPE_BUNDLE", str(tmp_path / "shared"))
    monkeypatch.setenv("QKSCOPE_BUNDLE_SHA256", fingerprint)
    at = AppTest.from_file(ROOT / "pages/main/main.py", default_timeout=30).run()
    assert not at.exception
    assert at.session_state["run"] == "planted-1"
    (tmp_path / "shared" / STORE).write_bytes(b"other")
    assert "were changed after the bundle was made" in at.run().error[0].value


GUIDE = (ROOT / "docs/hosting.md").read_text()


def test_commands_of_the_guide_parse(monkeypatch):
    lines = [
        line.strip()
        for line in GUIDE.splitlines()
        if line.startswith("    .venv/bin/python -m qkcore")
    ]
    assert lines
    for line in lines:
        words = shlex.split(line)
        assert command_of(words[words.index("qkcore") + 1 :], monkeypatch) in words


def test_the_guide_and_the_image_agree():
    (port,) = re.findall(r"^       app_port: (\d+)$", GUIDE, flags=re.MULTILINE)
    assert arguments("EXPOSE") == [port]
    assert f"-p {port}:{port}" in GUIDE
    for name in re.findall(r"--build-arg (\w+)=", GUIDE):
        assert any(line.startswith(f"{name}=") for line in arguments("ARG")), name


def test_settings_in_the_guides_examples_are_settings(tmp_path, monkeypatch):
    from pages.server.settings import settings

    examples = re.findall(r"^    (\w+ = .*)$", GUIDE, flags=re.MULTILINE)
    assert len(examples) >= 3
    (tmp_path / "own.toml").write_text("\n".join(examples))
    monkeypatch.setenv("QKSCOPE_SETTINGS", str(tmp_path / "own.toml"))
    assert settings().bundle.startswith("https://")
