"""One file from an address that the person who runs QKScope has set.

Bounded in size and time, http(s) only. Nothing that a visitor types comes here
(tests/pages/test_security.py).
"""

import re
import time
from http.client import HTTPException  # noqa: TID251 -- this file is the one that asks
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import urlopen  # noqa: TID251 -- this file is the one that asks

from qkcore import InputError

SECONDS_OF_SILENCE = 30
SECONDS_IN_ALL = 600


class FetchError(InputError):
    """A file that could not be fetched; the message says why and what to do."""


def is_address(source: str) -> bool:
    """Whether this names a place in the network rather than a file.

    >>> [is_address(one) for one in ("https://example.org/b.zip", "file:///etc/passwd", "b.zip")]
    [True, False, False]
    """
    return re.match(r"https?://", source, flags=re.IGNORECASE) is not None


def shown_address(address: str) -> str:
    """An address without what may be secret in it.

    >>> shown_address("https://ann:pw@example.org/b.zip?token=1")
    'https://example.org/b.zip'
    """
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def fetch(address: str, path: Path, max_bytes: int) -> None:
    """Write what is at the address to the path.

    Raises:
        FetchError: when nobody answers, the answer is an error, takes too long or is larger than
            allowed.
    """
    name = shown_address(address)
    give_up_at = time.monotonic() + SECONDS_IN_ALL
    try:
        with (
            # Whoever calls has made sure that it is http(s), by `is_address`.
            urlopen(address, timeout=SECONDS_OF_SILENCE) as answer,  # noqa: S310
            path.open("wb") as file,
        ):
            n_bytes = 0
            while chunk := answer.read(1 << 20):
                n_bytes += len(chunk)
                if n_bytes > max_bytes:
                    raise FetchError(
                        f"{name} is larger than {max_bytes / 1e6:,.0f} MB; allow more, or offer a "
                        "smaller file"
                    )
                if time.monotonic() > give_up_at:
                    raise FetchError(
                        f"{name} took longer than {SECONDS_IN_ALL} s; fetch it by hand and name "
                        "the file instead"
                    )
                file.write(chunk)
    except HTTPError as error:
        raise FetchError(f"{name} answers {error.code} {error.reason}; check the address") from None
    except (URLError, HTTPException, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        raise FetchError(
            f"{name} does not answer ({reason}); check the address and the network"
        ) from None
