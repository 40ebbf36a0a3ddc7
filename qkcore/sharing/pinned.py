"""Published puzzle sets as sets.toml pins them: where their files are, and which bytes they have.

Of some files all bytes are known, of some how they begin and how many lines or examples they have,
and of a few only the revision they are at. Knows nothing of the network.
"""

import hashlib
import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from qkcore import InputError

MANIFEST = Path(__file__).with_name("sets.toml")
# How a file was checked. A beginning alone says nothing of the rest, and a copy is at no revision.
WHOLE, SAMPLE = "by whole hash", "as a sample, by its whole hash"
BEGINNING_AND_REVISION, REVISION = "by beginning and revision", "by revision alone"
BEGINNING, NOT_CHECKED = "by beginning alone", "not checked"
HOWS = (WHOLE, SAMPLE, BEGINNING_AND_REVISION, REVISION, BEGINNING, NOT_CHECKED)


class SetsError(InputError):
    """A published set that cannot be had; the message says which file, and what to do."""


@dataclass(frozen=True, slots=True)
class PinnedFile:
    """A file of a set, and what is known of it."""

    path: str  # below the set's folder
    address: str
    sha256: str = ""  # "" where nothing is known of its bytes
    n_bytes: int = 0  # of the first so many bytes; 0: not of those
    n_examples: int = 0  # of the first so many examples; 0: not of those
    n_all: int = 0  # examples or lines of the whole file; 0: not known
    sample_sha256: str = ""  # of a file that holds the first examples alone; "": not known

    def how(self, content: bytes, is_fetched: bool) -> str:
        """How a file that passed `check` is known to be this one.

        Args:
            content: its bytes.
            is_fetched: whether they came from the address, which has a revision, and not by way of
                a copy.
        """
        if not self.sha256:
            return REVISION if is_fetched else NOT_CHECKED
        if not (self.n_bytes or self.n_examples):
            return WHOLE
        if self.is_sample(content):
            return SAMPLE
        return BEGINNING_AND_REVISION if is_fetched else BEGINNING

    def is_sample(self, content: bytes) -> bool:
        """Whether there is no more in the file than what its hash is of, though there should be."""
        if self.n_examples:
            return self._count(content) == self.n_examples
        return 0 < self.n_bytes == len(content)

    def check(self, content: bytes, name: str, what_to_do: str = "delete it") -> None:
        """Make sure that these are the file's bytes, as far as they are known.

        Args:
            content: all bytes of a file.
            name: what people call it.
            what_to_do: where they are not.

        Raises:
            SetsError: when they are not; names file, expected and found.

        >>> one = hashlib.sha256(b"one").hexdigest()
        >>> PinnedFile("a.json", "", one, n_bytes=3).check(b"one, two", "a.json")
        """
        if not self.sha256:
            return
        wrong = f"{name} is not the file that is pinned"
        found = _sha256_of(content, self.n_bytes, self.n_examples)
        if found != self.sha256:
            part = f" of its first {self.n_bytes:,} bytes" if self.n_bytes else ""
            part = f" of its first {self.n_examples} examples" if self.n_examples else part
            raise SetsError(
                f"{wrong}: the SHA-256{part} should be {self.sha256} and is "
                f"{found or 'none, for it is no JSON'}; {what_to_do}"
            )
        if self.is_sample(content):
            whole = hashlib.sha256(content).hexdigest()
            if whole != (self.sample_sha256 or whole):
                raise SetsError(
                    f"{wrong}, nor its sample: the SHA-256 of the sample should be "
                    f"{self.sample_sha256} and is {whole}; {what_to_do}"
                )
        elif self.n_all and (count := self._count(content)) != self.n_all:
            what = "examples" if self.n_examples else "lines"
            raise SetsError(
                f"{wrong}, nor its sample: it begins alike, and has {count:,} {what} where the "
                f"published file has {self.n_all:,}; {what_to_do}"
            )

    def _count(self, content: bytes) -> int:
        """How many examples a file has, or else lines that are not empty."""
        if self.n_examples:
            return len(json.loads(content))
        return sum(bool(line.strip()) for line in content.split(b"\n"))


def _sha256_of(content: bytes, n_bytes: int, n_examples: int) -> str:
    """Of all bytes, the first few, or the first few examples; "" where there are no examples.

    >>> _sha256_of(b'{"b": 1, "a": 2}', 0, 1) == hashlib.sha256(b'{"b":1}').hexdigest()
    True
    """
    if n_examples:
        try:
            examples = dict(list(json.loads(content).items())[:n_examples])
        except (ValueError, AttributeError, RecursionError):
            return ""
        content = json.dumps(examples, sort_keys=True, separators=(",", ":")).encode()
    return hashlib.sha256(content[: n_bytes or None]).hexdigest()


@dataclass(frozen=True, slots=True)
class PinnedSet:
    """A published set."""

    name: str  # of its folder
    title: str
    format: str  # as `qkscope import` names it
    address: str  # where its files are, with their revision
    licence: str
    credit: str  # a sentence that what is published of it must carry; "": none
    files: tuple[PinnedFile, ...]


def pinned_sets(manifest: Path = MANIFEST) -> tuple[PinnedSet, ...]:
    """The sets of a manifest, in its order.

    >>> [(one.name, len(one.files)) for one in pinned_sets()]
    [('prontoqa_ood', 12), ('pararule_plus', 5), ('multi_logieval', 39)]
    """
    rows = tomllib.loads(manifest.read_text(encoding="utf-8"))["sets"]
    return tuple(_pinned_set(row) for row in rows)


def _pinned_set(row: dict[str, Any]) -> PinnedSet:
    files = tuple(
        PinnedFile(
            path,
            f"{row['address']}/{quote(known.get('at') or _below(row['folder'], path))}",
            known.get("sha256", ""),
            known.get("bytes", 0),
            known.get("examples", 0),
            known.get("of", 0),
            known.get("sample", ""),
        )
        for path, known in row["files"].items()
    )
    said = {name: row[name] for name in ("name", "title", "format", "address", "licence")}
    return PinnedSet(**said, credit=row.get("credit", ""), files=files)


def _below(folder: str, path: str) -> str:
    return f"{folder}/{path}" if folder else path
