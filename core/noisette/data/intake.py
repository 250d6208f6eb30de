"""Taking a data set in: every example is checked, made uniform and written, or counted as rejected."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, get_args

import numpy as np
import PIL

from noisette.contracts import Dataset, Example, Split
from noisette.data.check import Checker, Named
from noisette.data.growing import GrowingArray
from noisette.errors import DataError
from noisette.plugins import registry

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from noisette.config import Preparation

__all__ = ["REJECTED", "Intake", "take_in"]

REJECTED = "rejected.jsonl"
_REPORT_EVERY = 1000
_REASONS_SHOWN = 3

Progress = Callable[[int, int], None]


@dataclass
class _Tally:
    """What became of the examples of a split: accepted + rejected = found."""

    found: int = 0
    accepted: int = 0
    rejected: int = 0
    reasons: list[str] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        return {"found": self.found, "accepted": self.accepted, "rejected": self.rejected}


def take_in(
    dataset: Dataset, preparation: Preparation, directory: Path, cache: Path, progress: Progress
) -> dict[str, Any]:
    """Write the pictures, labels and rejections of both splits; return what they are, as JSON values.

    Args:
        dataset: what is read.
        preparation: how its pictures are made uniform.
        directory: where the files go.
        cache: folder of downloads.
        progress: is called now and then, and at the end, with how many files were found and rejected.

    Raises:
        DataError: as `prepare`.
    """
    intake = Intake(dataset, preparation, directory, progress)
    for split in get_args(Split):
        intake.take(split, _examples(dataset, split, cache), f"the {split} split")
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
    """

    def __init__(self, whose: Named, preparation: Preparation, directory: Path, progress: Progress) -> None:
        self.checker = Checker(whose, preparation)
        self.tallies: dict[str, _Tally] = {}
        self.of_class: dict[str, list[int]] = {}
        self._whose, self._limit, self._directory, self._progress = whose, preparation.limit, directory, progress

    def take(self, part: str, examples: Iterable[Example], shown: str) -> None:
        """Write the pictures and labels of a part to `<part>.npy` and `<part>_labels.npy`.

        Args:
            part: names the files.
            examples: what is read.
            shown: what the part is called in messages.

        Raises:
            DataError: if there is no usable picture among them, or they differ (`MixedError`).
        """
        tally = self.tallies[part] = _Tally()
        with (
            (self._directory / REJECTED).open("a", encoding="utf-8") as rejections,
            _Writer(self._directory, part, self.checker) as writer,
        ):
            for example in examples:
                _take(example, part, tally, writer, rejections)
                found, rejected = _totals(self.tallies)
                if found % _REPORT_EVERY == 0:
                    self._progress(found, rejected)
                if tally.accepted == self._limit:
                    break
        _require_pictures(self._whose.name, shown, tally)
        self.of_class[part] = writer.of_class

    def finish(self) -> dict[str, Any]:
        """Tell the last of the progress, and return what the pictures are, as JSON values."""
        self._progress(*_totals(self.tallies))
        return {
            "shape": list(self.checker.shape),
            "counts": {part: tally.counts() for part, tally in self.tallies.items()},
            "versions": {"noisette": version("noisette"), "numpy": np.__version__, "pillow": PIL.__version__},
        }


class _Writer:
    """The arrays of one split on their way to disk; they are opened when the first row shows their shape."""

    def __init__(self, directory: Path, part: str, checker: Checker) -> None:
        self.of_class = [0] * len(checker.classes)
        self._stem, self._checker = directory / part, checker
        self._arrays: dict[str, GrowingArray] = {}
        self._files = ExitStack()

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, *error: Any) -> None:
        self._files.__exit__(*error)

    def write(self, example: Example, image: Any) -> None:
        """Check and append the picture, and its label where the set has labels."""
        picture, label = self._checker.picture(example, image), self._checker.label(example)
        self._append(".npy", picture)
        if label is not None:
            self._append("_labels.npy", label)
            self.of_class[int(label)] += 1

    def _append(self, suffix: str, row: NDArray[Any]) -> None:
        if suffix not in self._arrays:
            array = GrowingArray(self._stem.with_name(self._stem.name + suffix), row.dtype, row.shape)
            self._arrays[suffix] = self._files.enter_context(array)
        self._arrays[suffix].append(row)


def _examples(dataset: Dataset, split: Split, cache: Path) -> Iterator[Example]:
    """Yield the examples; what the system refuses is the data's fault here, not that of the output folder."""
    try:
        yield from dataset.examples(split, cache)
    except OSError as error:
        raise DataError(f"{dataset.name}: cannot be read: {error}") from error


def _take(example: Example, part: str, tally: _Tally, writer: _Writer, rejections: IO[str]) -> None:
    tally.found += 1
    if example.image is not None:
        writer.write(example, example.image)
        tally.accepted += 1
        return
    tally.rejected += 1
    if len(tally.reasons) < _REASONS_SHOWN:
        tally.reasons.append(f"{example.source}: {example.rejected}")
    record = {"split": part, "source": example.source, "reason": example.rejected}
    rejections.write(json.dumps(record) + "\n")


def _totals(tallies: dict[str, _Tally]) -> tuple[int, int]:
    return sum(tally.found for tally in tallies.values()), sum(tally.rejected for tally in tallies.values())


def _require_pictures(name: str, part: str, tally: _Tally) -> None:
    if tally.accepted:
        return
    if not tally.found:
        raise DataError(f"{name}: expected pictures in {part}; there is none")
    reasons = "".join(f"\n  {reason}" for reason in tally.reasons)
    raise DataError(f"{name}: none of the {tally.found} files of {part} is a usable picture:{reasons}")
