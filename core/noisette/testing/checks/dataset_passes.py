"""Whether a data set is the same in every pass: broken off, beside another one, in another process."""

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
from noisette.testing.check import Skip, about, require
from noisette.testing.checks.datasets import _SPLITS, LOOKED_AT, _Fact, _facts, _read
from noisette.testing.elsewhere import told_elsewhere
from noisette.testing.options import changed, silent_options
from noisette.testing.probes import global_seeds, offline

_FEW = 40


def check_passes_do_not_meet(plugin: Dataset) -> None:
    """A pass gives the same after one that was broken off, beside another, and from a plugin made anew."""
    for split in _SPLITS:
        expected = _facts(plugin, split)[:_FEW]
        broken_off = _read(plugin, split)
        for _ in islice(broken_off, 3):
            pass
        _same(plugin, f"{split} after a pass that was broken off", expected, list(_read(plugin, split, limit=_FEW)))
        both = list(zip(_read(plugin, split, limit=_FEW), _read(plugin, split, limit=_FEW), strict=False))
        _same(plugin, f"{split} beside another pass", expected, [one for one, _ in both])
        _same(plugin, f"the other {split} beside it", expected, [other for _, other in both])
        _same(plugin, f"{split} of a plugin made anew", expected, list(_read(changed(plugin), split, limit=_FEW)))
        length, again = plugin.length(split), plugin.length(split)
        require(length == again, plugin, f"length({split!r}) again", length, again)


def check_no_seed_or_listing_decides(plugin: Dataset) -> None:
    """Pictures, labels and classes do not depend on global seeds, or on the order in which a folder is listed."""
    for split in _SPLITS:
        expected, classes = _facts(plugin, split)[:_FEW], plugin.classes()
        for seed in (1, 2):
            with global_seeds(seed):
                _same(
                    plugin, f"{split} under another global seed", expected, list(_read(plugin, split, limit=_FEW))
                )
        with _folders_listed_backwards():
            came = list(_read(changed(plugin), split, limit=_FEW))
            again = changed(plugin).classes()
        _same(plugin, f"{split} where folders are listed in another order", expected, came)
        require(again == classes, plugin, "classes() where folders are listed in another order", classes, again)


@about("classes")
def check_same_in_another_process(plugin: Dataset) -> None:
    """Another process, in which strings have other hashes, finds the same classes, fingerprint and pictures.

    A set of strings comes in another order there. Skipped if the module cannot be imported there.
    """
    next(_read(plugin, "train", 1), None)  # without its pictures here, there is nothing to look for there
    came = told_elsewhere(plugin, __name__, "told")
    for what, here, there in zip(("classes()", "fingerprint()", "pictures"), told(plugin), came, strict=True):
        require(here == there, plugin, f"{what} of two processes", here, there)


def check_examples_stay_as_they_were(plugin: Dataset) -> None:
    """An example is what it was when it came, after others came: no image or list is used again."""
    for split in _SPLITS:
        kept: list[tuple[Example, _Fact]] = []
        for example in islice(_raw(plugin, split), 12):
            kept.append((example, _Fact.of(example)))
        for example, then in kept:
            now = _Fact.of(example)
            require(now == then, plugin, f"{split} picture {then.source} after others", "as it was", "another")


def check_pictures_are_given_away(plugin: Dataset) -> None:
    """Whoever paints over a picture does not change what the next pass gives: none is kept inside."""
    for split in _SPLITS:
        expected = _facts(plugin, split)[:6]
        for example in islice(_raw(plugin, split), 6):
            if example.image is not None:
                example.image.paste(7, (0, 0, *example.image.size))
        came = list(_read(plugin, split, limit=6))
        _same(plugin, f"{split} after its pictures were painted over", expected, came)


def check_every_option_counts(plugin: Dataset) -> None:
    """Each option changes pictures, labels, classes or their number: none is read and forgotten."""
    _facts(plugin, "train")
    silent = list(silent_options(plugin, _fingerprint, small=True))
    others = type(plugin).model_fields.keys() - silent
    for key in silent_options(plugin, partial(_fingerprint, limit=LOOKED_AT), beside=others, small=True):
        require(False, plugin, f"option {key!r}", "an effect on the pictures", "none")


def check_pictures_differ(plugin: Dataset) -> None:
    """At least half of the pictures of a split, and of their sources, differ from all others."""
    for split in _SPLITS:
        facts = [fact for fact in _facts(plugin, split) if fact.mode]
        for what, values in (
            ("pictures", [one.digest for one in facts]),
            ("sources", [one.source for one in facts]),
        ):
            share = len(set(values)) / max(len(values), 1)
            right = share >= 0.5
            require(right, plugin, f"share of the {split} {what} that differ", "at least 0.5", share)


def told(plugin: Dataset) -> list[Any]:
    """Return classes, fingerprint and a hash of the first pictures of both splits, as JSON values."""
    digest = hashlib.sha256()
    for split in _SPLITS:
        for fact in _read(plugin, split, limit=_FEW):
            digest.update(repr(fact).encode())
    return [list(plugin.classes()), plugin.fingerprint(), digest.hexdigest()]


def _fingerprint(plugin: Dataset, limit: int = _FEW) -> object:
    try:
        seen = [list(_read(plugin, split, limit=limit)) for split in _SPLITS]
    except Skip:
        return "its pictures are not here"
    return seen, plugin.classes(), [plugin.length(split) for split in _SPLITS]


def _raw(plugin: Dataset, split: Split) -> Iterator[Example]:
    from noisette.storage import cache_directory

    _facts(plugin, split)  # skips where there are none
    with offline():
        yield from plugin.examples(split, cache_directory())


def _same(plugin: Dataset, what: str, expected: list[_Fact], came: list[_Fact]) -> None:
    other = next((number for number, (a, b) in enumerate(zip(expected, came, strict=False)) if a != b), None)
    same = other is None and len(expected) == len(came)
    seen = f"{len(came)}" if other is None else f"another at place {other}"
    require(same, plugin, what, f"the {len(expected)} of the first pass", seen)


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
