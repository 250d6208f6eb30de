"""Data sets on the Hugging Face Hub, and folders in the same formats."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from noisette import DataError, Dataset
from noisette.plugin_api import install_command

if TYPE_CHECKING:
    from noisette import Example, Split

__all__ = ["HuggingFace"]

_READ = ("parquet", "arrow", "imagefolder")
"""Supported formats: tables and images, which are read without unpickling or running code."""


class HuggingFace(Dataset):
    """Images of a data set on the Hugging Face hub, or of a folder of parquet or arrow files."""

    name: ClassVar[str] = "hugging-face"
    licence: ClassVar[str] = "that of the data set"
    source: ClassVar[str] = "the Hugging Face hub, or a local folder"

    path: str = Field(description="its name on the hub; or a folder: of parquet or arrow files, or by save_to_disk")
    config: str | None = Field(None, description="which of its configurations, where it has several")
    revision: str | None = Field(None, description="branch, tag or commit on the hub; a commit never changes")
    train: str = Field("train", description="split to train on")
    test: str | None = Field("test", description="split that is held out; null holds out a share of the other")
    held_out: float = Field(
        0.1, ge=0, lt=1, description="that share, chosen by a hash of the rows' numbers; 0: none"
    )
    image: str | None = Field(None, description="column of the images; null: the only one that has some")
    label: str | None = Field(None, description="column of the classes; null: images without labels")

    def has_test_split(self) -> bool:
        """Return whether there is a split or a share that is held out."""
        return self.test is not None or self.held_out > 0

    def examples(self, split: Split, cache: Path) -> Iterator[Example]:
        """Yield the rows of a split in order."""
        from noisette import Example
        from noisette.plugin_api import decode_image, read_image

        table = self._table(split)
        column = self._column(table)
        for number, row in enumerate(self._rows(table, column)):
            if self.test is None and self._is_held_out(number) != (split == "test"):
                continue
            source, stored = f"row {number}", row[column] or {}
            if stored.get("bytes"):
                example = decode_image(stored["bytes"], source)
            elif stored.get("path"):
                example = read_image(Path(stored["path"]))._replace(source=source)
            else:
                example = Example(None, source=source, rejected="there is no image in it")
            label = row[self.label] if self.label else None
            yield example._replace(label=label)

    def classes(self) -> tuple[str, ...]:
        """Return the class names; empty without `label`."""
        if self.label is None:
            return ()
        feature = self._table("train").features.get(self.label)
        names = getattr(feature, "names", None)
        if not names:
            raise DataError(f"{self.path}: dataset.label: expected a column of classes; {self.label} is {feature}")
        return tuple(names)

    def fingerprint(self) -> str:
        """Return a hash of the listing of a local folder."""
        from noisette.plugin_api import hash_listing, is_folder

        folder = Path(self.path).expanduser()
        return hash_listing(folder) if is_folder(folder) else ""

    def _is_held_out(self, number: int) -> bool:
        place = int.from_bytes(blake2b(number.to_bytes(8, "big"), digest_size=8).digest())
        return place < self.held_out * 2**64

    def _table(self, split: str) -> Any:
        if find_spec("datasets") is None:
            raise DataError(
                f"{self.name}: needs the library datasets, which noisette does without elsewhere: "
                f"{install_command('hugging-face')}"
            )
        wanted = self.train if split == "train" or self.test is None else self.test
        tables = _load_tables(self.path, self.config, self.revision, self.fingerprint())
        if wanted not in tables:
            option = "train" if wanted == self.train else "test"
            known, otherwise = ", ".join(map(str, tables)), ", or dataset.test=null to hold out a share"
            raise DataError(
                f"{self.path}: there is no split {wanted}; there are {known}: set dataset.{option}"
                + (otherwise if option == "test" else "")
            )
        return tables[wanted]

    def _column(self, table: Any) -> str:
        from datasets import Image

        found = [name for name, feature in table.features.items() if isinstance(feature, Image)]
        if self.image is None and len(found) == 1:
            return str(found[0])
        if self.image in found:
            return str(self.image)
        raise DataError(
            f"{self.path}: dataset.image: expected a column of images, "
            f"one of {', '.join(found) or 'none: it has no images'}; got {self.image}"
        )

    def _rows(self, table: Any, column: str) -> Iterator[dict[str, Any]]:
        """Return an iterator over the rows of memory-mapped files, with images not decoded."""
        from datasets import Image

        kept = [column, *([self.label] if self.label else [])]
        rows: Iterator[dict[str, Any]] = iter(table.select_columns(kept).cast_column(column, Image(decode=False)))
        return rows


@lru_cache(maxsize=4)
def _load_tables(path: str, config: str | None, revision: str | None, state: str) -> Any:
    """Return the splits of a data set from a folder, the cache of the library or the Hub.

    `state` is the fingerprint of the folder, which is part of the key of the LRU cache.
    """
    import datasets

    folder = Path(path).expanduser()
    try:
        if (folder / "dataset_dict.json").is_file():
            return datasets.load_from_disk(str(folder))
        if (folder / "state.json").is_file():
            return {"train": datasets.load_from_disk(str(folder))}
        place = str(folder) if folder.is_dir() else path
        builder = datasets.load_dataset_builder(place, config, revision=revision)
        kind = _builder_kind(builder)
        if kind not in _READ:
            raise DataError(f"{path}: its files are {kind}; expected {', '.join(_READ)}")
        builder.download_and_prepare()
        return builder.as_dataset()
    except DataError:
        raise
    except Exception as error:  # errors of the library, the Hub or the connection
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError(
            f"{path}: expected a data set of the hub, or a folder of parquet or arrow files: {reason}\n"
            "without a connection, copy its files here from a machine that has one, and name their folder"
        ) from None


def _builder_kind(builder: Any) -> str:
    """Return the file format of a builder, from the module of its class."""
    modules = [base.__module__.split(".") for base in type(builder).__mro__]
    return next((parts[2] for parts in modules if parts[:2] == ["datasets", "packaged_modules"]), "unknown")
