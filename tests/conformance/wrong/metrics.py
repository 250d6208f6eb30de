"""Metrics with one mistake each."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

from conformance.case import Case
from conformance.right.metrics import Distance, Likeness, Subsets
from pydantic import Field

from noisette import Estimate, Neighbours


class _Turned(Distance):
    """The distance, changed afterwards."""

    def compute(self, generated, reference, heldout):
        (name, estimate), *_ = super().compute(generated, reference, heldout).items()
        return {name: self.turned(estimate.value)}

    def turned(self, value: float) -> Estimate:
        return Estimate(value)


class PlainNumbers(_Turned):
    def turned(self, value):
        return value


class NegativeError(_Turned):
    def turned(self, value):
        return Estimate(value, -1.0)


class NamesWhatItHasNot(Distance):
    published_names: ClassVar[dict[str, dict[str, str]]] = {"inception": {"frechet": "fid"}}


class Offset(_Turned):
    """A bias that is never taken away."""

    def turned(self, value):
        return Estimate(value + 0.05)


class UpsideDown(_Turned):
    def turned(self, value):
        return Estimate(-value)


class ScoreUpsideDown(Likeness):
    better: ClassVar[Literal["lower", "higher"]] = "lower"


class AveragesBatches(Distance):
    """The mean of the batches' means: small last batches count too much."""

    def merge(self, a, b):
        import torch

        if not a or not b:
            return {**a, **b}
        means = {key: (a[key] / a["n"] + b[key] / b["n"]) / 2 for key in ("sum", "squares")}
        count = a["n"] + b["n"]
        return {"n": torch.as_tensor(count), **{key: mean * count for key, mean in means.items()}}


class KeepsTheLastBatch(Subsets):
    """Keeps the last 100 images: the order decides which."""

    def merge(self, a, b):
        return {key: rows[-100:] for key, rows in super().merge(a, b).items()}

    def compute(self, generated, reference, heldout):
        return {name: Estimate(e.value) for name, e in super().compute(generated, reference, heldout).items()}


class MergeForgets(Distance):
    def update(self, state, batch):
        return Distance().update(state, batch)

    def merge(self, a, b):
        return dict(a) if a else dict(b)


class MergeFailsOnNothing(Distance):
    """Takes the statistics of no images for a mistake: a process without work breaks the sum."""

    def update(self, state, batch):
        return Distance().update(state, batch)

    def merge(self, a, b):
        return {key: a.get(key, 0.0) + b[key] for key in b}


class AddsInPlace(Distance):
    def merge(self, a, b):
        if not a or not b:
            return {**a, **b}
        for key in a:
            a[key] += b[key]
        return a


class GlobalSubsets(Subsets):
    """Draws its subsets from the global generator."""

    def compute(self, generated, reference, heldout):
        import torch

        torch.rand(1)
        return super().compute(generated, reference, heldout)


class OtherSubsetsEachTime(Subsets):
    def one(self, rows, others, generator):
        generator.seed()
        return super().one(rows, others, generator)


class CountsInPython(Distance):
    """A state with a Python number cannot be stored."""

    def moments(self, state):
        import torch

        return super().moments({**state, "n": torch.as_tensor(state.get("n", 0))} if state else state)

    def update(self, state, batch):
        state = super().update(state, batch)
        return {**state, "n": int(state["n"])}


class UnbiasedOfOne(Distance):
    """Divides by n - 1."""

    def moments(self, state):
        if not state:
            return super().moments(state)
        mean = state["sum"] / state["n"]
        return mean, (state["squares"] - state["n"] * mean**2) / (state["n"] - 1)


class NothingIsNothing(Distance):
    """Means of no images are 0/0."""

    def moments(self, state):
        import torch

        nothing = {"n": torch.tensor(0), "sum": torch.zeros(6), "squares": torch.zeros(6)}
        state = state or nothing
        mean = state["sum"] / state["n"]
        return mean, state["squares"] / state["n"] - mean**2


class NeedsLabelsInSecret(Distance):
    def update(self, state, batch):
        return super().update({**state}, batch) if batch.labels.numel() else state


class NeedsImagesOnly(Distance):
    """Says that it reads images, and reads features."""

    needs: ClassVar[Literal["features", "images"]] = "images"


class ForgetsTheRoot(Distance):
    def compute(self, generated, reference, heldout):
        return Distance().compute(generated, reference, heldout)


class _Shared(Distance):
    shares_state: ClassVar[bool] = True


class SharesWhatItsOptionsDecide(Distance):
    """A state that hangs on an option is given to others."""

    shares_state: ClassVar[bool] = True
    every: int = Field(1, ge=1, description="one image of so many is looked at")

    def update(self, state, batch):
        rows = slice(None, None, self.every)
        labels = None if batch.labels is None else batch.labels[rows]
        return super().update(state, replace(batch, features=batch.features[rows], labels=labels))


class PointsBeyond(Distance):
    """Names images by numbers that begin with one."""

    def neighbours(self, generated, reference):
        return [Neighbours(256, [1], [0.0])]


class _Nearest(Subsets):
    """The image of the reference that is nearest to each of the first eight."""

    first: ClassVar[int] = 0

    def neighbours(self, generated, reference):
        import torch

        far = torch.cdist(generated["rows"], reference["rows"])[:8]
        return [Neighbours(n + self.first, [int(one.argmin())], [float(one.min())]) for n, one in enumerate(far)]


class CountsFromOne(_Nearest):
    first: ClassVar[int] = 1


class FarthestFirst(Distance):
    def neighbours(self, generated, reference):
        return [Neighbours(0, [1, 2], [2.0, 1.0])]


CASES = [
    Case("results-are-estimates", PlainNumbers(), Distance()),
    Case("results-are-estimates", NegativeError(), Distance()),
    Case("results-are-estimates", NamesWhatItHasNot(), Distance()),
    Case("zero-for-identical-sets", Offset(), Distance()),
    Case("near-beats-far", UpsideDown(), Distance()),
    Case("near-beats-far", ScoreUpsideDown(), Likeness()),
    Case("independent-of-order-and-batches", AveragesBatches(), Distance()),
    Case("independent-of-order-and-batches", KeepsTheLastBatch(), Subsets()),
    Case("merge-equals-one-pass", MergeForgets(), Distance()),
    Case("merge-equals-one-pass", MergeFailsOnNothing(), Distance()),
    Case("leaves-its-inputs-alone", AddsInPlace(), Distance()),
    Case("leaves-its-inputs-alone", GlobalSubsets(), Subsets()),
    Case("results-are-deterministic", OtherSubsetsEachTime(), Subsets()),
    Case("state-is-tensors", CountsInPython(), Distance()),
    Case("never-nan", UnbiasedOfOne(), Distance()),
    Case("never-nan", NothingIsNothing(), Distance()),
    Case("reads-what-it-needs", NeedsLabelsInSecret(), Distance()),
    Case("reads-what-it-needs", NeedsImagesOnly(), Likeness()),
    Case("every-option-has-an-effect", ForgetsTheRoot(), Distance()),
    Case("shared-state-reads-no-option", SharesWhatItsOptionsDecide(), _Shared()),
    Case("neighbours-are-valid-indices", PointsBeyond(), Distance()),
    Case("neighbours-are-valid-indices", FarthestFirst(), Distance()),
    Case("neighbours-stay-with-their-images", CountsFromOne(), _Nearest()),
]
