"""Data sets that are another one in another pass, process or file system."""

from __future__ import annotations

import os
from pathlib import Path

from conformance.case import Case
from conformance.right.datasets import Stripes
from pydantic import Field


class GoesOnWhereItStopped(Stripes):
    """One iterator for all passes: who breaks off leaves the rest to the next."""

    def examples(self, split, cache):
        if (split, id(type(self))) not in _OPEN:
            _OPEN[split, id(type(self))] = super().examples(split, cache)
        yield from _OPEN[split, id(type(self))]
        _OPEN.pop((split, id(type(self))), None)


_OPEN: dict[object, object] = {}


class ListsAsItComes(Stripes):
    """Numbers the images in the order of a folder's listing."""

    def examples(self, split, cache):
        order = [len(name) for name in os.listdir(Path(__file__).parent) if name.endswith(".py")]  # noqa: PTH208
        for number, example in enumerate(super().examples(split, cache)):
            yield example._replace(source=f"{split} {number} {order[number % len(order)]}")


class ClassesOfASet(Stripes):
    """Names that come from a set, in an order that is another one in each process."""

    def classes(self):
        return tuple({"upright", "level"} - {"none"} | {f"class {i}" for i in range(5)})[:2]


class OneImageForAll(Stripes):
    """Draws into the same image again and again."""

    def examples(self, split, cache):
        image = None
        for example in super().examples(split, cache):
            image = image or example.image.copy()
            image.paste(example.image)
            yield example._replace(image=image)


class TheFirstAgain(Stripes):
    """Always the same two images."""

    def image(self, seed):
        return super().image(seed % 2 + (0 if seed < 10_000 else 10_000))


class KeepsItsImages(Stripes):
    """Gives its own images away, to be painted over."""

    def image(self, seed):
        if (seed, self.count) not in _IMAGES:
            _IMAGES[seed, self.count] = super().image(seed)
        return _IMAGES[seed, self.count]


_IMAGES: dict[object, object] = {}


class _Brighter(Stripes):
    light: int = Field(0, ge=0, le=20, description="added to each value")


class NeverBrighter(_Brighter):
    """Forgets its option."""


class Brighter(_Brighter):
    def image(self, seed):
        return super().image(seed).point(lambda value: value + self.light)


CASES = [
    Case("images-can-be-modified", KeepsItsImages(), Stripes()),
    Case("every-option-has-an-effect", NeverBrighter(), Brighter()),
    Case("passes-are-independent", GoesOnWhereItStopped(), Stripes()),
    Case("independent-of-seed-and-listing", ListsAsItComes(), Stripes()),
    Case("same-in-another-process", ClassesOfASet(), Stripes()),
    Case("examples-are-not-reused", OneImageForAll(), Stripes()),
    Case("images-differ", TheFirstAgain(), Stripes()),
]
