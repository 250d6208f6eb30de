"""The content of a file for Pillow, which reads some headers a byte at a time however long they are."""

from __future__ import annotations

from io import BytesIO

from noisette.data.modes import UnreadableError

__all__ = ["Content"]

_READS = 10_000
_BYTES_PER_READ = 100


class Content(BytesIO):
    """A file in memory that refuses to be read in a great many small pieces.

    Each read beyond the first 10,000 must bring 100 bytes on average: files that keep Pillow busy for minutes with
    a comment of 200 MB or a million empty chunks are refused in the first moment.
    """

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self._reads = _READS + len(content) // _BYTES_PER_READ

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next bytes.

        Raises:
            UnreadableError: after too many reads.
        """
        self._reads -= 1
        if self._reads < 0:
            raise UnreadableError("too many small pieces: expected an image, not a long header")
        return super().read(size)

    def allow(self) -> None:
        """Allow any number of reads from here on: the header is read, and pixels may come one by one."""
        self._reads = 1 << 62
