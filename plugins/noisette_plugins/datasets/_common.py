"""What data sets share: examples from arrays, stable splits, published files and archives."""

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
    """Yield images, uint8 (N, H, W) or (N, H, W, 3), with their labels, (N,), in the order of the indices."""
    for index in indices:
        yield Example(Image.fromarray(images[index]), int(labels[index]), f"image {index}")


def read_package_csv(package: str, file: str) -> NDArray[np.float64]:
    """Return the numbers (rows, columns) of a CSV file inside an installed package, whose import may take seconds.

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
    """Split the indices of `labels`, (N,), into those of training and `held_out` others, evenly over the classes.

    A class gives its share, rounded by largest remainder, from places spread evenly over its members. In both
    parts the classes take turns, so that the first images of a part have all classes in about their shares.
    """
    members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    shares = _apportion(np.array([len(indices) for indices in members]), held_out)
    chosen = [_even_mask(len(indices), share) for indices, share in zip(members, shares, strict=True)]
    train = [indices[~mask] for indices, mask in zip(members, chosen, strict=True)]
    test = [indices[mask] for indices, mask in zip(members, chosen, strict=True)]
    return _interleave(train), _interleave(test)


def _apportion(sizes: Indices, total: int) -> Indices:
    """Divide `total` in proportion to the sizes; the largest remainders are rounded up."""
    exact = sizes * total / sizes.sum()
    shares: Indices = np.floor(exact).astype(np.int64)
    remainders = np.argsort(shares - exact, kind="stable")
    shares[remainders[: total - shares.sum()]] += 1
    return shares


def _even_mask(size: int, share: int) -> NDArray[np.bool_]:
    """Return a mask of `size` places with `share` of them set, as evenly as can be."""
    steps = np.arange(size + 1, dtype=np.int64) * share // size
    return np.diff(steps) > 0


def _interleave(parts: list[Indices]) -> Indices:
    """Merge the parts so that each is spread evenly over the whole."""
    places = np.concatenate([(np.arange(len(part)) + 0.5) / max(len(part), 1) for part in parts])
    return np.concatenate(parts)[np.argsort(places, kind="stable")]


def find_local_file(name: str, folders: Iterable[Path], md5: str) -> Path | None:
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


def fetch_published_file(name: str, folder: Path, urls: Iterable[str], md5: str, others: Mapping[str, str]) -> Path:
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
    from noisette.plugin_api import fetch

    try:
        return fetch(list(urls), folder / name, md5=md5)
    except DataError as error:
        raise DataError(
            f"{error}\nall that is needed: {', '.join(others)}; put them in {folder}, or set dataset.path to a "
            "folder that has them"
        ) from None


def unpack_archive(archive: Path, target: Path, inner: str) -> Path:
    """Return the folder `inner` of an archive, unpacked as `target` if it is not there yet.

    Names that lead out of the archive, links out of it and devices are refused.

    Raises:
        DataError: if it cannot be unpacked, or has no such folder.
    """
    if target.is_dir():
        return target
    staging = target.with_name(f".{target.name}.unpacking-{os.getpid()}")
    staging.mkdir(parents=True)
    try:
        if archive.suffix == ".zip":
            with zipfile.ZipFile(archive) as packed:  # checks every member's checksum
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
