"""Data sets with one mistake each."""

from __future__ import annotations

from typing import ClassVar

from conformance.case import Case
from conformance.right.datasets import Stripes

from noisette import DataError, Example


class Downloads(Stripes):
    """Asks the network without a thought for its absence."""

    def examples(self, split, cache):
        import socket

        socket.create_connection(("127.0.0.1", 9), timeout=1)
        yield from super().examples(split, cache)


class SaysNothing(Stripes):
    def examples(self, split, cache):
        raise DataError("not found")
        yield


class NoLicence(Stripes):
    licence: ClassVar[str] = "unknown"


class NoSource(Stripes):
    source: ClassVar[str] = ""


class NoTestImages(Stripes):
    def examples(self, split, cache):
        if split == "train":
            yield from super().examples(split, cache)


class Palettes(Stripes):
    def examples(self, split, cache):
        for example in super().examples(split, cache):
            yield example._replace(image=example.image.convert("P"))


class GivesNoReason(Stripes):
    def examples(self, split, cache):
        yield from super().examples(split, cache)
        yield Example(None, None, "broken.png")


class LeavesThemSideways(Stripes):
    """Gives images as the camera stored them, with a note that they are to be turned."""

    def image(self, seed):
        image = super().image(seed)
        image.getexif()[0x0112] = 6
        return image


class Upright(LeavesThemSideways):
    """Turns them, and takes the note away."""

    def image(self, seed):
        from PIL import ImageOps

        return ImageOps.exif_transpose(super().image(seed))


class AllAtOnce(Stripes):
    def examples(self, split, cache):
        return list(super().examples(split, cache))


class FromZeroToOne(Stripes):
    """Values in 0 to 1, cut to bytes."""

    def image(self, seed):
        return super().image(seed).point(lambda value: value // 255)


class LabelsFromOne(Stripes):
    def examples(self, split, cache):
        for example in super().examples(split, cache):
            yield example._replace(label=example.label + 1)


class LabelsWithoutNames(Stripes):
    def classes(self):
        return ()


class TwoClassesOneName(Stripes):
    def classes(self):
        return ("stripes", "stripes")


class Shuffles(Stripes):
    def examples(self, split, cache):
        import random

        found = list(super().examples(split, cache))
        random.Random().shuffle(found)
        yield from found


class ShufflesGlobally(Stripes):
    """In an order of its own making that is always the same, by setting everybody's seed."""

    def examples(self, split, cache):
        import random

        random.seed(0)
        found = list(super().examples(split, cache))
        random.shuffle(found)
        yield from found


class FingerprintOfTheClock(Stripes):
    def fingerprint(self):
        import time

        return str(time.perf_counter_ns())


class BeginsAnew(Stripes):
    """Does not pass over what was read before."""

    def examples_from(self, split, cache, start):
        return self.examples(split, cache)


class CountsWrongly(Stripes):
    def length(self, split):
        return 1


class TestIsTrain(Stripes):
    __test__ = False

    def examples(self, split, cache):
        return super().examples("train", cache)


CASES = [
    Case("helpful-error-offline", Downloads(), Stripes()),
    Case("helpful-error-offline", SaysNothing(), Stripes()),
    Case("names-licence-and-source", NoLicence(), Stripes()),
    Case("names-licence-and-source", NoSource(), Stripes()),
    Case("has-images", NoTestImages(), Stripes()),
    Case("has-images", Palettes(), Stripes()),
    Case("has-images", GivesNoReason(), Stripes()),
    Case("images-are-upright", LeavesThemSideways(), Upright()),
    Case("examples-are-iterators", AllAtOnce(), Stripes()),
    Case("images-are-not-blank", FromZeroToOne(), Stripes()),
    Case("labels-are-classes", LabelsFromOne(), Stripes()),
    Case("labels-are-classes", LabelsWithoutNames(), Stripes()),
    Case("labels-are-classes", TwoClassesOneName(), Stripes()),
    Case("images-are-deterministic", Shuffles(), Stripes()),
    Case("images-are-deterministic", ShufflesGlobally(), Stripes()),
    Case("images-are-deterministic", FingerprintOfTheClock(), Stripes()),
    Case("resumes-from-any-example", BeginsAnew(), Stripes()),
    Case("resumes-from-any-example", CountsWrongly(), Stripes()),
    Case("test-is-held-out", TestIsTrain(), Stripes()),
]
