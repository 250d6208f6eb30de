"""Data sets stored as four IDX files, as MNIST: images and labels of the training and test splits.

A file may come from a given folder, a system folder, the cache or a download. In every case the SHA-256 of its
unpacked content is verified.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from noisette import DataError, Dataset

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from noisette import Example, Split

__all__ = ["IdxDataset", "parse_idx"]

_STEMS = {"train": "train", "test": "t10k"}
_UINT8 = 8


class IdxDataset(Dataset):
    """Base class of data sets in IDX files.

    Class attributes:
        torchvision_name: class in `torchvision.datasets` that defines the mirrors; also names the cache folder.
        folders: system folders to search.
        advice: another way to get the files, for the error message.
        sha256: SHA-256 of each unpacked file.
    """

    torchvision_name: ClassVar[str]
    folders: ClassVar[tuple[Path, ...]] = ()
    advice: ClassVar[str] = ""
    sha256: ClassVar[dict[str, str]]

    path: Path | None = Field(
        None, description="folder of the IDX files, packed or not, or one that torchvision filled; null looks "
        "in the system's folders, then downloads"
    )  # fmt: skip

    def examples(self, split: Split, cache: Path) -> Iterator[Example]:
        """Yield the images in the order of the files."""
        from noisette_plugins.datasets._common import iter_examples

        images = parse_idx(self._content(f"{_STEMS[split]}-images-idx3-ubyte", cache))
        labels = parse_idx(self._content(f"{_STEMS[split]}-labels-idx1-ubyte", cache))
        yield from iter_examples(images, labels, range(len(labels)))

    def length(self, split: Split) -> int:
        """Return the published count, which is the same for all data sets of this format."""
        return {"train": 60_000, "test": 10_000}[split]

    def _content(self, name: str, cache: Path) -> bytes:
        """Return the verified, unpacked content of a file."""
        local = self._local(name)
        if local is None:
            return self._cached(name, cache)
        content = _unpack(local)
        found = hashlib.sha256(content).hexdigest()
        if found != self.sha256[name]:
            raise DataError(
                f"{local}: is not the {name} of {self.name}: expected sha256 {self.sha256[name]} of the unpacked "
                f"content; it has {found}"
            )
        return content

    def _local(self, name: str) -> Path | None:
        """Return the file in `path`, or without `path` the one in a system folder, or None."""
        if self.path is None:
            return _find_first(self.folders, name)
        path = self.path.expanduser()
        found = _find_first((path, path / "raw", path / self.torchvision_name / "raw"), name)
        if found is None:
            raise DataError(
                f"{self.name}: expected {name} or {name}.gz in {path} or {path / self.torchvision_name / 'raw'}"
            )
        return found

    def _cached(self, name: str, cache: Path) -> bytes:
        from noisette.plugin_api import fetch

        target = cache / self.torchvision_name / "raw" / f"{name}.gz"
        if target.is_file():  # avoids importing torchvision, which takes seconds
            content = _unpack(target, damaged=b"")
            if hashlib.sha256(content).hexdigest() == self.sha256[name]:
                return content
        try:
            urls, md5 = self._published(target.name)
            fetch(urls, target, md5=md5)
        except DataError as error:
            names = ", ".join(f"{name}.gz" for name in self.sha256)
            raise DataError(
                f"{error}\n{self.name} needs {names}: {self.advice}put them in {target.parent}, or set "
                "dataset.path to a folder that has them"
            ) from None
        return _unpack(target)

    def _published(self, file: str) -> tuple[list[str], str]:
        """Return the URLs and the MD5 of a file, as defined in torchvision."""
        from torchvision import datasets

        torchvision_class = getattr(datasets, self.torchvision_name)
        return [f"{mirror}{file}" for mirror in torchvision_class.mirrors], dict(torchvision_class.resources)[file]


def parse_idx(content: bytes) -> NDArray[np.uint8]:
    """Parse an IDX file of uint8.

    The format is two zero bytes, the type (8 for uint8), the number of axes, their lengths and the values.

    Raises:
        DataError: if the content is not a valid IDX file of uint8.
    """
    import numpy as np

    axes = content[3] if len(content) > 3 else 0
    shape = tuple(int.from_bytes(content[4 + 4 * i : 8 + 4 * i], "big") for i in range(axes))
    values = np.frombuffer(content, np.uint8)[4 + 4 * axes :]
    if content[:3] != bytes((0, 0, _UINT8)) or not axes or len(values) != np.prod(shape, dtype=np.int64):
        raise DataError(
            f"expected an IDX file of uint8; got {content[:4]!r}, shape {shape} and {len(values)} values"
        )
    return values.reshape(shape)


def _find_first(folders: tuple[Path, ...], name: str) -> Path | None:
    paths = (folder / file for folder in folders for file in (name, f"{name}.gz"))
    return next((path for path in paths if path.is_file()), None)


def _unpack(path: Path, damaged: bytes | None = None) -> bytes:
    """Return the unpacked content of a file. For a damaged archive return `damaged`, or raise if it is None."""
    if path.suffix != ".gz":
        return path.read_bytes()
    try:
        return gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        if damaged is not None:
            return damaged
        raise DataError(f"{path}: cannot be unpacked: {error}") from None
