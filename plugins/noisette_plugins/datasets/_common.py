"""Helpers for data sets: examples from arrays, stable splits, published files and archives."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from noisette import DataError, Example

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "fetch_published_file",
    "find_local_file",
    "iter_examples",
    "read_package_csv",
    "stratified_split",
    "unpack_archive",
]


def iter_examples(
    images: NDArray[np.uint8], labels: NDArray[np.integer], indices: NDArray[np.int64] | range
) -> Iterator[Example]:
    """Yield the images at the indices, in order, with their labels.

    Args:
        images: uint8 (N, H, W) or (N, H, W, 3).
        labels: (N,).
        indices: indices of the images to yield.
    """
    for index in indices:
        yield Example(Image.fromarray(images[index]), int(labels[index]), f"image {index}")


def read_package_csv(package: str, file: str) -> NDArray[np.float64]:
    """Return the values, (rows, columns), of a CSV file in an installed package, without importing the package.

    Raises:
        ModuleNotFoundError: if the package is not installed.
    """
    import numpy as np

    found = find_spec(package)
    if found is None or found.origin is None:
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)
    return np.loadtxt(Path(found.origin).parent / file, delimiter=",")


if TYPE_CHECKING:
    from numpy.typing import NDArray

    Indices = NDArray[np.int64]


def stratified_split(labels: Indices, held_out: int) -> tuple[Indices, Indices]:
    """Split the indices of `labels`, (N,), into training indices and `held_out` held-out indices by class.

    The number held out from each class is proportional to its size, rounded by the largest remainder method, and
    evenly spaced over its members. Both parts interleave the classes, so any prefix has nearly the same
    proportions of classes.
    """
    members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    shares = _apportion(np.array([len(indices) for indices in members]), held_out)
    chosen = [_even_mask(len(indices), share) for indices, share in zip(members, shares, strict=True)]
    train = [indices[~mask] for indices, mask in zip(members, chosen, strict=True)]
    test = [indices[mask] for indices, mask in zip(members, chosen, strict=True)]
    return _interleave(train), _interleave(test)


def _apportion(sizes: Indices, total: int) -> Indices:
    """Divide `total` in proportion to the sizes by the largest remainder method."""
    exact = sizes * total / sizes.sum()
    shares: Indices = np.floor(exact).astype(np.int64)
    remainders = np.argsort(shares - exact, kind="stable")
    shares[remainders[: total - shares.sum()]] += 1
    return shares


def _even_mask(size: int, share: int) -> NDArray[np.bool_]:
    """Return a mask of length `size` with `share` evenly spaced True values."""
    steps = np.arange(size + 1, dtype=np.int64) * share // size
    return np.diff(steps) > 0


def _interleave(parts: list[Indices]) -> Indices:
    """Merge the parts, each spread evenly over the result."""
    places = np.concatenate([(np.arange(len(part)) + 0.5) / max(len(part), 1) for part in parts])
    return np.concatenate(parts)[np.argsort(places, kind="stable")]


def find_local_file(name: str, folders: Iterable[Path], md5: str) -> Path | None:
    """Return the file `name` from the first folder that has it, or None, after verifying its MD5.

    Raises:
        DataError: if the file has another hash.
    """
    found = next((folder / name for folder in folders if (folder / name).is_file()), None)
    if found is None:
        return None
    with found.open("rb") as file:
        came = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if came != md5:
        raise DataError(f"{found}: is not the published {name}: expected md5 {md5}; it has {came}")
    return found


def fetch_published_file(name: str, folder: Path, urls: Iterable[str], md5: str, others: Mapping[str, str]) -> Path:
    """Return a published file from a cache folder, downloading it if necessary.

    Args:
        name: name of the file.
        folder: cache folder.
        urls: mirrors, tried in order.
        md5: expected hash.
        others: hashes of all files of the data set by name, listed in the error message.

    Raises:
        DataError: if the file cannot be downloaded; the message says how to get it by hand.
    """
    from noisette.plugin_api import fetch

    try:
        return fetch(list(urls), folder / name, md5=md5)
    except DataError as error:
        raise DataError(
            f"{error}\nall that is needed: {', '.join(others)}; put them in {folder}, or set dataset.path to a "
            "folder that has them"
        ) from None


def unpack_archive(archive: Path, target: Path, inner: str) -> Path:
    """Unpack the folder `inner` of a zip or tar archive to `target`, unless it exists; return `target`.

    Paths and links that point outside the archive and device files are not unpacked.

    Raises:
        DataError: if the archive cannot be unpacked or has no such folder.
    """
    if target.is_dir():
        return target
    staging = target.with_name(f".{target.name}.unpacking-{os.getpid()}")
    staging.mkdir(parents=True)
    try:
        if archive.suffix == ".zip":
            with zipfile.ZipFile(archive) as packed:  # verifies checksums
                packed.extractall(staging)
        else:
            with tarfile.open(archive) as tar:
                tar.extractall(staging, filter="data")
        if not (staging / inner).is_dir():
            raise DataError(f"{archive}: expected a folder {inner} in it; there is none")
        if not target.is_dir():  # another process may have been faster
            (staging / inner).rename(target)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        raise DataError(f"{archive}: cannot be unpacked: {error}") from None
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return target
