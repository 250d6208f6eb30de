"""Whether a data set gives the pictures it says, the same each time, and explains itself where it cannot.

No check downloads anything: connections are refused while a data set is read, so that it reads what is on disk or
says what to do. Where it says so, the checks that need pictures are skipped with its message. The first 2000
pictures of a split are looked at.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from noisette.contracts import Dataset, Example, Split
from noisette.errors import DataError
from noisette.testing.check import Skip, require
from noisette.testing.options import shown
from noisette.testing.probes import global_random_state_kept, offline

LOOKED_AT = 2000

_SPLITS: tuple[Split, ...] = ("train", "test")


def check_says_what_to_do_offline(plugin: Dataset) -> None:
    """Without connection and cache it gives pictures from disk, or one `DataError` that says what to do."""
    with tempfile.TemporaryDirectory() as empty, offline():
        try:
            next(iter(plugin.examples("train", Path(empty))))
        except DataError as refusal:
            told = len(str(refusal).split()) >= 5
            require(
                told, plugin, "message offline", "what was looked for, where, and what to do", f"{str(refusal)!r}"
            )
        except Exception as error:
            came = f"{type(error).__name__}: {error}"
            raise AssertionError(
                f"{shown(plugin)}: offline: expected pictures or a DataError; came {came}"
            ) from error


def check_names_licence_and_source(plugin: Dataset) -> None:
    """The class says under which licence the pictures are, and where they come from."""
    require(plugin.licence not in ("", "unknown"), plugin, "licence", "the pictures' licence", repr(plugin.licence))
    require(bool(plugin.source), plugin, "source", "who made them, and where they are", repr(plugin.source))


def check_has_pictures(plugin: Dataset) -> None:
    """Both splits have pictures: Pillow images of mode L or RGB, at least 1x1, or a reason for none."""
    for split in _SPLITS:
        accepted = 0
        for example in _examples(plugin, split):
            what = f"{split} picture {example.source or accepted}"
            if example.image is None:
                require(bool(example.rejected), plugin, f"{what} without an image", "a reason", "none")
                continue
            accepted += 1
            require(example.image.mode in ("L", "RGB"), plugin, f"mode of {what}", "L or RGB", example.image.mode)
            require(min(example.image.size) > 0, plugin, f"size of {what}", "at least 1x1", example.image.size)
        require(accepted > 0, plugin, f"{split} pictures", "some", "none")


def check_pictures_are_not_blank(plugin: Dataset) -> None:
    """The values of a split span most of 0 to 255: pictures in 0 to 1 turned to bytes would be black."""
    for split in _SPLITS:
        extrema = [end for example in _accepted(plugin, split) for end in _ends(example)]
        span = max(extrema) - min(extrema)
        require(span >= 64, plugin, f"values of the {split} pictures", "a span of at least 64 of 255", span)


def check_labels_are_classes(plugin: Dataset) -> None:
    """Labels are indices into `classes()`, whose names differ, and every class occurs; no classes, no labels."""
    classes = plugin.classes()
    require(len(set(classes)) == len(classes), plugin, "classes()", "names that differ", classes)
    for split in _SPLITS:
        labels = {example.label for example in _accepted(plugin, split)}
        if not classes:
            require(
                labels == {None}, plugin, f"labels of {split} without classes", "none", sorted(map(str, labels))
            )
            continue
        wrong = [label for label in labels if not isinstance(label, int) or not 0 <= label < len(classes)]
        require(not wrong, plugin, f"labels of {split}", f"whole numbers from 0 to {len(classes) - 1}", wrong[:3])
        complete = len(labels) == len(classes) or len(_digests(plugin, split)) < LOOKED_AT or len(classes) > 20
        require(complete, plugin, f"classes seen in {split}", f"all {len(classes)}", f"{len(labels)}")


def check_same_pictures_every_time(plugin: Dataset) -> None:
    """Two readings give the same pictures, labels and sources in order, and leave the global generators alone."""
    require(plugin.fingerprint() == plugin.fingerprint(), plugin, "fingerprint() again", "the same", "another")
    for split in _SPLITS:
        with global_random_state_kept(plugin, f"reading {split}"):
            first = _digests(plugin, split)
        second = _digests(plugin, split)
        other = next((i for i, pair in enumerate(zip(first, second, strict=False)) if pair[0] != pair[1]), None)
        same = other is None and len(first) == len(second)
        require(same, plugin, f"second reading of {split}", "the same pictures in order", f"another at {other}")


def check_test_is_held_out(plugin: Dataset) -> None:
    """At most 1 % of the test pictures are also training pictures, byte for byte: real sets have a few twins."""
    train = {digest for digest, *_ in _digests(plugin, "train", limit=None)}
    test = [digest for digest, *_ in _digests(plugin, "test")]
    shared = sum(digest in train for digest in test)
    require(
        shared <= 0.01 * len(test),
        plugin,
        "test pictures found in train",
        "at most 1 %",
        f"{shared} of {len(test)}",
    )


def _examples(plugin: Dataset, split: Split, limit: int | None = LOOKED_AT) -> Iterator[Example]:
    from noisette.data.cache import cache_directory

    with offline():
        try:
            yield from islice(plugin.examples(split, cache_directory()), limit)
        except DataError as missing:
            raise Skip(f"{shown(plugin)}: its pictures are not here: {missing}") from missing


def _accepted(plugin: Dataset, split: Split) -> Iterator[Example]:
    return (example for example in _examples(plugin, split) if example.image is not None)


def _ends(example: Example) -> tuple[int, ...]:
    extrema: Any = example.image.getextrema() if example.image else ()
    return tuple(extrema) if isinstance(extrema[0], int) else tuple(end for pair in extrema for end in pair)


def _digests(plugin: Dataset, split: Split, limit: int | None = LOOKED_AT) -> list[tuple[str, int | None, str]]:
    return [(_digest(example), example.label, example.source) for example in _examples(plugin, split, limit)]


def _digest(example: Example) -> str:
    if example.image is None:
        return f"rejected: {example.rejected}"
    image = example.image
    return hashlib.sha256(f"{image.mode} {image.size}".encode() + image.tobytes()).hexdigest()
