"""Files that a publisher gives hashes of: on disk, or by a download; the right ones or none."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from noisette import DataError

__all__ = ["local_file", "published_file"]


def local_file(name: str, folders: Iterable[Path], md5: str) -> Path | None:
    """Return the file of this name in the first folder that has it, if it is the published one.

    Raises:
        DataError: if it is another.
    """
    found = next((folder / name for folder in folders if (folder / name).is_file()), None)
    if found is None:
        return None
    with found.open("rb") as file:
        came = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if came != md5:
        raise DataError(f"{found}: is not the published {name}: expected md5 {md5}; it has {came}")
    return found


def published_file(name: str, folder: Path, urls: Iterable[str], md5: str, others: Mapping[str, str]) -> Path:
    """Return a file in a folder of the cache, downloaded if it is not there.

    Args:
        name: of the file.
        folder: where it is kept.
        urls: where it can be had.
        md5: its hash.
        others: all files of the data set with their hashes, for the message when one cannot be had.

    Raises:
        DataError: if it cannot be had; says how to get it by hand.
    """
    from noisette.data.download import fetch

    try:
        return fetch(list(urls), folder / name, md5=md5)
    except DataError as error:
        raise DataError(
            f"{error}\nall that is needed: {', '.join(others)}; put them in {folder}, or set dataset.path to a "
            "folder that has them"
        ) from None
