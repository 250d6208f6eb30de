"""Taking a data set in: every example is checked, made uniform and written, or counted as rejected."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, get_args

import numpy as np
import PIL

from noisette.contracts import Dataset, Example, Split
from noisette.data.check import Checker
from noisette.data.growing import GrowingArray
from noisette.errors import DataError
from noisette.plugins import registry

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from noisette.config import Preparation

__all__ = ["REJECTED", "take_in"]

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
    checker = Checker(dataset, preparation)
    tallies: dict[Split, _Tally] = {split: _Tally() for split in get_args(Split)}
    of_class: dict[Split, list[int]] = {}
    with (directory / REJECTED).open("w", encoding="utf-8") as rejections:
        for split, tally in tallies.items():
            with _Writer(directory, split, checker) as writer:
                for example in _examples(dataset, split, cache):
                    _take(example, split, tally, writer, rejections)
                    found, rejected = _totals(tallies)
                    if found % _REPORT_EVERY == 0:
                        progress(found, rejected)
                    if tally.accepted == preparation.limit:
                        break
            _require_pictures(dataset, split, tally)
            of_class[split] = writer.of_class
    progress(*_totals(tallies))
    return {
        "plugin": registry().origin_of(dataset),
        "licence": dataset.licence,
        "source": dataset.source,
        "shape": list(checker.shape),
        "classes": list(checker.classes),
        "counts": {split: tally.counts() for split, tally in tallies.items()},
        "class_counts": of_class,
        "versions": {"noisette": version("noisette"), "numpy": np.__version__, "pillow": PIL.__version__},
    }


class _Writer:
    """The arrays of one split on their way to disk; they are opened when the first row shows their shape."""

    def __init__(self, directory: Path, split: Split, checker: Checker) -> None:
        self.of_class = [0] * len(checker.classes)
        self._stem, self._checker = directory / split, checker
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


def _take(example: Example, split: Split, tally: _Tally, writer: _Writer, rejections: IO[str]) -> None:
    tally.found += 1
    if example.image is not None:
        writer.write(example, example.image)
        tally.accepted += 1
        return
    tally.rejected += 1
    if len(tally.reasons) < _REASONS_SHOWN:
        tally.reasons.append(f"{example.source}: {example.rejected}")
    record = {"split": split, "source": example.source, "reason": example.rejected}
    rejections.write(json.dumps(record) + "\n")


def _totals(tallies: dict[Split, _Tally]) -> tuple[int, int]:
    return sum(tally.found for tally in tallies.values()), sum(tally.rejected for tally in tallies.values())


def _require_pictures(dataset: Dataset, split: Split, tally: _Tally) -> None:
    if tally.accepted:
        return
    if not tally.found:
        raise DataError(f"{dataset.name}: expected pictures in the {split} split; there is none")
    reasons = "".join(f"\n  {reason}" for reason in tally.reasons)
    raise DataError(
        f"{dataset.name}: none of the {tally.found} files of the {split} split is a usable picture:{reasons}"
    )
