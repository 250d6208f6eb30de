"""A .npy file that grows row by row: arrays larger than memory, of a length that nobody knows in advance."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

__all__ = ["GrowingArray"]


class GrowingArray:
    """An array on disk that rows are appended to; on leaving its block the file is a whole .npy file.

    numpy pads the header so that the length along axis 0 can be written over it in the end.

    Args:
        path: the file.
        dtype: of the values.
        shape: of one row; () for plain numbers.
    """

    def __init__(self, path: Path, dtype: DTypeLike, shape: tuple[int, ...] = ()) -> None:
        self.dtype, self.shape = np.dtype(dtype), shape
        self.count = 0
        self._path = path

    def __enter__(self) -> Self:
        self._file: IO[bytes] = self._path.open("wb")
        self._write_header()
        self._start = self._file.tell()
        return self

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
