"""How this dashboard is run: what the person who runs it has allowed.

A setting comes from the environment (QKSCOPE_ and its name in capitals), else from the settings
file, else from its default here; a hosted demo (`hosted`) has tighter defaults. docs/hosting.md
shows them all, and a test compares.
"""

import difflib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from qkcore import InputError
from qkcore.bundled import REAL_MODEL, names_of, real_model

ROOT = Path(__file__).parents[2]
BUNDLED_MODEL = "data/reference"
DEMO_STORE = ROOT / "data" / "qkscope.duckdb"
SETTINGS_FILE = ROOT / ".streamlit" / "qkscope.toml"  # or the path in QKSCOPE_SETTINGS
SWITCH = dict.fromkeys(("1", "true", "yes", "on"), True)
SWITCH |= dict.fromkeys(("", "0", "false", "no", "off"), False)


Value = TypeVar("Value")


class SettingsError(InputError):
    """A setting that cannot be used; the message says which, where, and what it must be."""


def _setting(
    default: Value, meaning: str, hosted: Value | None = None, words: tuple[str, ...] = ()
) -> Value:
    """A field with its default, what it is for, and its default in a hosted demo if that differs.

    Where there are words, its value is one of them, or the default.

    Its type is said to be that of the default, as `dataclasses.field` has it too.
    """
    in_demo = default if hosted is None else hosted
    return field(default=default, metadata={"meaning": meaning, "hosted": in_demo, "words": words})


@dataclass(frozen=True, slots=True)
class Settings:
    """What holds for every visitor."""

    store: Path = _setting(DEMO_STORE, "the result store to show")  # noqa: RUF009
    bundle: str = _setting(
        "",
        "a bundle to show instead: a folder, a file, an http(s) address, or "
        "hf://datasets/USER/NAME@REVISION",
    )
    bundle_sha256: str = _setting(
        "", "the bundle's fingerprint, as `bundle` printed it; an http(s) address needs it"
    )
    bundle_max_mb: int = _setting(500, "largest bundle that is opened, in MB, packed or unpacked")
    hosted: bool = _setting(False, "visitors are strangers: only the models named, tighter limits")
    models: tuple[str, ...] = _setting(
        (BUNDLED_MODEL,), "models to offer, as `--model` names them; the bundled model is first"
    )
    real_model: bool = _setting(
        True, "offer SmolLM2-135M-Instruct before them, where its package is installed"
    )
    cache: str = _setting(
        "", "where converted GGUF models lie (default: the platform's folder for caches)"
    )
    quantize: str = _setting(
        "",
        "hold models in fewer bits, `8bit` or `4bit`, except the two that come with QKScope",
        words=("8bit", "4bit"),
    )
    max_characters: int = _setting(
        100_000, "longest puzzle that can be typed, all fields together", hosted=4_000
    )
    max_tokens: int = _setting(
        100_000, "longest prompt that is scored, if the model takes as many", hosted=1_024
    )
    max_variants: int = _setting(200, "what-if variants of one puzzle", hosted=40)
    max_seconds: int = _setting(600, "longest that one scoring may take, in seconds", hosted=30)
    max_waiting: int = _setting(
        16, "visitors who may wait in line; the next is told that the demo is busy", hosted=8
    )
    per_minute: int = _setting(600, "scorings a minute that one visitor may ask for", hosted=20)
    embed: tuple[str, ...] = _setting(
        (), "sites that may show the dashboard inside their pages, as origins"
    )
    source: str = _setting(
        "", "where the source and its docs are read, as an address; linked on every page"
    )
    sign_in: tuple[str, ...] = _setting(
        (), "who may come in, by e-mail address or @domain; * is anyone who can sign in"
    )

    def offers(self, model: str) -> bool:
        """Whether a visitor may have this model scored.

        Asked again where it is loaded, whatever a page has offered.
        """
        return not self.hosted or model in self.offered

    def quantised(self, model: str) -> str | None:
        """In how many bits a model is held, as `--quantize` has it; None for whole weights."""
        is_bundled = model in (BUNDLED_MODEL, REAL_MODEL)
        return None if is_bundled or not self.quantize else self.quantize

    @property
    def offered(self) -> tuple[str, ...]:
        """The models to offer, the first one first."""
        has_real = self.real_model and real_model() is not None
        return (REAL_MODEL, *self.models) if has_real else self.models

    def offered_as(self, model: str) -> str | None:
        """The model to offer that a run calls by this name; None where none is."""
        return next((one for one in self.offered if model in names_of(one)), None)


def settings() -> Settings:
    """The settings, read anew each time: a test or an operator may change them.

    Raises:
        SettingsError: for a name that is no setting, or a value that is none for it.
    """
    given = _from_file() | _from_environment(os.environ)
    if given.get("hosted"):
        given = {one.name: one.metadata["hosted"] for one in fields(Settings)} | given
    return Settings(**given)


def told(path: Path) -> str:
    """A file or folder as Python and commands on a page name it.

    One of ours from QKScope's own folder where the dashboard was started there, any other in full.
    A hosted demo does not tell where its files are.
    """
    is_hosted = settings().hosted
    if path.is_relative_to(ROOT) and (is_hosted or Path.cwd() == ROOT):
        return str(path.relative_to(ROOT))
    return path.name if is_hosted else str(path)


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    known = {f"QKSCOPE_{one.name.upper()}": one for one in fields(Settings)}
    for name in environment:
        if not name.startswith("QKSCOPE_") or name in known:
            continue
        # A switch that is misspelt must not leave a demo open; names that resemble none are
        # somebody else's.
        if near := difflib.get_close_matches(name, known, n=1, cutoff=0.9):
            raise SettingsError(f"{name} is no setting; did you mean {near[0]}?")
    return {
        one.name: _value(one, environment[name], name)
        for name, one in known.items()
        if environment.get(name)
    }


def _from_file() -> dict[str, Any]:
    named = os.environ.get("QKSCOPE_SETTINGS")
    path = Path(named or SETTINGS_FILE)
    if not named and not path.is_file():
        return {}
    try:
        rows = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(
            f"the settings file {path} cannot be read ({error}); see docs/hosting.md"
        ) from None
    known = {one.name: one for one in fields(Settings)}
    for name in rows.keys() - known.keys():
        near = difflib.get_close_matches(name, known, n=1) or sorted(known)
        raise SettingsError(f"{path}: {name!r} is no setting; did you mean {' or '.join(near)}?")
    return {
        name: _value(known[name], value, f"{name} in {path}")
        for name, value in rows.items()
        if value != ""
    }


def _value(one: Field[Any], given: object, where: str) -> object:
    """The value of a field from a word of the environment, or from TOML."""
    default: object = one.default
    text = given.strip() if isinstance(given, str) else given
    if isinstance(default, bool):
        value = SWITCH.get(str(text).lower())
        if value is None:
            raise SettingsError(f"{where} is {given!r}; write true or false")
        return value
    if isinstance(default, int):
        if isinstance(text, bool) or not str(text).isdecimal() or int(str(text)) < 1:
            raise SettingsError(f"{where} is {given!r}; write a whole number from 1 up")
        return int(str(text))
    if isinstance(default, tuple):
        parts = text.split(",") if isinstance(text, str) else text
        if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
            raise SettingsError(f"{where} is {given!r}; write texts, separated by commas")
        named = tuple(filter(None, map(str.strip, parts)))
        return tuple(dict.fromkeys((*default, *named)))  # what is there by default stays first
    if not isinstance(text, str):
        raise SettingsError(f"{where} is {given!r}; write a text in quotes")
    if (words := one.metadata["words"]) and text not in words:
        raise SettingsError(f"{where} is {given!r}; write {' or '.join(words)}")
    return Path(text) if isinstance(default, Path) else text
