"""Append-only .npy files of unknown length, and the progress of an ingestion."""

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
    """Context manager that appends rows to an array on disk; on exit the file is a complete .npy file.

    numpy pads the header, so the final length of axis 0 can be written in place.

    Args:
        path: path of the file.
        dtype: dtype of the values.
        shape: shape of a row; () for scalars.
        count: number of existing rows to keep; the rest of the file is truncated.

    Raises:
        StorageError: on entry, if the file has fewer than `count` rows.
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
        """Size of a row in bytes."""
        return self.dtype.itemsize * prod(self.shape)

    def flush(self) -> None:
        """Write all rows to disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def append(self, row: NDArray[Any]) -> None:
        """Append a row.

        Raises:
            ValueError: if its shape or dtype differs from the array's.
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
    """Counts of the examples of a part and of their file formats; `whole` is True once the part is complete."""

    found: NonNegativeInt = 0
    accepted: NonNegativeInt = 0
    rejected: NonNegativeInt = 0
    reasons: list[str] = []
    of_class: list[NonNegativeInt] = []
    formats: dict[str, NonNegativeInt] = {}
    whole: bool = False

    def counts(self) -> dict[str, int]:
        """Return the number of examples found, accepted and rejected."""
        return {"found": self.found, "accepted": self.accepted, "rejected": self.rejected}


class IngestProgress(BaseModel):
    """Saved progress of an ingestion.

    Attributes:
        identity: what determines the images in addition to the directory name, such as library versions.
        shape: shape of the images, (C, H, W).
        first: source of the first image.
        rejections: length of the file of rejections in bytes.
        parts: progress by part.
    """

    identity: dict[str, Any] = {}
    shape: tuple[int, int, int] = (0, 0, 0)
    first: str = ""
    rejections: NonNegativeInt = 0
    parts: dict[str, PartProgress] = {}

    @classmethod
    def load(cls, directory: Path, identity: Mapping[str, Any]) -> IngestProgress:
        """Return the saved progress of a directory, or empty progress if there is none with this identity."""
        try:
            saved = cls.model_validate(json.loads((directory / _FILE).read_text(encoding="utf-8")))
        except (OSError, ValueError, ValidationError):
            return cls(identity=dict(identity))
        return saved if saved.identity == identity else cls(identity=dict(identity))

    def save(self, directory: Path) -> None:
        """Write the progress atomically. The images that it describes must already be on disk."""
        with atomic_write(directory / _FILE) as temporary:
            temporary.write_text(json.dumps(self.model_dump()), encoding="utf-8")  # names may be any bytes
            sync(temporary)
