"""docs/api.md, from the docstrings of the public names: python -m tests.api_page > docs/api.md."""

import ast
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

import qkcore

ROOMS = {
    "puzzles": "Puzzles",
    "asking": "Asking",
    "attention": "Models",
    "scoring": "Scoring",
    "statistics": "Statistics",
    "results": "Results",
    "charts": "Charts",
    "reports": "Reports",
    "sharing": "Sharing",
}
ELSEWHERE = {"bundled_model": "Models", "demo_store": "Results"}
ERRORS = "Errors"
HEAD = """# Public names

Generated from the docstrings by `python -m tests.api_page`. All of these come from `qkcore` itself,
such as `from qkcore import load_model`, and are loaded when they are first used: reading results
never loads torch. Tables are pandas DataFrames, charts are Altair charts;
[notebook.md](notebook.md) puts them together. Every example runs as it stands, in any folder: it
uses the model and the store that come with QKScope.

"""
SECTION = re.compile(r"(Args|Returns|Raises):\n")
CONSTANT = re.compile(r"\b[A-Z][A-Z_]+\b")


def page() -> str:
    """The whole page."""
    names = names_by_room()
    index = [f"- {room}: {', '.join(map(_link, names[room]))}" for room in names]
    rooms = ["\n\n".join([f"## {room}", *map(entry, names[room])]) for room in names]
    return HEAD + "\n".join(index) + "\n\n" + "\n\n".join(rooms) + "\n"


def names_by_room() -> dict[str, list[str]]:
    """The public names of each room, rooms from puzzles to errors, names by the alphabet."""
    names: dict[str, list[str]] = {room: [] for room in (*ROOMS.values(), ERRORS)}
    for name in sorted(qkcore.__all__, key=str.lower):
        if not name.startswith("__"):
            names[_room(name)].append(name)
    return names


def _room(name: str) -> str:
    value = getattr(qkcore, name)
    if isinstance(value, type) and issubclass(value, Exception):
        return ERRORS
    return ELSEWHERE.get(name) or ROOMS[value.__module__.split(".")[1]]


def _link(name: str) -> str:
    return f"[{name}](#{name.lower()})"


def entry(name: str) -> str:
    """A name's signature, text, arguments, methods and example."""
    value = getattr(qkcore, name)
    text, _, example = inspect.getdoc(value).partition(">>>")
    head, *sections = SECTION.split(text)
    parts = [f"### {name}", _fenced(signature(value)), _joined(head)]
    parts += map(_section, sections[::2], sections[1::2])
    parts += filter(None, [_constants(value, parts[1] + text), "\n".join(_methods(value))])
    return "\n\n".join([*parts, _fenced(f">>>{example}".rstrip())])


def signature(value: Callable) -> str:
    """A function's first lines, or a class's and its fields, as they stand in the source."""
    source = inspect.getsource(value)
    (node,) = ast.parse(source).body
    lines, docstring = source.splitlines(), node.body[0]
    head = lines[node.lineno - 1 : docstring.lineno - 1]
    fields = [one for one in node.body if isinstance(one, ast.AnnAssign)]
    if isinstance(node, ast.FunctionDef) or not fields:
        return "\n".join(head).removesuffix(":")
    return "\n".join([*head, *filter(None, lines[docstring.end_lineno : fields[-1].end_lineno])])


def _constants(value: Callable, text: str) -> str:
    """What the constants that the signature or the text names stand for.

    >>> _constants(qkcore.export, "not in `FORMATS`, nor CSV")
    "`FORMATS`: 'csv', 'parquet'."
    """
    known = vars(sys.modules[value.__module__])
    named = dict.fromkeys(name for name in CONSTANT.findall(text) if name in known)
    return " ".join(f"`{name}`: {_in_words(known[name])}." for name in named)


def _in_words(value: Any) -> str:
    """A default as people read it.

    >>> _in_words({"a": 1, "b": 2}), _in_words(4096)
    ("'a', 'b'", '4,096')
    """
    if isinstance(value, int):
        return f"{value:,}"
    return ", ".join(map(repr, value)) if isinstance(value, (dict, tuple)) else repr(value)


def _methods(value: Callable) -> Iterator[str]:
    """A line for each public method and property of a class, those of its bases in qkcore too."""
    for base in getattr(value, "__mro__", ()):
        if not base.__module__.startswith("qkcore") or issubclass(base, Exception):
            continue
        for name, method in vars(base).items():
            is_called = callable(method) or isinstance(method, (classmethod, staticmethod))
            is_property = isinstance(method, property)
            if name.startswith("_") or not (is_called or is_property):
                continue  # a field's default among them
            if not (summary := inspect.getdoc(getattr(value, name))):
                continue
            call = _call(getattr(value, name)) if is_called else ""
            yield f"- `{name}{call}`: {_joined(summary).splitlines()[0]}"


def _call(method: Callable) -> str:
    """A method's arguments without their types.

    >>> _call(qkcore.ResultStore.chance)
    '(run_id, split, steps=None, distractors=None)'
    """
    found = inspect.signature(method)
    bare = [
        one.replace(annotation=inspect.Parameter.empty)
        for name, one in found.parameters.items()
        if name != "self"
    ]
    return str(inspect.Signature(bare))


def _section(title: str, text: str) -> str:
    r"""Arguments and errors one by one, what is returned as a paragraph.

    >>> _section("Args", "    n: how many,\n        at most.\n    k, m: others.\n").splitlines()
    ['Args:', '- `n`: how many, at most.', '- `k, m`: others.']
    """
    if title == "Returns":
        return f"Returns: {_joined(text)}"
    entries = re.split(r"^    (?=\S)", text, flags=re.MULTILINE)[1:]
    named = (one.partition(": ") for one in entries)
    return "\n".join([f"{title}:", *(f"- `{name}`: {_joined(rest)}" for name, _, rest in named)])


def _joined(text: str) -> str:
    """Each paragraph on one line."""
    return "\n\n".join(" ".join(one.split()) for one in text.strip().split("\n\n"))


def _fenced(code: str) -> str:
    return f"```python\n{code}\n```"


if __name__ == "__main__":
    print(page(), end="")
