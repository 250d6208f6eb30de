"""Oxford Flowers 102."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from noisette import DataError, Dataset

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from noisette import Example, Split

__all__ = ["Flowers102"]

_ARCHIVE, _LABELS, _SPLITS = "102flowers.tgz", "imagelabels.mat", "setid.mat"
_IMAGES = "jpg"
_TWIN = "flowers-102"
"""Name of torchvision's folder."""


class Flowers102(Dataset):
    """7,169 photographs of 102 kinds of flower, RGB: 1,020 to train on, 6,149 held out; downloads 345 MB."""

    name: ClassVar[str] = "flowers102"
    paper: ClassVar[str] = "Nilsback & Zisserman 2008, Automated flower classification"
    licence: ClassVar[str] = "none stated; photographs from the web, for research"
    source: ClassVar[str] = "Visual Geometry Group, University of Oxford"

    md5: ClassVar[dict[str, str]] = {
        _ARCHIVE: "52808999861908f626f3c1f4e79d11fa",
        _LABELS: "e0620be6f572b9609742df49c70aed4d",
        _SPLITS: "a5357ecc9cb78c4bef273ce3793fc85c",
    }
    counts: ClassVar[dict[str, int]] = {"trnid": 1020, "valid": 1020, "tstid": 6149}

    path: Path | None = Field(
        None,
        description=f"folder with {_LABELS}, {_SPLITS} and {_ARCHIVE} or {_IMAGES}, such as torchvision's "
        f"{_TWIN} or the one above it; null downloads",
    )
    validation: bool = Field(False, description="train on the 1,020 validation images as well")

    def examples(self, split: Split, cache: Path) -> Iterator[Example]:
        """Yield the images in order of their numbers."""
        from noisette.plugin_api import read_image

        labels, folder = self._table(_LABELS, "labels", cache), self._images(cache)
        for number in sorted(self._numbers(split, cache)):
            path = folder / f"image_{number:05d}.jpg"
            if not path.is_file():
                raise DataError(f"{path}: is missing: the folder is not all of Flowers 102")
            yield read_image(path)._replace(label=int(labels[number - 1]) - 1, source=path.name)

    def length(self, split: Split) -> int:
        """Return the published count."""
        return sum(self.counts[part] for part in self._parts(split))

    def classes(self) -> tuple[str, ...]:
        """Return the class names in label order, from torchvision."""
        from torchvision import datasets

        return tuple(datasets.Flowers102.classes)

    def fingerprint(self) -> str:
        """Return the modification time of a folder of unpacked images, which has no published hash."""
        loose = self._unpacked_folder()
        return f"{loose.stat().st_mtime_ns}" if loose else ""

    def _numbers(self, split: Split, cache: Path) -> list[int]:
        return [number for part in self._parts(split) for number in self._part(part, cache)]

    def _parts(self, split: Split) -> tuple[str, ...]:
        return ("tstid",) if split == "test" else ("trnid", "valid") if self.validation else ("trnid",)

    def _part(self, part: str, cache: Path) -> list[int]:
        numbers: list[int] = self._table(_SPLITS, part, cache).tolist()
        if len(numbers) != self.counts[part]:
            raise DataError(f"{_SPLITS}: expected {self.counts[part]} numbers in {part}; it has {len(numbers)}")
        return numbers

    def _table(self, file: str, key: str, cache: Path) -> NDArray[np.integer[Any]]:
        """Return an array, (N,), from a MATLAB file. Such files hold only data, no code."""
        from scipy.io import loadmat

        table: NDArray[np.integer[Any]] = loadmat(self._file(file, cache))[key].ravel()
        return table

    def _images(self, cache: Path) -> Path:
        from noisette_plugins.datasets._common import unpack_archive

        return self._unpacked_folder() or unpack_archive(
            self._file(_ARCHIVE, cache), cache / self.name / _IMAGES, _IMAGES
        )

    def _file(self, name: str, cache: Path) -> Path:
        from noisette_plugins.datasets._common import fetch_published_file, find_local_file

        found = find_local_file(name, self._folders(), self.md5[name])
        if found is None and self.path is not None:
            raise DataError(f"{self.name}: expected {name} in {self.path} or {self.path / _TWIN}; there is none")
        return found or fetch_published_file(name, cache / self.name, self._urls(name), self.md5[name], self.md5)

    def _folders(self) -> tuple[Path, ...]:
        if self.path is None:
            return ()
        path = self.path.expanduser()
        return path, path / _TWIN

    def _unpacked_folder(self) -> Path | None:
        """Return the folder of unpacked images in `path`, or None."""
        folders = (folder / _IMAGES for folder in self._folders())
        return next((folder for folder in folders if folder.is_dir()), None)

    def _urls(self, name: str) -> list[str]:
        """Return the publisher's URL, from torchvision."""
        from torchvision import datasets

        return [f"{datasets.Flowers102._download_url_prefix}{name}"]
