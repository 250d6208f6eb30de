"""Taking a data set in: every example is checked, made uniform and written, or counted as rejected."""

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
from noisette.data.npy import GrowingArray, Kept, KeptPart
from noisette.data.transform import Checker, Named
from noisette.errors import DataError
from noisette.plugins import registry

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from noisette.config import Preparation

__all__ = ["REJECTED", "Intake", "take_in"]

REJECTED = "rejected.jsonl"
_REPORT_EVERY = 1000
_KEEP_EVERY = 2000
_REASONS_SHOWN = 3

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]


def take_in(
    dataset: Dataset, preparation: Preparation, directory: Path, cache: Path, progress: Progress
) -> dict[str, Any]:
    """Write the pictures, labels and rejections of both splits; return what they are, as JSON values.

    What an earlier call that was stopped or killed had written to the directory is not read again.

    Args:
        dataset: what is read.
        preparation: how its pictures are made uniform.
        directory: where the files go.
        cache: folder of downloads.
        progress: is called now and then, and at the end, with how many files were found and rejected.

    Raises:
        DataError: as `prepare`.
    """
    intake = Intake(dataset, preparation, directory, progress, {"plugin": registry().origin_of(dataset)})
    for split in get_args(Split):
        intake.take(split, partial(_examples, dataset, split, cache), f"the {split} split")
    about = intake.finish()
    return {
        "plugin": registry().origin_of(dataset),
        "licence": dataset.licence,
        "source": dataset.source,
        "classes": list(intake.checker.classes),
        "class_counts": intake.of_class,
        **about,
    }


class Intake:
    """Pictures on their way to disk, part by part: accepted and written, or rejected with the reason.

    Args:
        whose: whose pictures they are, for messages; and the names of their labels.
        preparation: how they are made uniform.
        directory: where the files go.
        progress: is called now and then, and at the end, with how many files were found and rejected.
        identity: JSON values that decide the pictures beside the versions of libraries; what was written under
            others is not gone on with.
    """

    def __init__(
        self,
        whose: Named,
        preparation: Preparation,
        directory: Path,
        progress: Progress,
        identity: Mapping[str, Any] | None = None,
    ) -> None:
        self.checker = Checker(whose, preparation)
        self._whose, self._limit, self._directory, self._progress = whose, preparation.limit, directory, progress
        self._kept = Kept.load(directory, {"versions": _versions(), **(identity or {})})
        self.checker.begin(self._kept.shape, self._kept.first)

    @property
    def of_class(self) -> dict[str, list[int]]:
        """How many pictures of each class each part has."""
        return {name: part.of_class for name, part in self._kept.parts.items()}

    def take(self, part: str, examples: Callable[[int], Iterable[Example]], shown: str) -> None:
        """Write the pictures and labels of a part to `<part>.npy` and `<part>_labels.npy`.

        Args:
            part: names the files.
            examples: gives what is read, from the example of a number on.
            shown: what the part is called in messages.

        Raises:
            DataError: if there is no usable picture among them, or they differ (`MixedError`).
        """
        kept = self._kept
        tally = kept.parts.setdefault(part, KeptPart(of_class=[0] * len(self.checker.classes)))
        if not tally.whole:
            if tally.found:
                log.info("%s goes on behind picture %d of %s", self._whose.name, tally.found, shown)
            with _Rejections(self._directory, kept) as rejections, _Writer(self._directory, part, self) as writer:
                self._read(part, tally, examples(tally.found), writer, rejections)
                _require_pictures(self._whose.name, shown, tally)
                tally.whole = True
                self._keep(writer, rejections)

    def _read(
        self, part: str, tally: KeptPart, examples: Iterable[Example], writer: _Writer, rejections: _Rejections
    ) -> None:
        if tally.accepted == self._limit:
            return
        for example in examples:
            _take(example, part, tally, writer, rejections)
            found, rejected = _totals(self._kept.parts)
            if found % _REPORT_EVERY == 0:
                self._progress(found, rejected)
            if tally.found % _KEEP_EVERY == 0:
                self._keep(writer, rejections)
            if tally.accepted == self._limit:
                return

    def _keep(self, writer: _Writer, rejections: _Rejections) -> None:
        writer.flush()
        kept = self._kept
        kept.rejections, kept.shape, kept.first = rejections.flush(), self.checker.shape, self.checker.first
        kept.save(self._directory)

    def tally(self, part: str) -> KeptPart:
        """Return what became of a part's examples so far."""
        return self._kept.parts[part]

    def finish(self) -> dict[str, Any]:
        """Tell the last of the progress, and return what the pictures are, as JSON values."""
        self._progress(*_totals(self._kept.parts))
        return {
            "shape": list(self.checker.shape),
            "counts": {name: part.counts() for name, part in self._kept.parts.items()},
            "formats": {name: part.formats for name, part in self._kept.parts.items()},
            "duplicates": count_duplicates({name: self._directory / f"{name}.npy" for name in self._kept.parts}),
            "versions": _versions(),
        }


class _Rejections:
    """The file of what was rejected, as long as what is kept says."""

    def __init__(self, directory: Path, kept: Kept) -> None:
        self._path, self._length = directory / REJECTED, kept.rejections

    def __enter__(self) -> Self:
        self._file = self._path.open("ab")
        self._file.truncate(self._length)
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def write(self, record: Mapping[str, str]) -> None:
        """Append one line."""
        self._file.write(json.dumps(record).encode() + b"\n")

    def flush(self) -> int:
        """Have all lines so far on disk; return how many bytes they are."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._file.tell()


class _Writer:
    """The arrays of one split on their way to disk; they are opened when the first row shows their shape."""

    def __init__(self, directory: Path, part: str, intake: Intake) -> None:
        self._stem, self._checker = directory / part, intake.checker
        self._tally = intake.tally(part)
        self._arrays: dict[str, GrowingArray] = {}
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
        """Have all rows so far on disk."""
        for array in self._arrays.values():
            array.flush()

    def write(self, example: Example, image: Any) -> None:
        """Check and append the picture, and its label where the set has labels."""
        picture, label = self._checker.picture(example, image), self._checker.label(example)
        self._append(".npy", picture)
        if label is not None:
            self._append("_labels.npy", label)
            self._tally.of_class[int(label)] += 1

    def _append(self, suffix: str, row: NDArray[Any]) -> None:
        if suffix not in self._arrays:
            self._open(suffix, row.dtype, row.shape)
        self._arrays[suffix].append(row)

    def _open(self, suffix: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
        path = self._stem.with_name(self._stem.name + suffix)
        self._arrays[suffix] = self._files.enter_context(GrowingArray(path, dtype, shape, self._tally.accepted))


def _examples(dataset: Dataset, split: Split, cache: Path, start: int) -> Iterator[Example]:
    """Yield the examples from a number on; what the system refuses is their fault, not the output folder's."""
    try:
        yield from dataset.examples_from(split, cache, start)
    except OSError as error:
        raise DataError(f"{dataset.name}: cannot be read: {error}") from error


def _take(example: Example, part: str, tally: KeptPart, writer: _Writer, rejections: _Rejections) -> None:
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


def _versions() -> dict[str, str]:
    return {"noisette": version("noisette"), "numpy": np.__version__, "pillow": PIL.__version__}


def _totals(tallies: Mapping[str, KeptPart]) -> tuple[int, int]:
    return sum(tally.found for tally in tallies.values()), sum(tally.rejected for tally in tallies.values())


def _require_pictures(name: str, part: str, tally: KeptPart) -> None:
    if tally.accepted:
        return
    if not tally.found:
        raise DataError(f"{name}: expected pictures in {part}; there is none")
    reasons = "".join(f"\n  {reason}" for reason in tally.reasons)
    raise DataError(f"{name}: none of the {tally.found} files of {part} is a usable picture:{reasons}")
