"""How the dashboard is run: where a setting comes from, and what is refused.

And that the documentation lists them all.
"""

import ast
import os
import re
from dataclasses import fields
from pathlib import Path

import pytest

from pages.server.settings import Settings, SettingsError, settings
from tests import ROOT, files_of


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith("QKSCOPE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr("pages.server.settings.SETTINGS_FILE", tmp_path / "none.toml")


def test_without_a_word_the_demo_store_is_shown_to_friends():
    assert settings() == Settings()
    assert not settings().hosted
    assert settings().store == ROOT / "data/qkscope.duckdb"


def test_a_hosted_demo_is_tighter_in_everything_that_costs(monkeypatch):
    monkeypatch.setenv("QKSCOPE_HOSTED", "yes")
    hosted, own = settings(), Settings()
    for name in (
        "max_characters",
        "max_tokens",
        "max_variants",
        "max_seconds",
        "max_waiting",
        "per_minute",
    ):
        assert getattr(hosted, name) < getattr(own, name), name


def test_the_environment_wins_over_the_file_and_the_file_over_the_default(monkeypatch, tmp_path):
    file = tmp_path / "own.toml"
    file.write_text(
        'hosted = true\nper_minute = 7\nmax_tokens = 99\nmodels = ["a/b", "c"]\nstore = '
        '"x.duckdb"\n'
    )
    monkeypatch.setenv("QKSCOPE_SETTINGS", str(file))
    monkeypatch.setenv("QKSCOPE_PER_MINUTE", "3")
    found = settings()
    assert (found.hosted, found.per_minute, found.max_tokens) == (True, 3, 99)
    assert found.models == ("data/reference", "a/b", "c")
    assert found.store == Path("x.duckdb")
    monkeypatch.setenv("QKSCOPE_HOSTED", "off")
    assert not settings().hosted


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("QKSCOPE_HOSTD", "1", "QKSCOPE_HOSTD is no setting; did you mean QKSCOPE_HOSTED?"),
        ("QKSCOPE_HOSTED", "perhaps", "QKSCOPE_HOSTED is 'perhaps'; write true or false"),
        ("QKSCOPE_PER_MINUTE", "-1", "QKSCOPE_PER_MINUTE is '-1'; write a whole number from 1 up"),
        ("QKSCOPE_SETTINGS", "gone.toml", "the settings file gone.toml cannot be read"),
    ],
)
def test_an_environment_that_cannot_be_used_is_refused(name, value, sentence, monkeypatch):
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=re.escape(sentence)):
        settings()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("hostd = true", "'hostd' is no setting; did you mean hosted?"),
        ("hosted = 3", "hosted in"),
        ("per_minute = true", "write a whole number from 1 up"),
        ("models = [1]", "write texts, separated by commas"),
        ("store = 1", "write a text in quotes"),
        ('quantize = "2bit"', "write 8bit or 4bit"),
        ("hosted = ", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(text, sentence, monkeypatch, tmp_path):
    (tmp_path / "own.toml").write_text(text)
    monkeypatch.setenv("QKSCOPE_SETTINGS", str(tmp_path / "own.toml"))
    with pytest.raises(SettingsError, match=re.escape(sentence)):
        settings()


@pytest.mark.parametrize("name", ["QKSCOPE_REQUIRE_BROWSER", "QKSCOPES", "HOSTED"])
def test_names_that_are_somebody_elses_are_left_alone(name, monkeypatch):
    monkeypatch.setenv(name, "1")
    assert settings() == Settings()


@pytest.mark.parametrize("one", fields(Settings), ids=lambda one: one.name)
def test_a_setting_is_explained_in_part_of_a_sentence_that_says_more_than_its_name(one):
    meaning = one.metadata["meaning"]
    assert re.fullmatch(r"[a-z][^|\n]*[^|\n.]", meaning)  # fits in a cell of a table
    assert len(set(re.findall(r"[a-z]+", meaning.lower())) - set(one.name.split("_"))) >= 3
    assert [other.metadata["meaning"] for other in fields(Settings)].count(meaning) == 1


def test_every_setting_is_heeded_somewhere():
    heeded = {
        node.attr
        for path in files_of("pages/**/*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
    }
    assert {one.name for one in fields(Settings)} <= heeded


def test_the_documentation_lists_every_setting_with_its_defaults():
    from tests.pages.settings_table import rows

    documented = (ROOT / "docs/hosting.md").read_text()
    assert "\n".join(rows()) in documented, "renew it with: python -m tests.pages.settings_table"
