"""Read parts of files from a local folder, or from a server by fsspec, with retries."""

import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from sapiens2_lit.errors import DataError, SettingError, StorageError

TRIES = 5
FIRST_WAIT = 0.5  # seconds before the second try; the wait doubles with each further try
TIMEOUT = 30.0  # seconds without a byte, after which a connection is closed


def _http_options() -> dict[str, Any]:
    import aiohttp

    limit = aiohttp.ClientTimeout(total=None, sock_connect=TIMEOUT, sock_read=TIMEOUT)
    return {"client_kwargs": {"timeout": limit}}


_OPTIONS: dict[str, Callable[[], dict[str, Any]]] = {  # options of fsspec, by protocol
    "http": _http_options,
    "https": _http_options,
    "s3": lambda: {
        "config_kwargs": {
            "connect_timeout": TIMEOUT, "read_timeout": TIMEOUT, "retries": {"total_max_attempts": 1},
        }
    },
}  # fmt: skip
_EXTRAS = {"s3": "s3", "s3a": "s3", "http": "s3", "https": "s3"}

_ABSENT = (
    403,
    404,
    410,
)  # HTTP codes; servers that list nothing answer "forbidden" for files that they do not have

T = TypeVar("T")
_log = logging.getLogger(__name__)


class Short(OSError):
    """The server sent fewer bytes than requested, or other bytes."""


class LocalFolder:
    """Files of a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, name: str, total: int, start: int, end: int) -> bytes:
        """Return the bytes from `start` to `end` of a file that should have `total` bytes.

        Raises:
            DataError: it does not exist, or is shorter.
        """
        path = self.folder / name
        try:
            with path.open("rb", buffering=0) as file:
                file.seek(start)
                data = file.read(end - start)
                size = os.fstat(file.fileno()).st_size
        except OSError as error:
            raise DataError(
                f"{path}: cannot be read at offset {start}: {error.strerror or error}."
            ) from error
        if len(data) < end - start:
            raise DataError(truncated(str(path), size, total, start))
        return data

    def forget(self, name: str, start: int, end: int) -> None:
        """Do nothing: nothing is kept."""


class Server:
    """Files below an address that fsspec reads: s3://bucket/people, https://host/people.

    Each process opens its own connection. Failures are tried again, with renewed credentials if there are any.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.protocol = url.partition("://")[0]
        self._fs: Any = None
        self._pid = 0

    def read(self, name: str, total: int, start: int, end: int) -> bytes:
        """Return the bytes from `start` to `end` of a file that should have `total` bytes.

        Raises:
            DataError: it does not exist, or is shorter.
            StorageError: the server does not answer, or refuses.
        """

        def act() -> bytes:
            data: bytes = self._files().cat_file(f"{self.url}/{name}", start=start, end=end)
            if len(data) != end - start:
                raise Short(f"{len(data)} bytes came, {end - start} were asked for")
            return data

        return self._retried(act, name, start, total)

    def read_whole(self, name: str) -> bytes:
        """Return all bytes of a small file; it may raise the errors of `read`."""
        return self._retried(lambda: bytes(self._files().cat_file(f"{self.url}/{name}")), name, 0, None)

    def has(self, name: str) -> bool:
        """Whether there is a file of a name; it may raise the errors of `read`.

        It requests one byte: fsspec's `exists` reports a lost connection as a missing file.
        """

        def act() -> bool:
            try:
                self._files().cat_file(f"{self.url}/{name}", start=0, end=1)
            except FileNotFoundError:
                return False
            except failures() as error:
                if getattr(error, "status", None) in _ABSENT:
                    return False
                raise
            return True

        return self._retried(act, name, 0, None)

    def sizes(self) -> dict[str, int]:
        """Return the bytes of the files directly at the address, by name; empty if the server cannot list them."""
        if self.protocol in ("http", "https"):
            return {}
        found = self._retried(lambda: self._files().ls(self.url, detail=True), "", 0, None)
        return {
            str(one["name"]).rpartition("/")[2]: int(one["size"] or 0)
            for one in found
            if one["type"] == "file"
        }

    def _files(self) -> Any:
        if self._fs is None or self._pid != os.getpid():
            self._fs, self._pid = connect(self.protocol, self.url), os.getpid()
        return self._fs

    def _retried(self, act: Callable[[], T], name: str, start: int, total: int | None) -> T:
        place = f"{self.url}/{name}" if name else self.url
        for attempt in range(TRIES):
            if attempt:
                time.sleep(FIRST_WAIT * 2 ** (attempt - 1))
            try:
                return act()
            except FileNotFoundError as error:
                raise DataError(f"{place} does not exist.") from error
            except failures() as error:
                last = error
                self._fs = None  # the new connection may get other credentials
                _log.warning(
                    "%s at offset %d: %s; try %d of %d", place, start, said(error), attempt + 1, TRIES
                )
                if type(error).__name__ == "NoCredentialsError":
                    break
        found = self._size(name) if total is not None else None
        if total is not None and found is not None and found < total:
            raise DataError(truncated(place, found, total, start)) from last
        raise StorageError(
            f"{place} at offset {start}: {said(last)}, after {attempt + 1} tries.{advice(self.protocol, last)}"
        ) from last

    def _size(self, name: str) -> int | None:
        """Return the bytes of a file that the server reports now; None if it reports none."""
        try:
            files = self._files()
            files.invalidate_cache()
            size = files.info(f"{self.url}/{name}").get("size")
        except failures():
            return None
        return None if size is None else int(size)

    def __getstate__(self) -> dict[str, Any]:
        return {"url": self.url, "protocol": self.protocol, "_fs": None, "_pid": 0}


def connect(protocol: str, url: str) -> Any:
    """Return a file system of fsspec.

    Raises:
        SettingError: there is no such protocol, or its package is not installed.
    """
    import fsspec  # imported here: other runs need not wait for it

    try:
        options = _OPTIONS.get(protocol.replace("s3a", "s3"), dict)()
        made = fsspec.filesystem(protocol, skip_instance_cache=True, **options)
    except ImportError as error:
        extra = _EXTRAS.get(protocol)
        how = f"pip install 'sapiens2-lit[{extra}]'" if extra else str(error)
        raise SettingError(
            f"{url}: reading {protocol}:// needs a package that is not installed: {how}"
        ) from error
    except ValueError as error:
        raise SettingError(
            f"{url}: {error}; expected a folder, s3://BUCKET/PREFIX or https://HOST/PATH."
        ) from error
    if hasattr(made, "retries"):
        made.retries = 1  # retries are counted here
    return made


def failures() -> tuple[type[Exception], ...]:
    """Return the errors that fsspec raises for failed connections, from the libraries loaded so far."""
    found: list[type[Exception]] = [OSError, EOFError]
    for module, name in (
        ("aiohttp", "ClientError"),
        ("botocore.exceptions", "BotoCoreError"),
        ("botocore.exceptions", "ClientError"),
    ):
        if module in sys.modules:
            found.append(getattr(sys.modules[module], name))
    return tuple(found)


def said(error: Exception) -> str:
    """Return an error as one line."""
    return f"{type(error).__name__}: {error}".splitlines()[0].rstrip(": .")


def advice(protocol: str, error: Exception) -> str:
    """Return what the user can check."""
    if isinstance(error, PermissionError) or "redential" in said(error) or "oken" in said(error):
        if protocol == "s3":
            return (
                " Credentials are those of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, of AWS_PROFILE, or of the "
                "machine's role: are they set, valid and allowed to read?"
            )
        return " Are the credentials set, valid and allowed to read?"
    if protocol == "s3":
        return " AWS_ENDPOINT_URL sets another address than AWS's."
    return ""


def truncated(place: str, size: int, total: int, start: int) -> str:
    """Return the message for a file that ends too early.

    Args:
        place: the file.
        size: its bytes.
        total: its bytes by the index.
        start: offset of the requested bytes.
    """
    return (
        f"{place}: {size:,} bytes, the index says {total:,}: truncated, or of another pack (at offset {start:,}). "
        "Download or copy it again, or pack into a new folder."
    )
