"""Arrays of a length that nobody knows in advance: .npy files that grow row by row, and how far they have come."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from math import prod
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self

import numpy as np
from pydantic import BaseModel, NonNegativeInt, ValidationError

from noisette.errors import StorageError
from noisette.storage import atomic_write, sync

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

__all__ = ["IngestProgress", "NpyWriter", "PartProgress"]


class NpyWriter:
    """An array on disk that rows are appended to; on leaving its block the file is a whole .npy file.

    numpy pads the header so that the length along axis 0 can be written over it in the end.

    Args:
        path: the file.
        dtype: of the values.
        shape: of one row; () for plain numbers.
        count: rows that the file has already, from an earlier block; what lies behind them is cut off.

    Raises:
        StorageError: on entering, if the file has fewer.
    """

    def __init__(self, path: Path, dtype: DTypeLike, shape: tuple[int, ...] = (), count: int = 0) -> None:
        self.dtype, self.shape = np.dtype(dtype), shape
        self.count = count
        self._path = path

    def __enter__(self) -> Self:
        self._file: IO[bytes] = self._path.open("r+b" if self.count else "wb")
        self._write_header()
        self._start = self._file.tell()
        self._file.flush()
        length = self._start + self.count * self.row_bytes
        if self._path.stat().st_size < length:
            self._file.close()
            raise StorageError(f"{self._path}: expected at least {length} bytes; it is damaged: start again")
        self._file.truncate(length)
        self._file.seek(0, os.SEEK_END)
        return self

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return self.dtype.itemsize * prod(self.shape)

    def flush(self) -> None:
        """Have all rows so far on disk, whatever happens next."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def append(self, row: NDArray[Any]) -> None:
        """Add one row.

        Raises:
            ValueError: if its shape or dtype is another than the array's.
        """
        if row.shape != self.shape or row.dtype != self.dtype:
            raise ValueError(f"expected {self.dtype}{self.shape}; got {row.dtype}{row.shape}")
        self._file.write(row.tobytes())
        self.count += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._file:
            if error is None:
                self._file.seek(0)
                self._write_header()
                if self._file.tell() != self._start:
                    raise OSError(f"{self._path}: the header grew over the data")

    def _write_header(self) -> None:
        header = {"descr": self.dtype.str, "fortran_order": False, "shape": (self.count, *self.shape)}
        np.lib.format.write_array_header_1_0(self._file, header)


_FILE = ".intake.json"


class PartProgress(BaseModel):
    """What became of the examples of a part, and their file formats; `whole` when it was read to its end."""

    found: NonNegativeInt = 0
    accepted: NonNegativeInt = 0
    rejected: NonNegativeInt = 0
    reasons: list[str] = []
    of_class: list[NonNegativeInt] = []
    formats: dict[str, NonNegativeInt] = {}
    whole: bool = False

    def counts(self) -> dict[str, int]:
        """Return how many examples were found, accepted and rejected."""
        return {"found": self.found, "accepted": self.accepted, "rejected": self.rejected}


class IngestProgress(BaseModel):
    """How far an intake has come.

    Attributes:
        identity: what decides the bits, beyond what the directory's name tells: versions of libraries.
        shape: of every image; first: where the first came from.
        rejections: bytes of the file of rejections.
        parts: by name.
    """

    identity: dict[str, Any] = {}
    shape: tuple[int, int, int] = (0, 0, 0)
    first: str = ""
    rejections: NonNegativeInt = 0
    parts: dict[str, PartProgress] = {}

    @classmethod
    def load(cls, directory: Path, identity: Mapping[str, Any]) -> IngestProgress:
        """Return what was kept in a directory; nothing if there is none, or of another identity."""
        try:
            saved = cls.model_validate(json.loads((directory / _FILE).read_text(encoding="utf-8")))
        except (OSError, ValueError, ValidationError):
            return cls(identity=dict(identity))
        return saved if saved.identity == identity else cls(identity=dict(identity))

    def save(self, directory: Path) -> None:
        """Write it in one step; the images that it describes must be on disk."""
        with atomic_write(directory / _FILE) as temporary:
            temporary.write_text(json.dumps(self.model_dump()), encoding="utf-8")  # names may be any bytes
            sync(temporary)
