"""Ingestion of a data set: every example is checked, made uniform and written, or counted as rejected."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, get_args

import numpy as np
import PIL

from noisette.contracts import Dataset, Example, Split
from noisette.data.duplicates import count_duplicates
from noisette.data.npy import IngestProgress, NpyWriter, PartProgress
from noisette.data.transform import ExampleChecker, Labelled
from noisette.errors import DataError
from noisette.plugins import registry

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from noisette.config import Preparation

__all__ = ["REJECTED", "Ingestion", "ingest"]

REJECTED = "rejected.jsonl"
_REPORT_EVERY = 1000
_SAVE_EVERY = 2000
_REASONS_SHOWN = 3

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]


def ingest(
    dataset: Dataset, preparation: Preparation, directory: Path, cache: Path, progress: Progress
) -> dict[str, Any]:
    """Write the images, labels and rejections of the splits; return a description of them as JSON values.

    An interrupted call is resumed: examples that it wrote to the directory are not read again.

    Args:
        dataset: data set to read.
        preparation: how the images are made uniform.
        directory: folder to write to.
        cache: folder of downloads.
        progress: called at intervals and at the end with the number of files found and rejected.

    Raises:
        DataError: see `prepare`.
    """
    ingestion = Ingestion(dataset, preparation, directory, progress, {"plugin": registry().origin_of(dataset)})
    for split in get_args(Split) if dataset.has_test_split() else ("train",):
        ingestion.add_part(split, partial(_iter_examples, dataset, split, cache), f"the {split} split")
    about = ingestion.finish()
    return {
        "plugin": registry().origin_of(dataset),
        "licence": dataset.licence,
        "source": dataset.source,
        "classes": list(ingestion.checker.classes),
        "class_counts": ingestion.of_class,
        **about,
    }


class Ingestion:
    """Writes images to disk part by part; each is accepted and written, or rejected with a reason.

    Args:
        owner: data set or folder that the images belong to; gives the name in messages and the class names.
        preparation: how the images are made uniform.
        directory: folder to write to.
        progress: called at intervals and at the end with the number of files found and rejected.
        identity: JSON values that determine the images, in addition to the library versions. An earlier ingestion
            with another identity is not resumed.
    """

    def __init__(
        self,
        owner: Labelled,
        preparation: Preparation,
        directory: Path,
        progress: Progress,
        identity: Mapping[str, Any] | None = None,
    ) -> None:
        self.checker = ExampleChecker(owner, preparation)
        self._owner, self._limit, self._directory, self._progress = owner, preparation.limit, directory, progress
        self._saved = IngestProgress.load(directory, {"versions": _library_versions(), **(identity or {})})
        self.checker.resume_from(self._saved.shape, self._saved.first)

    @property
    def of_class(self) -> dict[str, list[int]]:
        """Number of images of each class, by part."""
        return {name: part.of_class for name, part in self._saved.parts.items()}

    def add_part(self, part: str, examples: Callable[[int], Iterable[Example]], description: str) -> None:
        """Write the images and labels of a part to `<part>.npy` and `<part>_labels.npy`.

        Args:
            part: name of the part, used for the files.
            examples: function from a start index to the examples from that index on.
            description: name of the part in messages.

        Raises:
            DataError: if there is no usable image.
            MixedError: if images differ in size or channels.
        """
        saved = self._saved
        tally = saved.parts.setdefault(part, PartProgress(of_class=[0] * len(self.checker.classes)))
        if not tally.whole:
            if tally.found:
                log.info("%s goes on behind image %d of %s", self._owner.name, tally.found, description)
            with (
                _RejectionLog(self._directory, saved) as rejections,
                _Writer(self._directory, part, self) as writer,
            ):
                self._read(part, tally, examples(tally.found), writer, rejections)
                _require_images(self._owner.name, description, tally)
                tally.whole = True
                self._save_progress(writer, rejections)

    def _read(
        self,
        part: str,
        tally: PartProgress,
        examples: Iterable[Example],
        writer: _Writer,
        rejections: _RejectionLog,
    ) -> None:
        if tally.accepted == self._limit:
            return
        for example in examples:
            _ingest_example(example, part, tally, writer, rejections)
            found, rejected = _sum_counts(self._saved.parts)
            if found % _REPORT_EVERY == 0:
                self._progress(found, rejected)
            if tally.found % _SAVE_EVERY == 0:
                self._save_progress(writer, rejections)
            if tally.accepted == self._limit:
                return

    def _save_progress(self, writer: _Writer, rejections: _RejectionLog) -> None:
        writer.flush()
        saved = self._saved
        saved.rejections, saved.shape, saved.first = rejections.flush(), self.checker.shape, self.checker.first
        saved.save(self._directory)

    def tally(self, part: str) -> PartProgress:
        """Return the counts of a part so far."""
        return self._saved.parts[part]

    def finish(self) -> dict[str, Any]:
        """Report the final progress and return a description of the images as JSON values."""
        self._progress(*_sum_counts(self._saved.parts))
        return {
            "shape": list(self.checker.shape),
            "counts": {name: part.counts() for name, part in self._saved.parts.items()},
            "formats": {name: part.formats for name, part in self._saved.parts.items()},
            "duplicates": count_duplicates({name: self._directory / f"{name}.npy" for name in self._saved.parts}),
            "versions": _library_versions(),
        }


class _RejectionLog:
    """The file of rejections, truncated to the length in the saved progress."""

    def __init__(self, directory: Path, saved: IngestProgress) -> None:
        self._path, self._length = directory / REJECTED, saved.rejections

    def __enter__(self) -> Self:
        self._file = self._path.open("ab")
        self._file.truncate(self._length)
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def write(self, record: Mapping[str, str]) -> None:
        """Append a line."""
        self._file.write(json.dumps(record).encode() + b"\n")

    def flush(self) -> int:
        """Write all lines to disk and return the length of the file in bytes."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._file.tell()


class _Writer:
    """Writes the arrays of one part; they are created when the first row gives their shape."""

    def __init__(self, directory: Path, part: str, ingestion: Ingestion) -> None:
        self._stem, self._checker = directory / part, ingestion.checker
        self._tally = ingestion.tally(part)
        self._arrays: dict[str, NpyWriter] = {}
        self._files = ExitStack()

    def __enter__(self) -> Self:
        if self._tally.accepted:
            self._open(".npy", np.dtype(np.uint8), self._checker.shape)
            if self._checker.classes:
                self._open("_labels.npy", np.dtype(np.int64), ())
        return self

    def __exit__(self, *error: Any) -> None:
        self._files.__exit__(*error)

    def flush(self) -> None:
        """Write all rows to disk."""
        for array in self._arrays.values():
            array.flush()

    def write(self, example: Example, image: Any) -> None:
        """Check and append the image and, if the data set has labels, its label."""
        image_array, label = self._checker.check_image(example, image), self._checker.check_label(example)
        self._append(".npy", image_array)
        if label is not None:
            self._append("_labels.npy", label)
            self._tally.of_class[int(label)] += 1

    def _append(self, suffix: str, row: NDArray[Any]) -> None:
        if suffix not in self._arrays:
            self._open(suffix, row.dtype, row.shape)
        self._arrays[suffix].append(row)

    def _open(self, suffix: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
        path = self._stem.with_name(self._stem.name + suffix)
        self._arrays[suffix] = self._files.enter_context(NpyWriter(path, dtype, shape, self._tally.accepted))


def _iter_examples(dataset: Dataset, split: Split, cache: Path, start: int) -> Iterator[Example]:
    """Yield the examples from an index on; an OSError becomes a DataError, to tell it from one of the output."""
    try:
        yield from dataset.examples_from(split, cache, start)
    except OSError as error:
        raise DataError(f"{dataset.name}: cannot be read: {error}") from error


def _ingest_example(
    example: Example, part: str, tally: PartProgress, writer: _Writer, rejections: _RejectionLog
) -> None:
    tally.found += 1
    if example.image is not None:
        writer.write(example, example.image)
        tally.accepted += 1
        if example.image.format:
            tally.formats[example.image.format] = tally.formats.get(example.image.format, 0) + 1
        return
    tally.rejected += 1
    if len(tally.reasons) < _REASONS_SHOWN:
        tally.reasons.append(f"{example.source}: {example.rejected}")
    rejections.write({"split": part, "source": example.source, "reason": example.rejected})


def _library_versions() -> dict[str, str]:
    return {"noisette": version("noisette"), "numpy": np.__version__, "pillow": PIL.__version__}


def _sum_counts(tallies: Mapping[str, PartProgress]) -> tuple[int, int]:
    return sum(tally.found for tally in tallies.values()), sum(tally.rejected for tally in tallies.values())


def _require_images(name: str, part: str, tally: PartProgress) -> None:
    if tally.accepted:
        return
    if not tally.found:
        raise DataError(f"{name}: expected images in {part}; there is none")
    reasons = "".join(f"\n  {reason}" for reason in tally.reasons)
    raise DataError(f"{name}: none of the {tally.found} files of {part} is a usable image:{reasons}")
