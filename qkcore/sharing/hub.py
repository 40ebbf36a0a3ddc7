"""Data sets on the Hugging Face hub: their addresses, and files of theirs at a revision.

Through huggingface_hub, so the hub's own settings hold (HF_ENDPOINT, HF_HUB_OFFLINE, HF_HOME), its
cache keeps what came by revision and hash, and its token opens what is private. Knows nothing of
what is in the files.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from qkcore import InputError

NAME = r"\w(?:[\w.-]*\w)?"  # of a user or a data set
ADDRESS = re.compile(rf"hf://datasets/({NAME}/{NAME})(?:@([\w./-]+))?/?", re.ASCII)
PINNED = re.compile(r"[0-9a-f]{40}")  # what a commit is called


class HubError(InputError):
    """What the hub does not give or take; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class HubAddress:
    """A data set on the hub, at a revision or, without one, as it is now."""

    name: str  # USER/NAME
    revision: str = ""

    def __str__(self) -> str:
        """As people write it."""
        return f"hf://datasets/{self.name}" + (f"@{self.revision}" if self.revision else "")

    @property
    def is_pinned(self) -> bool:
        """Whether it will be the same tomorrow: a branch or a tag can be moved."""
        return PINNED.fullmatch(self.revision) is not None

    def at(self, revision: str) -> "HubAddress":
        """The same data set at another revision."""
        return HubAddress(self.name, revision)


def is_on_hub(source: str) -> bool:
    """Whether this means to be an address on the hub.

    >>> is_on_hub("hf://datasets/ann/results"), is_on_hub("results.zip")
    (True, False)
    """
    return source.lower().startswith("hf://")


def hub_address(source: str) -> HubAddress:
    """The address that this text is.

    Raises:
        HubError: when it is none.

    >>> hub_address("hf://datasets/ann/results@main")
    HubAddress(name='ann/results', revision='main')
    """
    found = ADDRESS.fullmatch(source)
    if found is None:
        raise HubError(
            f"{source} is no data set on the Hugging Face hub; write hf://datasets/USER/NAME or "
            "hf://datasets/USER/NAME@REVISION"
        )
    return HubAddress(found[1], found[2] or "")


def fetch_from_hub(source: str, names: Sequence[str], max_bytes: int, is_pinned: bool) -> Path:
    """Fetch files of a data set, all of one revision, or take them from the cache.

    Args:
        source: hf://datasets/USER/NAME@REVISION.
        names: of the files.
        max_bytes: of each.
        is_pinned: whether something else says what they must be; else the revision must be a
            commit's whole name.

    Returns:
        The folder that they are in; it holds what of the data set was ever asked for.

    Raises:
        HubError: when it is no address or not pinned (the sentence says how it would be), or a file
            cannot be had.
    """
    from huggingface_hub import (
        constants,
        get_hf_file_metadata,
        hf_hub_download,
        hf_hub_url,
        try_to_load_from_cache,
    )

    address = hub_address(source)
    if not address.is_pinned:
        now = address.at(revision_of(address))
        if not is_pinned:
            raise HubError(
                f"what {address} is may change; write {now}, which it is today, or give the "
                "bundle's fingerprint"
            )
        address = now
    paths = []
    with said(address):
        for name in names:
            kind, at = "dataset", address.revision
            kept = try_to_load_from_cache(address.name, name, repo_type=kind, revision=at)
            if not isinstance(kept, str):
                url = hf_hub_url(
                    address.name, name, repo_type=kind, revision=at, endpoint=constants.ENDPOINT
                )
                size = get_hf_file_metadata(url).size or 0
                if size > max_bytes:
                    raise HubError(
                        f"{name} of {address} is larger than {max_bytes / 1e6:,.0f} MB; allow "
                        "more, or offer fewer runs"
                    )
                kept = hf_hub_download(
                    address.name, name, repo_type=kind, revision=at, endpoint=constants.ENDPOINT
                )
            paths.append(Path(kept))
    return paths[0].parent


def revision_of(address: HubAddress) -> str:
    """The commit that an address is at now.

    Raises:
        HubError: when the hub does not say.
    """
    from huggingface_hub import HfApi, constants

    with said(address):
        info = HfApi(endpoint=constants.ENDPOINT).dataset_info(
            address.name, revision=address.revision or None
        )
    return str(info.sha)


@contextmanager
def said(address: HubAddress) -> Iterator[None]:
    """Whatever the hub's client raises becomes one sentence about this address."""
    try:
        yield
    except HubError:
        raise
    except Exception as error:  # of whichever HTTP library the hub's client stands on
        raise HubError(
            f"{address}: {reason_of(error)}; check the address, the network and, where it is "
            "private, your token (`hf auth login`, or HF_TOKEN)"
        ) from error


def status_of(error: Exception) -> int | None:
    """The status that the hub answers with; None where it does not answer."""
    return getattr(getattr(error, "response", None), "status_code", None)


def reason_of(error: Exception) -> str:
    r"""What the hub's client says is wrong, in a line without addresses.

    >>> reason_of(ValueError("Cannot reach https://example.org/x?y: no network.\nMore."))
    'Cannot reach the hub: no network'
    """
    response = getattr(error, "response", None)
    if response is not None:
        return f"the hub answers {response.status_code} {response.reason_phrase}".strip()
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return re.sub(r"https?://[^\s)]*[^\s):.,;]", "the hub", lines[0]).rstrip(" .;:")
