"""Tests mirror the folders they are about."""

from pathlib import Path

ROOT = Path(__file__).parents[1]


def files_of(*patterns: str) -> list[Path]:
    """The project's files that match, sorted.

    Fails where a pattern matches none: what a test says of files must not come true because they
    have moved.
    """
    found = {pattern: sorted(ROOT.glob(pattern)) for pattern in patterns}
    assert all(found.values()), [pattern for pattern in found if not found[pattern]]
    return [path for paths in found.values() for path in paths if path.is_file()]
