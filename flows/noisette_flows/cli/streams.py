"""Standard streams that may fail: a pipe whose reader has gone, or a log on a full disk, never ends a command."""

from __future__ import annotations

import errno
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

__all__ = ["LossyFile", "lossy_streams"]


class LossyFile(io.RawIOBase):
    """A file descriptor that drops what cannot be written, and remembers why.

    Attributes:
        failure: the first error of writing, or None.
    """

    def __init__(self, descriptor: int) -> None:
        self._file = io.FileIO(descriptor, "w", closefd=False)
        self.failure: OSError | None = None

    def writable(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._file.fileno()

    def isatty(self) -> bool:
        """Return whether the descriptor is a terminal."""
        return self._file.isatty()

    def write(self, data: ReadableBuffer, /) -> int:
        """Write what can be written; return how many bytes were taken, written or dropped."""
        size = memoryview(data).nbytes
        try:
            return self._file.write(data) or size
        except OSError as error:
            self.failure = self.failure or error
            return size

    def loss(self) -> str:
        """Return why output was lost; nothing if it was not, or if its reader had seen enough."""
        sys.stdout.flush()
        if self.failure is None or self.failure.errno == errno.EPIPE:
            return ""
        return self.failure.strerror or str(self.failure)


@contextmanager
def lossy_streams() -> Iterator[LossyFile | None]:
    """Let no write to standard output or error fail in the block; give the file below standard output, if any."""
    before = sys.stdout, sys.stderr
    output, sys.stdout = _wrap(sys.stdout)
    _, sys.stderr = _wrap(sys.stderr)
    try:
        yield output
    finally:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        sys.stdout, sys.stderr = before


def _wrap(stream: TextIO) -> tuple[LossyFile | None, TextIO]:
    try:
        file = LossyFile(stream.fileno())
    except (AttributeError, OSError, ValueError):  # closed, or something in memory
        return None, stream
    line_buffering = file.isatty() or stream is sys.stderr
    text = io.TextIOWrapper(io.BufferedWriter(file), stream.encoding, stream.errors, line_buffering=line_buffering)
    return file, text
