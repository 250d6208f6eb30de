"""Verified downloads: the target file either exists with the expected hash or does not exist.

A file is downloaded to `<name>.part` next to its target, verified and then renamed. An interrupted download is
resumed, in the same call or in a later one. Mirrors are tried in order.
"""

from __future__ import annotations

import hashlib
import http.client
import logging
import re
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import ClassVar, Protocol, cast
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from noisette.errors import DownloadError, StorageError
from noisette.storage import lock_file

__all__ = ["fetch"]


log = logging.getLogger(__name__)

Progress = Callable[[int, int | None], None]

_TIMEOUT = 30.0
"""Seconds without data after which a connection fails."""

_MAX_TRIES = 3
"""Consecutive attempts at one mirror without progress."""

_LOG_INTERVAL = 15.0
"""Seconds between progress messages in the log."""

_CHUNK = 1 << 18

_RANGE = re.compile(r"bytes (\d+)-")


def fetch(
    urls: Sequence[str],
    target: Path,
    *,
    sha256: str = "",
    md5: str = "",
    is_zip: bool = False,
    size: int | None = None,
    progress: Progress | None = None,
) -> Path:
    """Return `target`, downloading it unless it exists with the expected hash.

    Concurrent callers, also in other processes, wait for a single download.

    Args:
        urls: mirrors of the file, tried in order.
        target: path of the file; its folder is created.
        sha256: expected hash in hexadecimal. One of `sha256`, `md5` and `is_zip` is required.
        md5: expected hash, if the publisher gives no SHA-256.
        is_zip: the file is a zip archive without a published hash. Its internal checksums are verified, which
            detects damage but not tampering.
        size: size in bytes, if known; a mirror that offers another size is skipped.
        progress: called with the number of bytes downloaded and the total, or None if the host does not report it.
            By default progress is logged.

    Raises:
        DownloadError: if all mirrors fail. The message lists the failures and where to put the file by hand.
        StorageError: if the file cannot be written.
    """
    expected: _ExpectedFile = _Zip() if is_zip else _Digest("sha256", sha256) if sha256 else _Digest("md5", md5)
    if expected.is_satisfied_by(target):
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with lock_file(target.with_name(f".{target.name}.lock")):
            if expected.is_satisfied_by(target):
                return target
            return _fetch_from_mirrors(urls, target, expected, size, progress or _ProgressLogger(target.name))
    except OSError as error:
        raise StorageError(f"{target}: cannot be written: {error.strerror or error}") from error


class _ExpectedFile(Protocol):
    """How to recognise the expected file. `str()` describes it; `mismatch` describes a wrong file in messages."""

    mismatch: ClassVar[str]

    def find_mismatch(self, path: Path) -> str:
        """Return how a file differs from the expected one, or an empty string."""

    def is_satisfied_by(self, path: Path) -> bool:
        """Return whether the file exists and is the expected one."""
        return path.is_file() and not self.find_mismatch(path)


@dataclass(frozen=True)
class _Digest(_ExpectedFile):
    """A file with a known hash."""

    mismatch: ClassVar[str] = "has another hash"

    kind: str
    value: str

    def __post_init__(self) -> None:
        if not self.value:
            raise ValueError("fetch: expected sha256 or md5; got neither")

    def find_mismatch(self, path: Path) -> str:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, lambda: hashlib.new(self.kind, usedforsecurity=False)).hexdigest()
        return "" if found == self.value.lower() else f"expected {self}; the file has {found}"

    def __str__(self) -> str:
        return f"{self.kind} {self.value}"


class _Zip(_ExpectedFile):
    """A zip archive whose members have valid checksums."""

    mismatch: ClassVar[str] = "is damaged"

    def find_mismatch(self, path: Path) -> str:
        try:
            with zipfile.ZipFile(path) as archive:
                damaged = archive.testzip()
        except (zipfile.BadZipFile, EOFError, NotImplementedError, zlib.error) as error:
            return f"expected {self}; {error}"
        return f"expected {self}; {damaged} in it is damaged" if damaged else ""

    def __str__(self) -> str:
        return "a zip archive that is whole"


class _MirrorError(Exception):
    """A mirror failed; the message gives the reason."""


class _ConnectionBrokenError(_MirrorError):
    """The connection broke. The partial file is kept and can be resumed."""


class _StalePartError(_MirrorError):
    """The partial file belongs to another file. The download must restart from the beginning."""


class _ProgressLogger:
    """Logs the progress of a download at intervals."""

    def __init__(self, name: str) -> None:
        self._name, self._last = name, time.monotonic()

    def __call__(self, done: int, total: int | None) -> None:
        if time.monotonic() - self._last >= _LOG_INTERVAL:
            self._last = time.monotonic()
            of = "" if total is None else f" of {total / 1e6:,.0f}"
            log.info("downloading %s: %s%s MB", self._name, f"{done / 1e6:,.0f}", of)


def _fetch_from_mirrors(
    urls: Sequence[str], target: Path, expected: _ExpectedFile, size: int | None, progress: Progress
) -> Path:
    partial = target.with_name(f"{target.name}.part")
    failures = []
    for url in urls:
        log.info("downloading %s", url)
        try:
            _download(url, partial, expected, size, progress)
        except _MirrorError as error:
            failures.append(f"\n  {url}: {error}")
        else:
            return partial.replace(target)
    there = f" in place of the one there, which {expected.mismatch}" if target.exists() else ""
    raise DownloadError(
        f"{target.name}: could not be downloaded:{''.join(failures)}\n"
        f"get it by hand and put it at {target}{there} ({expected})"
    )


def _download(url: str, partial: Path, expected: _ExpectedFile, size: int | None, progress: Progress) -> None:
    """Download a file from one mirror, resuming after failures as long as there is progress."""
    if expected.is_satisfied_by(partial):
        return
    best, failures = _file_size(partial), 0
    while True:
        try:
            _attempt_download(url, partial, expected, size, progress)
            return
        except (_ConnectionBrokenError, _StalePartError) as error:
            if isinstance(error, _StalePartError):
                partial.unlink(missing_ok=True)
            forward = _file_size(partial) > best
            best, failures = max(best, _file_size(partial)), 0 if forward else failures + 1
            if failures == _MAX_TRIES:
                raise


def _attempt_download(
    url: str, partial: Path, expected: _ExpectedFile, size: int | None, progress: Progress
) -> None:
    resumed = _transfer(url, partial, size, progress)
    mismatch = expected.find_mismatch(partial)
    if mismatch:
        partial.unlink()
        raise (_StalePartError if resumed else _MirrorError)(mismatch)


def _transfer(url: str, partial: Path, size: int | None, progress: Progress) -> bool:
    """Download the missing bytes, or all if the host cannot resume; return whether it resumed a partial file."""
    with _open_response(url, _file_size(partial)) as response:
        done = _content_start(response)
        total = _total_bytes(response, done)
        if size is not None and total not in (None, size):
            raise _MirrorError(f"expected {size} bytes; the host offers {total}")
        resumed, limit = done > 0, total if size is None else size
        with partial.open("ab" if resumed else "wb") as file:
            for chunk in _iter_chunks(response):
                done += len(chunk)
                if limit is not None and done > limit:
                    raise _StalePartError(f"expected {limit} bytes; the host sends more")
                file.write(chunk)
                progress(done, total)
    if limit is not None and done < limit:
        raise _ConnectionBrokenError(f"the connection broke after {done} of {limit} bytes")
    return resumed


def _open_response(url: str, done: int) -> http.client.HTTPResponse:
    headers = {"User-Agent": "noisette", **({"Range": f"bytes={done}-"} if done else {})}
    try:
        return cast(http.client.HTTPResponse, urlopen(Request(url, headers=headers), timeout=_TIMEOUT))
    except HTTPError as error:
        error.close()
        kind = _StalePartError if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE else _MirrorError
        raise kind(f"HTTP {error.code} {error.reason}") from None
    except (OSError, http.client.HTTPException) as error:
        raise _MirrorError(_error_reason(error)) from None


def _content_start(response: http.client.HTTPResponse) -> int:
    """Return the offset of the first byte of the response: 0 unless the host resumes."""
    match = _RANGE.match(response.headers.get("Content-Range", ""))
    return int(match[1]) if match else 0


def _total_bytes(response: http.client.HTTPResponse, start: int) -> int | None:
    """Return the length of the whole file, or None if the host does not report it."""
    length = response.headers.get("Content-Length", "")
    return start + int(length) if length.isdecimal() else None


def _iter_chunks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    while True:
        try:
            chunk = response.read(_CHUNK)
        except (OSError, http.client.HTTPException) as error:
            raise _ConnectionBrokenError(f"the connection broke: {_error_reason(error)}") from None
        if not chunk:
            return
        yield chunk


def _error_reason(error: Exception) -> str:
    return str(getattr(error, "reason", error)) or type(error).__name__


def _file_size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
