"""Whether a dataset yields valid, reproducible images, and explains what to do if they are missing.

No check downloads anything: the dataset is read offline, from disk. If its images are missing, the checks that
need them are skipped with its message. The first 2000 images of a split are checked.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from noisette.contracts import Dataset, Example, Split
from noisette.errors import DataError
from noisette.testing.check import CheckFailedError, Skip, fail, for_method, require, skip_if
from noisette.testing.options import find_ineffective_options, format_plugin, with_options
from noisette.testing.other_process import run_in_other_process
from noisette.testing.probes import offline, require_same_random_state, seed_globally

MAX_EXAMPLES = 2000


_ORIENTATION = 0x0112

_FEW = 40


def check_helpful_error_offline(plugin: Dataset) -> None:
    """Offline and without a cache, the data set yields images, or raises a `DataError` that says what to do."""
    with tempfile.TemporaryDirectory() as empty, offline():
        try:
            next(iter(plugin.examples("train", Path(empty))))
        except DataError as refusal:
            helpful, wanted = len(str(refusal).split()) >= 5, "what was looked for, where, and what to do"
            require(helpful, plugin, "error message offline", wanted, repr(str(refusal)))
        except Exception as error:
            fail(plugin, "offline", "images or a DataError", f"{type(error).__name__}: {error}")


def check_names_licence_and_source(plugin: Dataset) -> None:
    """The class declares the licence and the source of the images."""
    require(plugin.licence not in ("", "unknown"), plugin, "licence", "the images' licence", repr(plugin.licence))
    require(bool(plugin.source), plugin, "source", "authors and location of the images", repr(plugin.source))


def check_has_images(plugin: Dataset) -> None:
    """Both splits have images: Pillow images of mode L or RGB, at least 1x1; a rejected one has a reason."""
    for split in _splits(plugin):
        facts = _facts(plugin, split)
        for fact in facts:
            what = f"{split} image {fact.source}"
            if fact.mode is None:
                require(bool(fact.rejected), plugin, f"{what} without an image", "a reason", "none")
                continue
            require(fact.mode in ("L", "RGB"), plugin, f"mode of {what}", "L or RGB", fact.mode)
            require(min(fact.size) > 0, plugin, f"size of {what}", "at least 1x1", fact.size)
        require(any(fact.mode for fact in facts), plugin, f"{split} images", "some", "none")


def check_images_are_upright(plugin: Dataset) -> None:
    """Exif orientations are applied: no image is sideways."""
    for split in _splits(plugin):
        for fact in _facts(plugin, split):
            what, actual = f"Exif orientation of {split} image {fact.source}", fact.orientation
            require(actual in (0, 1), plugin, what, "none to apply, as images are upright", actual)


@for_method("examples")
def check_examples_are_iterators(plugin: Dataset) -> None:
    """`examples` and `examples_from` return iterators, not lists, which hold all images in memory."""
    from noisette.storage import cache_directory

    cache = cache_directory()
    for split in _splits(plugin):
        _facts(plugin, split)  # skips if images are missing
        with offline():
            both = (plugin.examples(split, cache), plugin.examples_from(split, cache, 1))
        for name, actual in zip(("examples", "examples_from"), both, strict=True):
            wanted = "an iterator, on which next() works"
            require(isinstance(actual, Iterator), plugin, f"result of {name}", wanted, type(actual).__name__)


def check_images_are_not_blank(plugin: Dataset) -> None:
    """Values of a split span at least 64 of 255: floats in [0, 1] converted to uint8 are black."""
    for split in _splits(plugin):
        values = [value for fact in _facts(plugin, split) for value in fact.extrema]
        span = max(values, default=0) - min(values, default=0)
        require(span >= 64, plugin, f"values of the {split} images", "a span of at least 64 of 255", span)


def check_labels_are_classes(plugin: Dataset) -> None:
    """Labels are indices into `classes()`, whose names are unique and all occur (of up to 20); or all are None."""
    with offline():
        classes = plugin.classes()
    named = isinstance(classes, tuple) and all(isinstance(name, str) and name for name in classes)
    require(named, plugin, "classes()", "a tuple of names", classes)
    require(len(set(classes)) == len(classes), plugin, "classes()", "unique names", classes)
    for split in _splits(plugin):
        labels = {fact.label for fact in _facts(plugin, split) if fact.mode}
        if not classes:
            require(labels == {None}, plugin, f"labels of {split} without classes", "none", labels)
            continue
        wrong = [label for label in labels if type(label) is not int or not 0 <= label < len(classes)]
        require(not wrong, plugin, f"labels of {split}", f"whole numbers from 0 to {len(classes) - 1}", wrong[:3])
        complete = len(labels) == len(classes) or len(classes) > 20
        require(complete, plugin, f"number of classes in {split}", len(classes), len(labels))


def check_images_are_deterministic(plugin: Dataset) -> None:
    """Two passes give the same images, labels and sources in order, and do not use the global generators."""
    for split in _splits(plugin):
        first = _facts(plugin, split)
        with require_same_random_state(plugin, f"reading {split}"):
            second = list(_iter_facts(plugin, split, MAX_EXAMPLES))
        other = next((one.source for one, two in zip(first, second, strict=False) if one != two), None)
        same = other is None and len(first) == len(second)
        actual = f"{len(second)} images, a different one at {other}"
        require(same, plugin, f"second pass over {split}", f"the same {len(first)} images in order", actual)
    require(plugin.fingerprint() == plugin.fingerprint(), plugin, "fingerprint() again", "the same", "different")


def check_resumes_from_any_example(plugin: Dataset) -> None:
    """`examples_from` yields `examples` without the first ones, and `length`, if known, is right."""
    for split in _splits(plugin):
        facts = _facts(plugin, split)
        for start in sorted({0, 1, len(facts) // 2, len(facts)}):
            actual = list(_iter_facts(plugin, split, limit=20, start=start))[: len(facts) - start]
            same = actual == facts[start : start + 20]
            require(same, plugin, f"examples_from({split!r}, cache, {start})", "the remaining examples", "others")
        length, whole = plugin.length(split), len(facts) < MAX_EXAMPLES
        right = length is None or (length == len(facts) if whole else length >= MAX_EXAMPLES)
        expected = f"{len(facts)} or None" if whole else f"at least {MAX_EXAMPLES} or None"
        require(right, plugin, f"length({split!r})", expected, length)


def check_test_is_held_out(plugin: Dataset) -> None:
    """At most 1 % of the test images equal a training image byte for byte, as real data sets have some duplicates.

    A duplicate with the same source is the same image, and an error.
    """
    skip_if(not plugin.has_test_split(), plugin, "it has no test split")
    train: dict[str, set[str]] = {}
    for fact in _iter_facts(plugin, "train"):
        train.setdefault(fact.digest, set()).add(fact.source)
    test = [fact for fact in _facts(plugin, "test") if fact.mode]
    both = [fact.source for fact in test if fact.source and fact.source in train.get(fact.digest, ())]
    require(not both, plugin, "sources that test and train share", "none", both[:3])
    shared = sum(fact.digest in train for fact in test)
    actual = f"{shared} of {len(test)}"
    require(shared <= 0.01 * len(test), plugin, "test images found in train", "at most 1 %", actual)


def check_passes_are_independent(plugin: Dataset) -> None:
    """A pass is not changed by an abandoned or interleaved one, and is the same for a new instance."""
    for split in _splits(plugin):
        broken_off = _iter_facts(plugin, split)
        for _ in islice(broken_off, 3):
            pass
        _require_first_pass(plugin, f"{split} after an abandoned pass", split, _few(plugin, split))
        both = list(zip(*(_iter_facts(plugin, split, limit=_FEW) for _ in range(2)), strict=False))
        for number, name in enumerate(("first", "second")):
            actual = [pair[number] for pair in both]
            _require_first_pass(plugin, f"{split} in the {name} of two interleaved passes", split, actual)
        _require_first_pass(plugin, f"{split} of a new instance", split, _few(with_options(plugin), split))
        length, again = plugin.length(split), plugin.length(split)
        require(length == again, plugin, f"length({split!r}) again", length, again)


def check_independent_of_seed_and_listing(plugin: Dataset) -> None:
    """Images, labels and classes do not depend on global seeds or on the order in which folders are listed."""
    for split in _splits(plugin):
        classes = plugin.classes()
        for seed in (1, 2):
            with seed_globally(seed):
                actual = _few(plugin, split)
            _require_first_pass(plugin, f"{split} under another global seed", split, actual)
        with _folders_listed_backwards():
            actual, again = _few(with_options(plugin), split), with_options(plugin).classes()
        _require_first_pass(plugin, f"{split} with folders listed in another order", split, actual)
        require(again == classes, plugin, "classes() with folders listed in another order", classes, again)


@for_method("classes")
def check_same_in_another_process(plugin: Dataset) -> None:
    """Another process, with other hashes of strings, gives the same classes, fingerprint and images.

    Sets of strings have another order there. Skipped if the module cannot be imported there.
    """
    next(_iter_facts(plugin, "train", 1), None)  # skips if images are missing
    actual = run_in_other_process(plugin, __name__, "process_fingerprint")
    names = ("classes()", "fingerprint()", "images")
    for what, here, there in zip(names, process_fingerprint(plugin), actual, strict=True):
        require(here == there, plugin, f"{what} in another process", here, there)


def check_examples_are_not_reused(plugin: Dataset) -> None:
    """An example does not change when later ones are read: no image or buffer is reused."""
    for split in _splits(plugin):
        kept = [(one, _ExampleFacts.of(one)) for one in islice(_iter_examples(plugin, split), 12)]
        for example, then in kept:
            now = _ExampleFacts.of(example)
            require(now == then, plugin, f"{split} image {then.source} after others", "unchanged", "changed")


def check_images_can_be_modified(plugin: Dataset) -> None:
    """Changing an image in place does not change the next pass: none is cached inside."""
    for split in _splits(plugin):
        for example in islice(_iter_examples(plugin, split), 6):
            if example.image is not None:
                example.image.paste(7, (0, 0, *example.image.size))
        _require_first_pass(plugin, f"{split} after its images were changed in place", split, _few(plugin, split))


def check_every_option_has_an_effect(plugin: Dataset) -> None:
    """Each option changes images, labels, classes or their number."""
    _facts(plugin, "train")
    silent = list(find_ineffective_options(plugin, _fingerprint, small=True))
    others = type(plugin).model_fields.keys() - silent
    probe = partial(_fingerprint, limit=MAX_EXAMPLES)
    for key in find_ineffective_options(plugin, probe, exclude=others, small=True):
        require(False, plugin, f"option {key!r}", "an effect on the images", "none")


def check_images_differ(plugin: Dataset) -> None:
    """At least half of the images of a split, and of their sources, are unique."""
    for split in _splits(plugin):
        facts = [fact for fact in _facts(plugin, split) if fact.mode]
        for what, values in (("images", [one.digest for one in facts]), ("sources", [one.source for one in facts])):
            share = len(set(values)) / max(len(values), 1)
            require(share >= 0.5, plugin, f"share of unique {what} in {split}", "at least 0.5", share)


class _ExampleFacts(NamedTuple):
    """The facts about one example that the checks compare."""

    source: str
    label: int | None
    rejected: str
    mode: str | None
    size: tuple[int, int]
    extrema: tuple[int, ...]
    digest: str
    orientation: int = 0

    @classmethod
    def of(cls, example: Example) -> _ExampleFacts:
        if not isinstance(example, Example):
            raise CheckFailedError(f"examples: expected Example; got {type(example).__name__}", "no example")
        image = example.image
        if image is None:
            return cls(example.source, example.label, example.rejected, None, (0, 0), (), example.rejected)
        found: Any = image.getextrema()
        extrema = found if isinstance(found[0], int) else (end for pair in found for end in pair)
        digest = hashlib.sha256(f"{image.size}".encode() + image.convert("RGB").tobytes()).hexdigest()
        said = image.getexif().get(_ORIENTATION, 0)
        orientation = said if said in range(9) else 0
        return cls(example.source, example.label, "", image.mode, image.size, tuple(extrema), digest, orientation)


def _splits(plugin: Dataset) -> tuple[Split, ...]:
    return ("train", "test") if plugin.has_test_split() else ("train",)


@cache
def _facts(plugin: Dataset, split: Split) -> list[_ExampleFacts]:
    """Read a split once for all checks."""
    return list(_iter_facts(plugin, split, MAX_EXAMPLES))


def _iter_facts(plugin: Dataset, split: Split, limit: int | None = None, start: int = 0) -> Iterator[_ExampleFacts]:
    """Yield the facts of the examples from `start`; of all unless there is a limit."""
    from noisette.storage import cache_directory

    with offline():
        try:
            cache = cache_directory()
            examples = plugin.examples_from(split, cache, start) if start else plugin.examples(split, cache)
            for example in islice(examples, limit):
                yield _ExampleFacts.of(example)
        except DataError as missing:
            raise Skip(f"{format_plugin(plugin)}: its images are not available: {missing}") from missing


def process_fingerprint(plugin: Dataset) -> list[Any]:
    """Return classes, fingerprint and a hash of the first images of both splits, as JSON values."""
    digest = hashlib.sha256()
    for split in _splits(plugin):
        for fact in _iter_facts(plugin, split, limit=_FEW):
            digest.update(repr(fact).encode())
    return [list(plugin.classes()), plugin.fingerprint(), digest.hexdigest()]


def _fingerprint(plugin: Dataset, limit: int = _FEW) -> object:
    try:
        seen = [list(_iter_facts(plugin, split, limit=limit)) for split in _splits(plugin)]
    except Skip:
        return "its images are not available"
    return seen, plugin.classes(), [plugin.length(split) for split in _splits(plugin)]


def _iter_examples(plugin: Dataset, split: Split) -> Iterator[Example]:
    from noisette.storage import cache_directory

    _facts(plugin, split)  # skips if images are missing
    with offline():
        yield from plugin.examples(split, cache_directory())


def _few(plugin: Dataset, split: Split) -> list[_ExampleFacts]:
    return list(_iter_facts(plugin, split, limit=_FEW))


def _require_first_pass(plugin: Dataset, what: str, split: Split, actual: list[_ExampleFacts]) -> None:
    """Require that the first examples of a split are those of the first pass over it."""
    expected = _facts(plugin, split)[:_FEW]
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
