"""Metrics that are wrong where parts are unequal, or report errors that are none."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from conformance.case import Case
from conformance.right.metrics import Distance, Likeness, Subsets
from pydantic import Field

from noisette import Estimate


class MeansOfMeans(Likeness):
    """Merges two means into their mean, however many images each is of: right for equal halves."""

    def update(self, state, batch):
        import torch

        rows = batch.images.double().flatten(1)
        mean = rows.sum(dim=0) if not state else state["sum"] / state["n"] * state["n"] + rows.sum(dim=0)
        count = len(rows) + (int(state["n"]) if state else 0)
        return {"n": torch.tensor(count), "sum": mean}

    def merge(self, a, b):
        if not a or not b:
            return {**a, **b}
        n = a["n"] + b["n"]
        return {"n": n, "sum": (a["sum"] / a["n"] + b["sum"] / b["n"]) / 2 * n}


class _WithError(Subsets):
    """The estimate with another error."""

    def compute(self, generated, reference, heldout):
        return {
            name: Estimate(one.value, self.error(one))
            for name, one in super().compute(generated, reference, heldout).items()
        }


class NoError(_WithError):
    def error(self, estimate):
        return 0.0


class TinyError(_WithError):
    def error(self, estimate):
        return 1e-9


class CountsSubsetsAsImages(_WithError):  # noqa: N818
    """Divides by the root of the number of subsets, which says nothing of new images."""

    def error(self, estimate):
        return estimate.stderr / 20


class DeviationForError(_WithError):
    """Reports how far subsets are apart, which is no error of their mean."""

    def error(self, estimate):
        return estimate.stderr * 50**0.5


class ErrorOfTheFirst(Subsets):
    """An error of the first image alone: another order, another error."""

    def compute(self, generated, reference, heldout):
        (name, one), *_ = super().compute(generated, reference, heldout).items()
        return {name: Estimate(one.value, one.stderr * (1 + 20 * abs(float(generated["rows"][0].sum()))))}


class InSingle(Distance):
    """Sums squares in float32, without the mean taken away."""

    def update(self, state, batch):
        import torch

        rows = batch.features
        seen = {"n": torch.tensor(len(rows)), "sum": rows.sum(dim=0), "squares": (rows**2).sum(dim=0)}
        return self.merge(state, seen)


class OneCountForBoth(Distance):
    """Divides the reference's sums by the number of generated images."""

    def compute(self, generated, reference, heldout):
        reference = {**reference, "n": generated["n"]} if generated and reference else reference
        return super().compute(generated, reference, heldout)


class NeedsLabelsAndIgnoresThem(Distance):
    needs_labels: ClassVar[bool] = True


class _ByLabel(Distance):
    """The distance with the features of each label moved by it."""

    needs_labels: ClassVar[bool] = True

    def update(self, state, batch):
        return super().update(state, batch if batch.labels is None else _moved(batch))


def _moved(batch):
    features = batch.features.clone()
    features[:, 0] *= 1 + batch.labels.float()
    return replace(batch, features=features)


class SquareColourOnly(Likeness):
    def update(self, state, batch):
        return super().update(state, replace(batch, images=batch.images.reshape(-1, 3, 8, 8)))


class NeedsHeldOut(Distance):
    def compute(self, generated, reference, heldout):
        return {**super().compute(generated, reference, heldout), "count": Estimate(float(heldout["n"]))}


class RedAlone(Likeness):
    def update(self, state, batch):
        return super().update(state, replace(batch, images=batch.images[:, :1]))


class WrapsBytes(Likeness):
    """Takes the differences of bytes, which wrap round."""

    def update(self, state, batch):
        images = batch.images
        return super().update(state, replace(batch, images=images[..., 1:] - images[..., :-1]))


class _Steps(Likeness):
    def update(self, state, batch):
        images = batch.images.int()
        return super().update(state, replace(batch, images=images[..., 1:] - images[..., :-1]))


class _Power(Distance):
    power: int = Field(2, ge=1, description="of the distance")

    def compute(self, generated, reference, heldout):
        return {name: self.raised(one) for name, one in super().compute(generated, reference, heldout).items()}

    def raised(self, estimate):
        return Estimate(estimate.value**self.power)


class NothingLeftAtOne(_Power):
    """One less than it says."""

    def raised(self, estimate):
        return Estimate(estimate.value ** (self.power - 1))


CASES = [
    Case("merge-equals-one-pass", MeansOfMeans(), Likeness()),
    Case("stderr-matches-new-sets", NoError(), Subsets()),
    Case("stderr-matches-new-sets", TinyError(), Subsets()),
    Case("stderr-matches-new-sets", CountsSubsetsAsImages(), Subsets()),
    Case("stderr-matches-new-sets", DeviationForError(), Subsets()),
    Case("independent-of-order-and-batches", ErrorOfTheFirst(), Subsets()),
    Case("precise-far-from-zero", InSingle(), Distance()),
    Case("counts-of-both-sets", OneCountForBoth(), Distance()),
    Case("reads-labels-and-logits", NeedsLabelsAndIgnoresThem(), _ByLabel()),
    Case("reads-all-of-the-images", RedAlone(), Likeness()),
    Case("bytes-do-not-wrap", WrapsBytes(), _Steps()),
    Case("every-option-distinguishes-sets", NothingLeftAtOne(), _Power()),
    Case("any-images-and-features", SquareColourOnly(), Likeness()),
    Case("works-without-held-out-images", NeedsHeldOut(), Distance()),
]
