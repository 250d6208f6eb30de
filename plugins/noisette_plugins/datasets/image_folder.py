"""A folder of image files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from noisette import DataError, Dataset, Example

if TYPE_CHECKING:
    from noisette import Split
    from noisette.plugin_api import FileEntry

__all__ = ["ImageFolder"]


class ImageFolder(Dataset):
    """The images of a folder and of all folders in it, in natural order of their names.

    Every file that is not hidden is either accepted or rejected with its reason; none is ignored.
    """

    name: ClassVar[str] = "image-folder"
    licence: ClassVar[str] = "that of the images in the folder"
    source: ClassVar[str] = "a local folder"

    path: Path = Field(description="the folder")
    labels: bool = Field(False, description="take the names of the folders in it as classes")
    held_out: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="share held out, chosen by a hash of the names: new files move no old ones; 0: none",
    )

    def examples(self, split: Split, cache: Path) -> Iterator[Example]:
        """Yield the files of a split; files that are not images are rejected with the reason."""
        return self.examples_from(split, cache, 0)

    def examples_from(self, split: Split, cache: Path, start: int) -> Iterator[Example]:
        """Yield the files of a split from an index on; earlier files are not opened."""
        numbers = {name: number for number, name in enumerate(self.classes())}
        counts, wanted = [0, 0], split == "test"
        for entry in self._entries():
            held_out = self._is_held_out(entry.name)
            counts[held_out] += 1
            if held_out == wanted and counts[held_out] > start:
                yield self._example(entry, numbers)
        if not counts[wanted]:
            raise DataError(
                f"{self.name}: none of the {sum(counts)} files in {self._root()} falls into the {split} split; "
                f"add images, or change dataset.held_out, which is {self.held_out}"
            )

    def has_test_split(self) -> bool:
        """Return whether `held_out` is not 0."""
        return self.held_out > 0

    def classes(self) -> tuple[str, ...]:
        """Return the names of the folders that contain files, in natural order; empty without `labels`."""
        from noisette.plugin_api import natural_key

        if not self.labels:
            return ()
        folders = {_folder(entry.name) for entry in self._entries() if not entry.fault} - {""}
        if not folders:
            raise DataError(
                f"{self.name}: dataset.labels needs a folder for each class in {self.path}; there is none"
            )
        return tuple(sorted(folders, key=natural_key))

    def fingerprint(self) -> str:
        """Return a hash of the names, sizes and modification times of the files."""
        from noisette.plugin_api import hash_listing

        return hash_listing(self._require_folder())

    def _root(self) -> Path:
        return self.path.expanduser()

    def _entries(self) -> Iterator[FileEntry]:
        from noisette.plugin_api import iter_files

        yield from iter_files(self._require_folder())

    def _require_folder(self) -> Path:
        from noisette.plugin_api import is_folder

        if not is_folder(self._root()):
            raise DataError(f"{self.name}: expected a folder at {self._root()}; there is none (dataset.path)")
        return self._root()

    def _is_held_out(self, name: str) -> bool:
        number = int.from_bytes(blake2b(os.fsencode(name), digest_size=8).digest())
        return number < self.held_out * 2**64

    def _example(self, entry: FileEntry, numbers: dict[str, int]) -> Example:
        from noisette.plugin_api import read_image, to_printable

        source, folder = to_printable(entry.name), _folder(entry.name)
        if entry.fault:
            return Example(None, source=source, rejected=entry.fault)
        if self.labels and not folder:
            return Example(None, source=source, rejected="lies in no folder that could name its class")
        return read_image(self._root() / entry.name)._replace(source=source, label=numbers.get(folder))


def _folder(name: str) -> str:
    """Return the printable name of the top-level folder of a file; "" for a file without one."""
    from noisette.plugin_api import to_printable

    first, slash, _ = name.partition("/")
    return to_printable(first) if slash else ""
