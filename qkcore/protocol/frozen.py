"""The frozen protocol as data: a TOML file of this package, read whole or refused.

Knows nothing of puzzles, models or stores. A protocol is never changed; the next one is a file of
its own with the next number.
"""

import hashlib
import tomllib
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Any

VERSION = 1


@dataclass(frozen=True, slots=True)
class Published:
    """A set as its authors publish it."""

    name: str
    format: str  # as `qkscope import` calls it
    files: str  # pattern, looked for in a folder and all below it


@dataclass(frozen=True, slots=True)
class Ablation:
    """Which chosen heads are switched off, and beside how many."""

    sets: tuple[str, ...]
    kind: str
    n_heads: int
    n_controls: int
    n_test: int  # puzzles at most


@dataclass(frozen=True, slots=True)
class ClaimRules:
    """What the claims are held against."""

    hard_steps: int = 5
    hard_distractors: int = 5
    up_to: float = 0.14  # share
    matters: float = 0.05  # a difference of less, as a share, is taken for nothing


@dataclass(frozen=True, slots=True)
class Protocol:
    """All that decides which puzzles are asked, and how."""

    version: int
    seed: int
    reading: str
    template: str
    n_validation: int
    published: tuple[Published, ...]
    n_published: int  # test puzzles of a published set or twin, at most
    has_twins: bool
    per_context: int
    styles: tuple[str, ...]
    steps: tuple[int, int]  # first, last
    distractors: tuple[int, int]
    n_generated: int  # test puzzles of a style
    lens: tuple[str, ...]
    ablation: Ablation
    claims: ClaimRules
    one_in: int  # of the puzzles, for a quick one
    is_quick: bool
    text: str  # the file's

    @property
    def sha256(self) -> str:
        """Hex digest of the file."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def name(self) -> str:
        """As people call it.

        >>> the_protocol().name, the_protocol(is_quick=True).name
        ('protocol 1', 'protocol 1, quick (1 in 10)')
        """
        quick = f", quick (1 in {self.one_in})" if self.is_quick else ""
        return f"protocol {self.version}{quick}"


def the_protocol(is_quick: bool = False) -> Protocol:
    """The newest protocol, or its quick tenth.

    >>> the_protocol().n_validation, the_protocol(is_quick=True).n_validation
    (600, 60)
    """
    text = files("qkcore.protocol").joinpath(f"protocol-{VERSION}.toml").read_text("utf-8")
    whole = _read(text)
    return _quick(whole) if is_quick else whole


def _read(text: str) -> Protocol:
    row: dict[str, Any] = tomllib.loads(text)
    published, generated, ablation = row["published"], row["generated"], row["ablation"]
    return Protocol(
        version=row["version"],
        seed=row["seed"],
        reading=row["reading"],
        template=row["template"],
        n_validation=row["validation"]["puzzles"],
        published=tuple(Published(**one) for one in published["sets"]),
        n_published=published["test"],
        has_twins=published["twins"],
        per_context=published["per_context"],
        styles=tuple(generated["styles"]),
        steps=tuple(generated["steps"]),
        distractors=tuple(generated["distractors"]),
        n_generated=generated["test"],
        lens=tuple(row["lens"]["sets"]),
        ablation=Ablation(
            tuple(ablation["sets"]),
            ablation["kind"],
            ablation["heads"],
            ablation["controls"],
            ablation["test"],
        ),
        claims=ClaimRules(**row["claims"]),
        one_in=row["quick"]["one_in"],
        is_quick=False,
        text=text,
    )


def _quick(whole: Protocol) -> Protocol:
    one_in = whole.one_in
    return replace(
        whole,
        n_validation=whole.n_validation // one_in,
        n_published=whole.n_published // one_in,
        n_generated=whole.n_generated // one_in,
        ablation=replace(whole.ablation, n_test=whole.ablation.n_test // one_in),
        is_quick=True,
    )
