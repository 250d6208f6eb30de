"""One of the ten scene categories of LSUN."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from weakref import WeakValueDictionary

from pydantic import Field

from noisette import DataError, Dataset
from noisette.plugin_api import install_command

if TYPE_CHECKING:
    from noisette import Example, Split

__all__ = ["Lsun"]

_ADDRESS = "http://dl.yf.io/lsun/scenes"
_PARTS: dict[str, str] = {"train": "train", "test": "val"}

Category = Literal[
    "bedroom",
    "bridge",
    "church_outdoor",
    "classroom",
    "conference_room",
    "dining_room",
    "kitchen",
    "living_room",
    "restaurant",
    "tower",
]


_open: WeakValueDictionary[str, Any] = WeakValueDictionary()


def _open_database(folder: Path) -> Any:
    """Open a database, shared by concurrent iterators: LMDB allows a process to open it only once."""
    import lmdb

    path = str(folder.resolve())
    database = _open.get(path)
    if database is None:
        try:
            database = lmdb.open(path, readonly=True, lock=False, readahead=False, create=False)
        except lmdb.Error as error:
            raise DataError(f"{folder}: cannot be read as an LMDB database: {error}") from None
        _open[path] = database
    return database


class Lsun(Dataset):
    """Scenes of one kind, RGB, at least 256 wide and high: up to 3 million, 300 held out; downloads 2 to 43 GB."""

    name: ClassVar[str] = "lsun"
    paper: ClassVar[str] = "Yu et al. 2015, LSUN: construction of a large-scale image dataset using deep learning"
    licence: ClassVar[str] = "none stated; photographs from the web, for research"
    source: ClassVar[str] = "F. Yu and others, Princeton University"

    counts: ClassVar[dict[str, int]] = {
        "bedroom": 3_033_042,
        "bridge": 818_687,
        "church_outdoor": 126_227,
        "classroom": 168_103,
        "conference_room": 229_069,
        "dining_room": 657_571,
        "kitchen": 2_212_277,
        "living_room": 1_315_802,
        "restaurant": 626_331,
        "tower": 708_264,
    }
    held_out: ClassVar[int] = 300
    address: ClassVar[str] = _ADDRESS

    category: Category = Field("bedroom", description="what the scenes show")
    path: Path | None = Field(
        None,
        description="folder with bedroom_train_lmdb and bedroom_val_lmdb, or with bedroom_train and bedroom_val, "
        "folders of images exported from them; null downloads",
    )

    def examples(self, split: Split, cache: Path) -> Iterator[Example]:
        """Yield the scenes in order of the keys of the database, or of the file names in a folder."""
        return self.examples_from(split, cache, 0)

    def examples_from(self, split: Split, cache: Path, start: int) -> Iterator[Example]:
        """Yield the scenes from an index on; earlier ones are not decoded."""
        exported = self._exported_folder(split)
        if exported is not None:
            return self._iter_folder(exported, start)
        return self._iter_database(self._database(split, cache), split, start)

    def length(self, split: Split) -> int | None:
        """Return the published count, or None for exported folders."""
        if self._exported_folder(split) is not None:
            return None
        return self.counts[self.category] if split == "train" else self.held_out

    def fingerprint(self) -> str:
        """Return hashes of the listings of exported folders, or sizes and modification times of the databases."""
        from noisette.plugin_api import hash_listing

        facts = []
        for split in ("train", "test"):
            folder, file = self._exported_folder(split), self._local(split)
            if folder is not None:
                facts.append(hash_listing(folder))
            elif file is not None and (file / "data.mdb").is_file():
                status = (file / "data.mdb").stat()
                facts.append(f"{status.st_size}:{status.st_mtime_ns}")
        return " ".join(facts)

    def _iter_folder(self, folder: Path, start: int) -> Iterator[Example]:
        from noisette import Example
        from noisette.plugin_api import iter_files, read_image, to_printable

        for entry in islice(iter_files(folder), start, None):
            source = to_printable(entry.name)
            if entry.fault:
                yield Example(None, source=source, rejected=entry.fault)
            else:
                yield read_image(folder / entry.name)._replace(source=source)

    def _iter_database(self, folder: Path, split: Split, start: int) -> Iterator[Example]:
        from noisette.plugin_api import decode_image

        database = _open_database(folder)
        with database.begin(buffers=False) as transaction:
            expected = self.counts[self.category] if split == "train" else self.held_out
            entries = transaction.stat()["entries"]
            if entries != expected:
                raise DataError(
                    f"{folder}: expected {expected} images; it has {entries}. Of a part of LSUN, export the "
                    "images and name their folder: dataset: {name: image-folder, path: ...}"
                )
            for key, content in islice(transaction.cursor(), start, None):
                yield decode_image(content, key.decode("ascii", "backslashreplace"))

    def _name(self, split: str) -> str:
        return f"{self.category}_{_PARTS[split]}"

    def _exported_folder(self, split: str) -> Path | None:
        if self.path is None:
            return None
        folder = self.path.expanduser() / self._name(split)
        return folder if folder.is_dir() else None

    def _local(self, split: str) -> Path | None:
        return None if self.path is None else self.path.expanduser() / f"{self._name(split)}_lmdb"

    def _database(self, split: str, cache: Path) -> Path:
        if find_spec("lmdb") is None:
            raise DataError(
                f"{self.name}: its databases need lmdb, which noisette does without elsewhere: "
                f"{install_command('lsun')}"
            )
        local = self._local(split)
        if local is None:
            return self._download(split, cache / self.name)
        if not (local / "data.mdb").is_file():
            raise DataError(
                f"{self.name}: expected {local.name} or {self._name(split)} in {self.path}; there is neither"
            )
        return local

    def _download(self, split: str, folder: Path) -> Path:
        """Return a database from the cache, downloading it if necessary. The archive is deleted once unpacked."""
        from noisette.plugin_api import fetch
        from noisette_plugins.datasets._common import unpack_archive

        target = folder / f"{self._name(split)}_lmdb"
        if target.is_dir():
            return target
        archive = fetch([f"{self.address}/{target.name}.zip"], folder / f"{target.name}.zip", is_zip=True)
        unpack_archive(archive, target, target.name)
        archive.unlink()
        return target
