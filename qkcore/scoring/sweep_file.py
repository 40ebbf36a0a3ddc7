"""A sweep's file: models, puzzle sets and readings, in TOML, read and checked.

Whatever is wrong is said with file and key before anything is scored. Paths are as seen from the
file's own folder. Knows no store, and loads no model.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from qkcore import InputError
from qkcore.asking.readings import ROPES
from qkcore.bundled import REAL_MODEL
from qkcore.puzzles.puzzle import Puzzle, load_puzzles, puzzle_set_sha256
from qkcore.puzzles.twin import parent_of
from qkcore.scoring.recipe import Recipe
from qkcore.wording import short_names

Value = TypeVar("Value")

KEYS: dict[str, type] = {
    "models": list, "puzzles": list, "rope": list, "lens": bool, "twins": bool, "scores": str,
    "template": str, "engine": str, "address": str, "workers": int, "gpus_per_model": float,
}  # fmt: skip
MODEL_KEYS: dict[str, type] = {
    "model": str, "dtype": str, "quantize": str, "device": str, "chat": bool
}  # fmt: skip
SET_KEYS: dict[str, type] = {"file": str, "name": str}
RAYS = {"address", "workers", "gpus_per_model"}
# What a key may say, where that is a closed list.
WORDS = {
    "rope": ROPES,
    "scores": ("float32", "float16"),
    "engine": ("local", "ray"),
    "dtype": ("float32", "bfloat16", "float16"),
    "quantize": ("8bit", "4bit"),
}
KINDS = {list: "a list", bool: "true or false", str: "a text", int: "a number", float: "a number"}


@dataclass(frozen=True, slots=True)
class ListedModel:
    """A model of the list."""

    where: str  # file and entry, for sentences
    label: str  # short, with the settings that the entry states
    recipe: Recipe


@dataclass(frozen=True, slots=True)
class ListedSet:
    """A puzzle set of the list, or a twin that is made for one."""

    where: str
    name: str
    path: Path
    puzzles: Sequence[Puzzle] = field(repr=False)
    sha256: str
    is_new: bool = False  # a twin whose file is still to be written


@dataclass(frozen=True, slots=True)
class SweepFile:
    """All that a file asks for: every model on every set in every reading."""

    path: Path
    models: Sequence[ListedModel]
    sets: Sequence[ListedSet]
    ropes: Sequence[str] = ("pre",)
    lens: bool = False
    twins: bool = False
    scores: str = "float32"
    engine: str = "local"
    address: str | None = None
    workers: int | None = None
    gpus_per_model: float = 0


def read_sweep(path: Path) -> SweepFile:
    """Read a sweep's file and the puzzle files that it names.

    Raises:
        InputError: naming file and key of the first thing that is wrong.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror or error}); check the path"
        ) from None
    except ValueError as error:  # of TOML, and of bytes that are no UTF-8
        raise InputError(f"{path}: is no TOML: {error}") from None
    _check(table, KEYS, str(path))
    try:
        Recipe("", template=table.get("template")).plain()
    except InputError as error:
        _refuse(f"{path}: template", str(error))
    if table.get("engine") != "ray" and (of_ray := RAYS & set(table)):
        _refuse(f"{path}: {min(of_ray)}", 'is for engine = "ray"; add that, or leave it out')
    given = {
        name: table[name] for name in table if name not in ("models", "puzzles", "rope", "template")
    }
    ropes = tuple(_listed(table.get("rope", ["pre"]), f"{path}: rope"))
    for rope in ropes:
        _check({"rope": rope}, {"rope": str}, str(path))
    return SweepFile(
        path,
        _models(_listed(table.get("models"), f"{path}: models"), path, table.get("template")),
        _sets(_listed(table.get("puzzles"), f"{path}: puzzles"), path),
        ropes,
        **given,
    )


def _models(entries: Sequence[object], path: Path, template: str | None) -> list[ListedModel]:
    tables = _tables(entries, MODEL_KEYS, "model", f"{path}: models")
    names = short_names([table["model"] for table in tables.values()])
    found: list[ListedModel] = []
    for where, table in tables.items():
        stated = [str(table[name]) for name in ("dtype", "quantize", "device") if name in table]
        label = ", ".join([names[table["model"]], *stated, *["chat"] * table.get("chat", False)])
        settings = {name: value for name, value in table.items() if name != "model"}
        recipe = Recipe(_located(table["model"], path, where), template=template, **settings)
        if recipe in [one.recipe for one in found]:
            _refuse(where, "is listed already, with the same settings; leave it out")
        found.append(ListedModel(where, label, recipe))
    return found


def _located(model: str, path: Path, where: str) -> str:
    """A model's name as `load_model` takes it: a path is seen from the file's folder."""
    inside = path.parent / Path(model).expanduser()
    if inside.exists():
        return str(inside)
    is_gguf, has_file = model.lower().endswith(".gguf"), ":" in model
    looks_local = model.startswith((".", "/", "~")) or model.count("/") > 1
    if model != REAL_MODEL and (looks_local or is_gguf) and not (is_gguf and has_file):
        _refuse(where, f"there is no {model} (looked for {inside}); check the path")
    return model


def _sets(entries: Sequence[object], path: Path) -> list[ListedSet]:
    found: list[ListedSet] = []
    for where, table in _tables(entries, SET_KEYS, "file", f"{path}: puzzles").items():
        file = path.parent / Path(table["file"]).expanduser()
        try:
            puzzles = load_puzzles(file)
            parent_of(puzzles)  # one, or none
        except InputError as error:
            _refuse(where, str(error))
        name = table.get("name", file.stem)
        if name in [one.name for one in found]:
            _refuse(where, f'a set named {name!r} is listed already; give it another name = "..."')
        if unanswered := [one.puzzle_id for one in puzzles if one.answer is None]:
            _refuse(
                where, f"{file}: puzzle {unanswered[0]!r} has no answer; give it, or leave it out"
            )
        found.append(ListedSet(where, name, file, puzzles, puzzle_set_sha256(puzzles)))
    return found


def _tables(
    entries: Sequence[object], keys: Mapping[str, type], main: str, where: str
) -> dict[str, dict[str, Any]]:
    """Each entry as a table, by file and key: a text stands for a table with the main key only."""
    found: dict[str, dict[str, Any]] = {}
    for number, entry in enumerate(entries, start=1):
        at = f"{where}, entry {number}"
        table = {main: entry} if isinstance(entry, str) else entry
        if not isinstance(table, dict) or main not in table:
            _refuse(at, f'write a text, or a table with {main} = "..."')
        _check(table, keys, at)
        found[at] = table
    return found


def _check(table: Mapping[str, Any], keys: Mapping[str, type], where: str) -> None:
    """Refuse keys that are not known, and values that are of another kind or no known word."""
    for name, value in table.items():
        if name not in keys:
            _refuse(where, f"unknown key {name!r}; known are {', '.join(keys)}")
        kind = keys[name]
        kinds = (int, float) if kind is float else (kind,)
        if not isinstance(value, kinds) or (isinstance(value, bool) and kind is not bool):
            _refuse(f"{where}: {name}", f"is {value!r}; write {KINDS[kind]}")
        if isinstance(value, str) and value not in (words := WORDS.get(name, (value,))):
            _refuse(f"{where}: {name}", f"{value!r} is not known; use one of {', '.join(words)}")


def _listed(entries: Sequence[Value] | None, where: str) -> Sequence[Value]:
    if not entries:
        _refuse(where, "is missing or empty; list at least one")
    return entries


def _refuse(where: str, why: str) -> NoReturn:
    raise InputError(f"{where}: {why}")
