"""The table of settings in docs/hosting.md, from the settings themselves.

python -m tests.pages.settings_table
"""

from dataclasses import Field, fields

from pages.server.settings import ROOT, Settings


def rows() -> list[str]:
    """Lines of Markdown."""
    head = [
        "| in the file | in the environment | default | when hosted | what it is for |",
        "| --- | --- | --- | --- | --- |",
    ]
    return head + [_row(one) for one in fields(Settings)]


def _row(one: Field) -> str:
    hosted = one.metadata["hosted"]
    tighter = "" if hosted == one.default else _shown(hosted)
    name = f"QKSCOPE_{one.name.upper()}"
    return (
        f"| `{one.name}` | `{name}` | {_shown(one.default)} | {tighter} | "
        f"{one.metadata['meaning']} |"
    )


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        value = ", ".join(value)
    if isinstance(value, bool):
        value = str(value).lower()
    return f"`{str(value).removeprefix(f'{ROOT}/')}`" if value != "" else ""


if __name__ == "__main__":
    print("\n".join(rows()))
