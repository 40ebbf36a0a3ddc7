"""Nothing to break in through: what the code must not do, and what visitors type, tried on pages.

What ruff can see (imports, calls of banned names) stands in pyproject.toml and is tried in
tests/test_lint.py; the rest is read from the code here. A rule names the few places that are
excepted, so a new one is a decision that somebody reads.
"""

import ast
import re
from collections.abc import Iterator

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from pages.server.doors import may_come_in
from pages.server.failures import SORRY
from qkcore.attention.geometry import UnsupportedModelError
from qkcore.attention.load import load_model
from qkcore.results.store import ResultStore
from tests import ROOT, files_of
from tests.pages.opening import LISTED, answered, opened
from tests.stores import planted_store

FILES = files_of("app.py", "qkcore/**/*.py", "pages/**/*.py")
TREES = {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text()) for path in FILES}
PAGES = sorted(
    name for name in TREES if re.search(r"^st\.title\(", (ROOT / name).read_text(), re.M)
)


def calls(names: str) -> Iterator[tuple[str, ast.Call]]:
    """(file, call) of every call of a function or method with one of these names."""
    for file, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                called = (
                    node.func.attr
                    if isinstance(node.func, ast.Attribute)
                    else getattr(node.func, "id", "")
                )
                if called in names.split():
                    yield file, node


def test_sql_is_never_put_together_from_what_somebody_typed():
    """Statements are written out; those excepted are put together from the schema's own names."""
    publish = "qkcore/results/publish.py"
    from_the_schema = {
        ("qkcore/sharing/excerpt.py", "_copy_statement(table, columns)"),
        (publish, "f'delete from {table} where run_id = $run_id'"),
        (publish, "f'insert into {table} by name select * from rows_to_insert'"),
        (publish, "f'insert into runs by name select {named}'"),
    }
    handed_on = {("qkcore/results/reader.py", "sql"), ("qkcore/results/migrate.py", "sql")}
    put_together = set()
    for file, call in calls("execute executemany sql query"):
        first = call.args[0] if call.args else None
        is_written_out = isinstance(first, ast.Constant) or (
            isinstance(first, ast.Name) and first.id.isupper()
        )
        if not is_written_out:
            put_together.add((file, ast.unparse(first) if first else ast.unparse(call)))
    assert put_together == from_the_schema | handed_on
    # Of a store, asked SQL; of a page, a question's name. Never a text put together.
    for file, call in calls("ask frame arrays arrow"):
        built = (ast.JoinedStr, ast.BinOp)
        assert not call.args or not isinstance(call.args[0], built), (file, ast.unparse(call))
        assert not (isinstance(call.args[0], ast.Call) if call.args else False), (
            file,
            ast.unparse(call),
        )


def test_nothing_typed_becomes_html_or_a_script():
    """Ruff sees `st.html`; here it is whatever is called like that, a column's too."""
    for file, tree in TREES.items():
        assert "unsafe_allow_" not in (ROOT / file).read_text(), file
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute):
                is_raw = node.attr in ("html", "iframe", "declare_component", "component")
                assert not is_raw, (file, node.lineno)


def test_no_text_is_compiled_or_imported():
    """Ruff sees `eval` and `exec`, but not these."""
    for file, call in calls("compile __import__"):
        assert ast.unparse(call.func) == "re.compile", (file, ast.unparse(call))


def test_weights_are_safetensors_only_and_a_models_own_code_is_never_run():
    for file, call in calls("from_pretrained from_config"):
        words = {one.arg: ast.unparse(one.value) for one in call.keywords}
        name = ast.unparse(call.func)
        assert words.get("trust_remote_code") == "False", (file, name)
        if not name.startswith(("AutoTokenizer", "AutoConfig")) and "from_config" not in name:
            assert words.get("use_safetensors") == "True", (file, name)


def test_nothing_is_fetched_but_what_the_settings_name():
    asking = {"qkcore/sharing/bundle.py", "qkcore/sharing/get_sets.py"}  # no page calls the latter
    assert {file for file, _ in calls("fetch")} == asking
    opened = [(file, ast.unparse(call.args[0])) for file, call in calls("open_bundle")]
    assert opened == [("pages/server/opened.py", "given.bundle")]


def test_pages_open_no_files_by_themselves():
    """What the server opens, the settings or Streamlit's own installation name."""
    frame = {"pages/server/settings.py", "pages/server/headers.py"}
    own_prose = "Path(__file__).with_name('method.md').read_text"
    for file, call in calls("open read_text read_bytes write_text write_bytes mkdir unlink"):
        if file.startswith("pages/") and file not in frame:
            assert ast.unparse(call.func) in ("ResultStore.open", own_prose), (file, call.lineno)


def test_pages_take_no_uploads():
    assert not list(calls("file_uploader camera_input audio_input chat_input"))


def test_a_reader_cannot_write_leave_the_store_or_change_that(planted_path, tmp_path):
    with ResultStore.open(planted_path) as store:
        for sql in (
            "delete from store.runs",
            "create table store.x (i integer)",
            f"copy store.runs to '{tmp_path / 'x.csv'}'",
            f"attach '{tmp_path / 'x.duckdb'}'",
            "select * from read_csv('/etc/passwd')",
            "select * from '/etc/passwd'",
            "install httpfs",
            "load httpfs",
            "set enable_external_access = true",
            "set lock_configuration = false",
        ):
            with pytest.raises(duckdb.Error):
                store.frame(sql)
    assert not list(tmp_path.iterdir())


def test_a_model_that_brings_code_is_refused_without_running_it(tiny_folder, tmp_path):
    import json
    import shutil

    folder = tmp_path / "own-code"
    shutil.copytree(tiny_folder, folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "model_type": "own",
        "auto_map": {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(UnsupportedModelError):
        load_model(str(folder))
    assert not (tmp_path / "ran").exists()


def test_a_model_with_pickled_weights_alone_is_refused_without_reading_them(tiny_folder, tmp_path):
    import pickle
    import shutil

    class Trap:
        def __reduce__(self):
            return open, (str(tmp_path / "ran"), "w")

    folder = tmp_path / "pickled"
    shutil.copytree(tiny_folder, folder)
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(UnsupportedModelError, match="safetensors"):
        load_model(str(folder))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("email", "invited", "comes_in"),
    [
        ("ann@example.org", ["ann@example.org"], True),
        ("Ann@Example.ORG", ["ann@example.org"], True),
        ("bob@example.org", ["ann@example.org"], False),
        ("bob@example.org", ["@example.org"], True),
        ("bob@sub.example.org", ["@example.org"], False),
        # The part after the last @ is the domain
        ("bob@evil.net@example.org", ["@example.org"], True),
        ("@example.org.evil.net", ["@example.org"], False),
        (None, ["@example.org"], False),
        ("", ["", "@"], False),
        (None, ["*"], True),
    ],
)
def test_who_is_invited_comes_in_and_nobody_else(email, invited, comes_in):
    assert may_come_in(email, invited) is comes_in


@pytest.mark.parametrize(
    ("user", "sees"),
    [
        ({"is_logged_in": False}, "Sign in"),
        ({}, "Sign in"),
        ({"is_logged_in": True, "email": "eve@evil.net"}, "has not been invited"),
        (
            {"is_logged_in": True, "email": "ann@example.org", "email_verified": False},
            "has not been invited",
        ),
        ({"is_logged_in": True, "email": "ann@example.org", "email_verified": True}, "L1 H2"),
    ],
)
def test_a_private_demo_shows_results_only_to_who_is_invited(user, sees, planted_path, monkeypatch):
    monkeypatch.setenv("QKSCOPE_STORE", str(planted_path))
    monkeypatch.setenv("QKSCOPE_SIGN_IN", "ann@example.org")
    monkeypatch.setattr("streamlit.user", user)
    at = AppTest.from_file(ROOT / "pages/main/main.py", default_timeout=30).run()
    assert not at.exception
    assert sees in words(at) + " ".join(button.label for button in at.button)
    assert (len(at.get("vega_lite_chart")) > 0) == (sees == "L1 H2")
    assert bool(at.sidebar.selectbox) == (sees == "L1 H2")


HOSTILE = [
    "'; drop table runs; --",
    "' or 1=1 --",
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "[x](javascript:alert(1))",
    "../../../etc/passwd",
    "/etc/passwd",
    "file:///etc/passwd",
    "http://127.0.0.1:22/",
    "{0.__class__}",
    "{context}",
    "$(id)",
    "%00",
    "\x00",
    "\u202e\u200f\u0301",
    "𝕏" * 2000,
    "9" * 400,
    "-1",
    "1e309",
    "nan",
    "٣",
    "²",
    "",
    " ",
]
anything = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=40), st.integers().map(str))
NAMES = sorted(
    {"run", "layer", "head", "steps", "distractors", "puzzle", "model"}
    | set(re.findall(r'key="(\w+)", bind', "\n".join(path.read_text() for path in FILES)))
)


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """Pages show a store with hostile names in it, for the length of this module's fuzzing."""
    path = planted_store(
        tmp_path_factory.mktemp("odd") / "odd.duckdb", model=HOSTILE[3], puzzle_set=HOSTILE[0]
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QKSCOPE_STORE", str(path))
        yield path


def words(at: AppTest) -> str:
    kinds = (
        "title",
        "header",
        "header",
        "markdown",
        "caption",
        "info",
        "error",
        "warning",
        "success",
    )
    return " ".join(element.value for kind in kinds for element in getattr(at, kind))


def is_whole(at: AppTest) -> bool:
    """Whether the page came through without an exception and with nothing that would be HTML."""
    return (
        not at.exception
        and SORRY not in words(at)
        and not any(one.allow_html for one in at.markdown)
    )


fuzzed = settings(
    max_examples=6,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.mark.parametrize("page", LISTED)
@fuzzed
@given(
    query=st.dictionaries(
        st.sampled_from(NAMES) | st.text(min_size=1, max_size=8), anything, max_size=5
    )
)
def test_no_address_breaks_a_page(page, shown, query):
    at = answered(opened(page, query))
    assert is_whole(at), query


@pytest.mark.parametrize("page", LISTED)
def test_no_hostile_word_in_every_parameter_at_once_breaks_a_page(page, shown):
    for start in range(0, len(HOSTILE), 4):
        query = {name: HOSTILE[(start + place) % len(HOSTILE)] for place, name in enumerate(NAMES)}
        assert is_whole(answered(opened(page, query))), query


@pytest.mark.parametrize("page", LISTED)
@fuzzed
@given(data=st.data())
def test_nothing_typed_into_a_field_breaks_a_page(page, shown, data):
    at = answered(opened(page))
    for kind in ("text_input", "text_area", "number_input", "selectbox", "slider"):
        for widget in getattr(at, kind):
            if kind in ("text_input", "text_area"):
                widget.set_value(data.draw(anything, label=widget.label))
            elif kind == "selectbox":
                widget.set_value(data.draw(st.sampled_from(widget.options), label=widget.label))
            elif kind == "number_input":
                # The limits are the browser's; a visitor may send what he likes
                widget.set_value(data.draw(st.integers(-(2**40), 2**40), label=widget.label))
    assert is_whole(answered(at.run()))
