"""CelebA, the aligned and cropped version."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from noisette import DataError, Dataset

if TYPE_CHECKING:
    from noisette import Example, Split

__all__ = ["CelebA"]

_ARCHIVE, _FOLDER, _SPLITS = "img_align_celeba.zip", "img_align_celeba", "list_eval_partition.txt"
_NUMBERS: dict[str, str] = {"train": "0", "test": "2"}
"""Numbers of the splits. 1 is the validation split of 19,867 images, which is not used."""


class CelebA(Dataset):
    """182,732 aligned faces, RGB, 178x218: 162,770 to train on, 19,962 held out; downloads 1.4 GB."""

    name: ClassVar[str] = "celeba"
    paper: ClassVar[str] = "Liu, Luo, Wang & Tang 2015, Deep learning face attributes in the wild"
    licence: ClassVar[str] = "non-commercial research only; the images belong to others (CelebA agreement)"
    source: ClassVar[str] = "Multimedia Laboratory, The Chinese University of Hong Kong"

    md5: ClassVar[dict[str, str]] = {
        _ARCHIVE: "00d2c5bc6d35e252742224ab0c1e8fcb",
        _SPLITS: "d32c9cbf5e040fd4025c592c306e6668",
    }
    counts: ClassVar[dict[str, int]] = {"train": 162_770, "test": 19_962}

    path: Path | None = Field(
        None,
        description=f"folder with {_SPLITS} and {_ARCHIVE} or {_FOLDER}, such as torchvision's celeba or the one "
        "above it; null downloads",
    )

    def examples(self, split: Split, cache: Path) -> Iterator[Example]:
        """Yield the faces in order of their numbers, read from the archive without unpacking it."""
        return self.examples_from(split, cache, 0)

    def examples_from(self, split: Split, cache: Path, start: int) -> Iterator[Example]:
        """Yield the faces from an index on."""
        from noisette.plugin_api import decode_image

        names = self._names(split, cache)[start:]
        with self._reading(cache) as read:
            for name in names:
                yield decode_image(read(name), name)

    def length(self, split: Split) -> int:
        """Return the published count."""
        return self.counts[split]

    def fingerprint(self) -> str:
        """Return the modification time of a folder of unpacked images, which has no published hash."""
        loose = self._unpacked_folder()
        return f"{loose.stat().st_mtime_ns}" if loose else ""

    def _names(self, split: Split, cache: Path) -> list[str]:
        lines = self._file(_SPLITS, cache).read_text(encoding="ascii").splitlines()
        names = [line.split()[0] for line in lines if line.split()[1:] == [_NUMBERS[split]]]
        if len(names) != self.counts[split]:
            raise DataError(f"{_SPLITS}: expected {self.counts[split]} names of {split}; it has {len(names)}")
        return names

    @contextmanager
    def _reading(self, cache: Path) -> Iterator[Callable[[str], bytes]]:
        """Yield a function from the name of an image to its content."""
        loose = self._unpacked_folder()
        if loose is not None:
            yield lambda name: _content(loose / name)
            return
        with zipfile.ZipFile(self._file(_ARCHIVE, cache)) as archive:
            yield lambda name: archive.read(f"{_FOLDER}/{name}")

    def _file(self, name: str, cache: Path) -> Path:
        from noisette_plugins.datasets._common import fetch_published_file, find_local_file

        found = find_local_file(name, self._folders(), self.md5[name])
        if found is None and self.path is not None:
            raise DataError(f"{self.name}: expected {name} in {self.path} or {self.path / 'celeba'}; there is none")
        return found or fetch_published_file(name, cache / self.name, self._urls(name), self.md5[name], self.md5)

    def _folders(self) -> tuple[Path, ...]:
        if self.path is None:
            return ()
        path = self.path.expanduser()
        return path, path / "celeba"

    def _unpacked_folder(self) -> Path | None:
        """Return the folder of unpacked images in `path`, or None if there is none or the archive is there."""
        if any((folder / _ARCHIVE).is_file() for folder in self._folders()):
            return None
        return next((folder / _FOLDER for folder in self._folders() if (folder / _FOLDER).is_dir()), None)

    def _urls(self, name: str) -> list[str]:
        """Return the Google Drive URL of the file, from the id in torchvision."""
        from torchvision import datasets

        ids = {file: identity for identity, _, file in datasets.CelebA.file_list}
        return [f"https://drive.usercontent.google.com/download?id={ids[name]}&export=download&confirm=t"]


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: is missing: the folder is not all of CelebA") from None
