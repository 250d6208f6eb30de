"""What the system says when it does not take what is written, in one message."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from noisette.errors import StorageError

__all__ = ["writing"]

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """Write `target`, or files beside it, in the block.

    Raises:
        StorageError: if the disk is full or cannot be written. Other errors pass, also those of reading files that
            lie elsewhere.
    """
    try:
        yield
    except Exception as error:
        cause = _cause(error, target.parent)
        if cause is None:
            raise
        raise StorageError(f"{target}: cannot be written: {cause}; nothing was changed") from error


def _cause(error: Exception, folder: Path) -> str | None:
    """Return why the disk did not take what was written; None if the error is about something else."""
    number = _number(error)
    if number in _FULL:
        return f"{os.strerror(number)} (free some space and start again)"
    if not isinstance(error, OSError):
        return None
    if type(error) is OSError and number is None:  # how numpy says that a write fell short
        return f"{error} (is the disk full?)"
    elsewhere = error.filename is not None and not _within(error.filename, folder)
    return None if number is None or elsewhere else os.strerror(number)


def _number(error: Exception) -> int | None:
    """Return the number of an operating system's error; safetensors hides it in its text."""
    if isinstance(error, OSError):
        return error.errno
    found = re.search(r"\(os error (\d+)\)", str(error)) if type(error).__name__ == "SafetensorError" else None
    return int(found[1]) if found else None


def _within(filename: Any, folder: Path) -> bool:
    return isinstance(filename, str) and Path(filename).absolute().is_relative_to(folder.absolute())
