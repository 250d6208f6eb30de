"""Whether passes over a dataset are independent of each other, of global state and of the process."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import Any
from unittest import mock

from noisette.contracts import Dataset, Example, Split
from noisette.testing.check import Skip, for_method, require
from noisette.testing.checks.datasets import _SPLITS, MAX_EXAMPLES, _ExampleFacts, _facts, _iter_facts
from noisette.testing.options import find_ineffective_options, with_options
from noisette.testing.other_process import run_in_other_process
from noisette.testing.probes import offline, seed_globally

_FEW = 40


def check_passes_are_independent(plugin: Dataset) -> None:
    """A pass is not changed by an abandoned or interleaved one, and is the same for a new instance."""
    for split in _SPLITS:
        expected = _facts(plugin, split)[:_FEW]
        broken_off = _iter_facts(plugin, split)
        for _ in islice(broken_off, 3):
            pass
        _require_same(
            plugin,
            f"{split} after an abandoned pass",
            expected,
            list(_iter_facts(plugin, split, limit=_FEW)),
        )
        both = list(
            zip(_iter_facts(plugin, split, limit=_FEW), _iter_facts(plugin, split, limit=_FEW), strict=False)
        )
        _require_same(plugin, f"{split} in the first of two interleaved passes", expected, [one for one, _ in both])
        _require_same(
            plugin, f"{split} in the second of two interleaved passes", expected, [other for _, other in both]
        )
        _require_same(
            plugin,
            f"{split} of a new instance",
            expected,
            list(_iter_facts(with_options(plugin), split, limit=_FEW)),
        )
        length, again = plugin.length(split), plugin.length(split)
        require(length == again, plugin, f"length({split!r}) again", length, again)


def check_independent_of_seed_and_listing(plugin: Dataset) -> None:
    """Images, labels and classes do not depend on global seeds or on the order in which folders are listed."""
    for split in _SPLITS:
        expected, classes = _facts(plugin, split)[:_FEW], plugin.classes()
        for seed in (1, 2):
            with seed_globally(seed):
                _require_same(
                    plugin,
                    f"{split} under another global seed",
                    expected,
                    list(_iter_facts(plugin, split, limit=_FEW)),
                )
        with _folders_listed_backwards():
            actual = list(_iter_facts(with_options(plugin), split, limit=_FEW))
            again = with_options(plugin).classes()
        _require_same(plugin, f"{split} with folders listed in another order", expected, actual)
        require(again == classes, plugin, "classes() with folders listed in another order", classes, again)


@for_method("classes")
def check_same_in_another_process(plugin: Dataset) -> None:
    """Another process, with other hashes of strings, gives the same classes, fingerprint and images.

    Sets of strings have another order there. Skipped if the module cannot be imported there.
    """
    next(_iter_facts(plugin, "train", 1), None)  # skips if images are missing
    actual = run_in_other_process(plugin, __name__, "process_fingerprint")
    for what, here, there in zip(
        ("classes()", "fingerprint()", "images"), process_fingerprint(plugin), actual, strict=True
    ):
        require(here == there, plugin, f"{what} in another process", here, there)


def check_examples_are_not_reused(plugin: Dataset) -> None:
    """An example does not change when later ones are read: no image or buffer is reused."""
    for split in _SPLITS:
        kept: list[tuple[Example, _ExampleFacts]] = []
        for example in islice(_iter_examples(plugin, split), 12):
            kept.append((example, _ExampleFacts.of(example)))
        for example, then in kept:
            now = _ExampleFacts.of(example)
            require(now == then, plugin, f"{split} image {then.source} after others", "unchanged", "changed")


def check_images_can_be_modified(plugin: Dataset) -> None:
    """Changing an image in place does not change the next pass: none is cached inside."""
    for split in _SPLITS:
        expected = _facts(plugin, split)[:6]
        for example in islice(_iter_examples(plugin, split), 6):
            if example.image is not None:
                example.image.paste(7, (0, 0, *example.image.size))
        actual = list(_iter_facts(plugin, split, limit=6))
        _require_same(plugin, f"{split} after its images were changed in place", expected, actual)


def check_every_option_has_an_effect(plugin: Dataset) -> None:
    """Each option changes images, labels, classes or their number."""
    _facts(plugin, "train")
    silent = list(find_ineffective_options(plugin, _fingerprint, small=True))
    others = type(plugin).model_fields.keys() - silent
    for key in find_ineffective_options(
        plugin, partial(_fingerprint, limit=MAX_EXAMPLES), exclude=others, small=True
    ):
        require(False, plugin, f"option {key!r}", "an effect on the images", "none")


def check_images_differ(plugin: Dataset) -> None:
    """At least half of the images of a split, and of their sources, are unique."""
    for split in _SPLITS:
        facts = [fact for fact in _facts(plugin, split) if fact.mode]
        for what, values in (
            ("images", [one.digest for one in facts]),
            ("sources", [one.source for one in facts]),
        ):
            share = len(set(values)) / max(len(values), 1)
            right = share >= 0.5
            require(right, plugin, f"share of unique {what} in {split}", "at least 0.5", share)


def process_fingerprint(plugin: Dataset) -> list[Any]:
    """Return classes, fingerprint and a hash of the first images of both splits, as JSON values."""
    digest = hashlib.sha256()
    for split in _SPLITS:
        for fact in _iter_facts(plugin, split, limit=_FEW):
            digest.update(repr(fact).encode())
    return [list(plugin.classes()), plugin.fingerprint(), digest.hexdigest()]


def _fingerprint(plugin: Dataset, limit: int = _FEW) -> object:
    try:
        seen = [list(_iter_facts(plugin, split, limit=limit)) for split in _SPLITS]
    except Skip:
        return "its images are not available"
    return seen, plugin.classes(), [plugin.length(split) for split in _SPLITS]


def _iter_examples(plugin: Dataset, split: Split) -> Iterator[Example]:
    from noisette.storage import cache_directory

    _facts(plugin, split)  # skips if images are missing
    with offline():
        yield from plugin.examples(split, cache_directory())


def _require_same(plugin: Dataset, what: str, expected: list[_ExampleFacts], actual: list[_ExampleFacts]) -> None:
    other = next((number for number, (a, b) in enumerate(zip(expected, actual, strict=False)) if a != b), None)
    same = other is None and len(expected) == len(actual)
    difference = f"{len(actual)}" if other is None else f"a different one at {other}"
    require(same, plugin, what, f"the {len(expected)} examples of the first pass", difference)


@contextmanager
def _folders_listed_backwards() -> Iterator[None]:
    listdir, scandir = os.listdir, os.scandir

    def listed(*arguments: Any) -> list[Any]:
        return sorted(listdir(*arguments), reverse=True)

    class Scanned:
        def __init__(self, *arguments: Any) -> None:
            with scandir(*arguments) as entries:
                self._entries = iter(sorted(entries, key=lambda entry: entry.name, reverse=True))

        def __iter__(self) -> Iterator[Any]:
            return self._entries

        def __next__(self) -> Any:
            return next(self._entries)

        def __enter__(self) -> Scanned:
            return self

        def __exit__(self, *_: object) -> None:
            self.close()

        def close(self) -> None:
            pass

    with mock.patch.object(os, "listdir", listed), mock.patch.object(os, "scandir", Scanned):
        yield
