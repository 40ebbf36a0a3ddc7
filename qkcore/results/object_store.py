"""Files at an object store's address, such as s3://bucket/prefix, as parts of runs need them.

An object is there whole or not at all, and a listing shows what was written before it: so object
stores promise. One that does not answer is asked again, with growing waits, and a sentence says so.
Through pyarrow's file systems, or fsspec's where pyarrow has none. Knows nothing of parts or runs.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, TypeVar
from urllib.parse import urlsplit, urlunsplit

from qkcore import InputError

# Seconds between two tries: eleven minutes in all, beside what the tries themselves take.
WAITS = (1, 2, 4, 8, 15, 30, *[60] * 10)
# What waiting does not change, in the words of stores' errors.
FINAL = (
    *"ACCESS_DENIED NO_SUCH_BUCKET INVALID_ACCESS_KEY_ID SIGNATURE_DOES_NOT_MATCH".split(),
    *"INVALID_BUCKET_NAME EXPIRED_TOKEN PERMISSION_DENIED UNAUTHENTICATED".split(),
    *("HTTP status 401", "HTTP status 403", "bucket does not exist"),
)
# What pyarrow would do otherwise: ask twice to write one object, and be silent for a quarter hour.
SETTINGS = {
    "s3": "allow_delayed_open=true",
    "gs": "retry_limit_seconds=10",
    "gcs": "retry_limit_seconds=10",
}
FLAT = ("s3", "gcs", "abfs")  # pyarrow's stores that need no folder to put something in

T = TypeVar("T")


class Unreachable(InputError):
    """An object store does not answer, or refuses; the message says which and why."""


class Listed(NamedTuple):
    """What a listing says of a file or folder."""

    is_folder: bool
    size: int
    mtime_ns: int | None  # by the store's clock; None where it does not say


@dataclass(frozen=True, slots=True)
class Address:
    """What `pathlib.Path` is for files, as far as it is needed; all may raise `Unreachable`."""

    files: Any  # pyarrow.fs.FileSystem
    key: str  # bucket/prefix/name
    scheme: str

    def __str__(self) -> str:
        """As people write it, without what else was in the address (there may be secrets)."""
        return f"{self.scheme}://{self.key}"

    def __truediv__(self, name: str) -> "Address":
        return Address(self.files, f"{self.key}/{name}", self.scheme)

    @property
    def name(self) -> str:
        """The last part of it."""
        return self.key.rsplit("/", 1)[-1]

    @property
    def parent(self) -> "Address":
        """What it lies in."""
        return Address(self.files, self.key.rpartition("/")[0], self.scheme)

    def read_bytes(self) -> bytes:
        """What is in it.

        Raises:
            FileNotFoundError: when it is not there.
        """

        def read() -> bytes:
            with self.files.open_input_file(self.key) as file:
                return bytes(file.read())

        return self._patiently(read)

    def read_text(self) -> str:
        """The same, as text."""
        return self.read_bytes().decode()

    def write_bytes(self, content: bytes, is_patient: bool = True) -> None:
        """Put it there, whole, in the place of what is there; impatiently: in one try."""

        def write() -> None:
            if self.files.type_name not in FLAT:
                self.files.create_dir(self.parent.key, recursive=True)
            with self.files.open_output_stream(self.key) as stream:
                stream.write(content)

        self._patiently(write, is_patient)

    def write_text(self, text: str, is_patient: bool = True) -> None:
        """The same with text."""
        self.write_bytes(text.encode(), is_patient)

    def listed(self, is_patient: bool = True) -> dict[str, Listed]:
        """What lies in it, by name; empty where nothing does."""
        from pyarrow.fs import FileSelector, FileType

        def find() -> list[Any]:
            try:
                return list(self.files.get_file_info(FileSelector(self.key)))
            except FileNotFoundError:
                return []

        return {
            one.base_name: Listed(one.type == FileType.Directory, one.size or 0, one.mtime_ns)
            for one in self._patiently(find, is_patient)
        }

    def is_dir(self) -> bool:
        """Whether anything lies in it."""
        return bool(self.listed())

    def exists(self) -> bool:
        """Whether it is a file."""
        return self.name in self.parent.listed()

    def unlink(self, is_patient: bool = True) -> None:
        """Take the file away, if it is there."""

        def delete() -> None:
            try:
                self.files.delete_file(self.key)
            except FileNotFoundError:
                return

        self._patiently(delete, is_patient)

    def remove(self) -> None:
        """Take all that lies in it away."""

        def delete() -> None:
            try:
                self.files.delete_dir(self.key)
            except FileNotFoundError:
                return

        self._patiently(delete)

    def _patiently(self, ask: Callable[[], T], is_patient: bool = True) -> T:
        return _patiently(str(self), ask, is_patient)


Folder: TypeAlias = Path | Address


def _patiently(shown: str, ask: Callable[[], T], is_patient: bool = True) -> T:
    """What a store says, asked again while it does not answer.

    Raises:
        FileNotFoundError: as it says so.
        Unreachable: when it refuses, or has not answered for long.
    """
    for wait in (*WAITS, None) if is_patient else (None,):
        try:
            return ask()
        except FileNotFoundError:
            raise
        except OSError as error:
            why = _reason(error)
            if any(word.lower() in str(error).lower() for word in FINAL):
                raise Unreachable(
                    f"{shown} is refused: {why}. Check the bucket's name, and that the keys in the "
                    "environment may read, list, write and delete there"
                ) from None
        if wait is not None:
            print(
                f"{shown} does not answer ({why}); trying again in {wait} s.",
                file=sys.stderr,
                flush=True,
            )
            sleep(wait)
    raise Unreachable(
        f"{shown} does not answer: {why}. Run the same command again when it does, to go on"
    )


def folder_of(place: str | Path, is_patient: bool = True) -> Folder:
    """A folder on this machine, or the address at an object store, that the words mean.

    Raises:
        InputError: when it is the address of nothing that is known here, or a file is in the way.
        Unreachable: when its store does not answer; at once if not patient.

    >>> folder_of("kept/parts")
    PosixPath('kept/parts')
    >>> folder_of("nowhere://kept/parts")
    Traceback (most recent call last):
    ...
    qkcore.InputError: nowhere://kept/parts is no address that is known here (Protocol not known: \
nowhere); give a folder, or one such as s3://bucket/parts
    """
    if isinstance(place, Path) or "://" not in place:
        path = Path(place)
        for above in (path, *path.parents):
            if above.exists() and not above.is_dir():
                raise InputError(f"{above} is a file, and parts go into a folder; name another")
        return path
    shown = _shown(place)
    try:
        files, key = _patiently(shown, lambda: _opened(place), is_patient)
    except Unreachable:
        raise
    except (ValueError, ImportError, NotImplementedError) as error:
        raise InputError(
            f"{shown} is no address that is known here ({_reason(error)}); give a folder, or one "
            "such as s3://bucket/parts"
        ) from None
    if files.type_name == "local":
        return Path(key)
    if not (key := key.strip("/")):
        raise InputError(f"{shown} names no bucket; give one, such as s3://bucket/parts")
    return Address(files, key, urlsplit(place).scheme)


def _opened(place: str) -> tuple[Any, str]:
    """The file system of an address, pyarrow's or else fsspec's, and the key in it."""
    from pyarrow import ArrowInvalid
    from pyarrow.fs import FileSystem, FSSpecHandler, PyFileSystem

    try:
        return FileSystem.from_uri(_with_settings(place, SETTINGS.get(urlsplit(place).scheme, "")))
    except ArrowInvalid as error:
        if "Unrecognized filesystem type" not in str(error):
            raise
    from fsspec.core import url_to_fs

    files, key = url_to_fs(place)
    return PyFileSystem(FSSpecHandler(files)), key


def _with_settings(place: str, settings: str) -> str:
    """An address with settings in its query, unless they are there.

    >>> _with_settings("s3://bucket/parts?region=eu-west-1", "a=1")
    's3://bucket/parts?region=eu-west-1&a=1'
    >>> _with_settings("s3://bucket/parts?a=0", "a=1")
    's3://bucket/parts?a=0'
    """
    parts = urlsplit(place)
    if settings.split("=")[0] in parts.query:
        return place
    return urlunsplit(parts._replace(query="&".join(filter(None, (parts.query, settings)))))


def _shown(place: str) -> str:
    """An address without keys and settings.

    >>> _shown("s3://key:secret@bucket/parts?region=eu-west-1")
    's3://bucket/parts'
    """
    parts = urlsplit(place)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _reason(error: Exception) -> str:
    """What an error of a store says last, in one line.

    >>> _reason(OSError("When listing: AWS Error NETWORK_CONNECTION during X: curlCode: 7; no way"))
    'AWS Error NETWORK_CONNECTION during X: curlCode: 7; no way'
    """
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][max(lines[0].find("AWS Error"), 0) :].rstrip(".")


def sleep(seconds: float) -> None:
    """Wait."""
    time.sleep(seconds)
