"""CIFAR-10, read from the archive of its binary version without unpickling, and without unpacking to disk."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from noisette import DataError, Dataset, Example

if TYPE_CHECKING:
    from noisette import Split

__all__ = ["Cifar10"]

_ARCHIVE = "cifar-10-binary.tar.gz"
_FOLDER = "cifar-10-batches-bin"
_BATCHES = {"train": [f"data_batch_{number}.bin" for number in range(1, 6)], "test": ["test_batch.bin"]}
_RECORD = 1 + 3 * 32 * 32
"""Bytes per image: the label, then the red, green and blue channels, 32x32 each."""


class Cifar10(Dataset):
    """60,000 photographs of ten kinds, RGB, 32x32: 50,000 to train on, 10,000 held out; downloads 170 MB."""

    name: ClassVar[str] = "cifar10"
    paper: ClassVar[str] = "Krizhevsky 2009, Learning multiple layers of features from tiny images"
    licence: ClassVar[str] = "none stated; the authors ask to cite the report"
    source: ClassVar[str] = "A. Krizhevsky, V. Nair and G. Hinton, University of Toronto"

    md5: ClassVar[str] = "c32a1d4ab5d03f1284b67883e8d87530"
    records: ClassVar[int] = 10_000
    """Images per batch file."""

    path: Path | None = Field(
        None, description=f"{_ARCHIVE}, or a folder with it, with {_FOLDER} or with the .bin files; null downloads"
    )

    def examples(self, split: Split, cache: Path) -> Iterator[Example]:
        """Yield the images in the order of the batch files."""
        import numpy as np

        from noisette_plugins.datasets._common import iter_examples

        for name, content in self._batches(split, cache):
            if len(content) != self.records * _RECORD:
                raise DataError(f"{name}: expected {self.records * _RECORD} bytes; it has {len(content)}")
            records = np.frombuffer(content, np.uint8).reshape(-1, _RECORD)
            images = np.ascontiguousarray(records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
            for example in iter_examples(images, records[:, 0], range(len(records))):
                yield example._replace(source=f"{name}, {example.source}")

    def length(self, split: Split) -> int:
        """Return the published count."""
        return self.records * len(_BATCHES[split])

    def classes(self) -> tuple[str, ...]:
        """Return the class names in the order of `batches.meta.txt`."""
        return ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

    def fingerprint(self) -> str:
        """Return sizes and modification times of unpacked batch files, which have no published hashes."""
        folder = self._unpacked_folder()
        if folder is None:
            return ""
        files = [folder / name for names in _BATCHES.values() for name in names]
        found = [(file.name, file.stat()) for file in files if file.is_file()]
        return " ".join(f"{name}:{status.st_size}:{status.st_mtime_ns}" for name, status in found)

    def _batches(self, split: Split, cache: Path) -> Iterator[tuple[str, bytes]]:
        """Yield the names and contents of the batch files of a split."""
        folder = self._unpacked_folder()
        if folder is not None:
            for name in _BATCHES[split]:
                if not (folder / name).is_file():
                    raise DataError(f"{self.name}: expected {name} in {folder}; there is none")
                yield name, (folder / name).read_bytes()
            return
        with tarfile.open(self._archive(cache)) as archive:
            for name in _BATCHES[split]:
                member = archive.extractfile(f"{_FOLDER}/{name}")
                yield name, member.read() if member else b""

    def _unpacked_folder(self) -> Path | None:
        """Return the folder of unpacked batch files in `path`, or None."""
        if self.path is None:
            return None
        path = self.path.expanduser()
        names = [name for names in _BATCHES.values() for name in names]
        folders = (folder for folder in (path, path / _FOLDER) if any((folder / name).is_file() for name in names))
        return next(folders, None)

    def _archive(self, cache: Path) -> Path:
        """Return the verified archive, from `path` or downloaded."""
        from noisette.plugin_api import fetch

        if self.path is None:
            return fetch(self._urls(), cache / self.name / _ARCHIVE, md5=self.md5)
        return self._local_archive(self.path.expanduser())

    def _urls(self) -> list[str]:
        """Return the URL of the binary version, in the same folder as the URL in torchvision."""
        from torchvision.datasets import CIFAR10

        return [f"{CIFAR10.url.rpartition('/')[0]}/{_ARCHIVE}"]

    def _local_archive(self, path: Path) -> Path:
        found = next((file for file in (path, path / _ARCHIVE) if file.is_file()), None)
        if found is None:
            pickled = (
                " (cifar-10-batches-py is pickled, and never read)"
                if (path / "cifar-10-batches-py").is_dir()
                else ""
            )
            raise DataError(f"{self.name}: expected {_ARCHIVE}, {_FOLDER} or its .bin files in {path}{pickled}")
        with found.open("rb") as file:
            md5 = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        if md5 != self.md5:
            raise DataError(f"{found}: is not {_ARCHIVE}: expected md5 {self.md5}; it has {md5}")
        return found
