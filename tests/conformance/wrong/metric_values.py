"""Metrics whose results have other names, answer for nothing, or are not those of their paper."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from conformance.case import Case
from conformance.right.metrics import Distance, Likeness
from pydantic import Field

from noisette import Estimate
from noisette.contracts import Neighbours
from noisette_plugins.metrics import KID, Frechet, PrecisionRecall


class CountsInTheName(Distance):
    published_names: ClassVar[dict[str, dict[str, str]]] = {}

    def compute(self, generated, reference, heldout):
        (one,) = super().compute(generated, reference, heldout).values()
        return {f"distance_{int(generated['n'])}": one}


class SpacesInTheName(Distance):
    published_names: ClassVar[dict[str, dict[str, str]]] = {}

    def compute(self, generated, reference, heldout):
        (one,) = super().compute(generated, reference, heldout).values()
        return {"distance (squared)": one}


class ZeroForNothing(Distance):
    def compute(self, generated, reference, heldout):
        if not generated or not reference:
            return {"distance": Estimate(0.0)}
        return super().compute(generated, reference, heldout)


class ZeroForOne(Distance):
    """Has the best value for one image, which has no deviation."""

    def compute(self, generated, reference, heldout):
        if generated and generated["n"] < 2 and reference:
            return {"distance": Estimate(0.0)}
        return super().compute(generated, reference, heldout)


class FirstFeatures(Distance):
    """Reads the first four."""

    def update(self, state, batch):
        return super().update(state, replace(batch, features=batch.features[:, :4]))


class _Shows(Distance):
    """Shows the first image beside the first of the reference."""

    def update(self, state, batch):
        import torch

        seen = {**super().update({}, batch), "places": torch.arange(len(batch.features))}
        return self.merge(state, seen)

    def merge(self, a, b):
        if not a or not b:
            return {**a, **b}
        joined = super().merge(*({key: one[key] for key in one if key != "places"} for one in (a, b)))
        return {**joined, "places": self.joined(a["places"], b["places"])}

    def neighbours(self, generated, reference):
        return [Neighbours(int(place), [0], [0.0]) for place in generated["places"][-3:]]


class PlacesOfThePart(_Shows):
    def joined(self, a, b):
        import torch

        return torch.cat([a, b])


class PlacesOfTheWhole(_Shows):
    def joined(self, a, b):
        import torch

        return torch.cat([a, b + len(a)])


class _Halved(Likeness):
    half: bool = Field(False, description="give half of it")

    def compute(self, generated, reference, heldout):
        (one,) = super().compute(generated, reference, heldout).values()
        return {"likeness": Estimate(one.value / (1 + self.half))}


class MergesMeansWhenHalved(_Halved):
    """Forgets how many images a part had, with its option alone."""

    def merge(self, a, b):
        if not self.half or not a or not b:
            return super().merge(a, b)
        n = a["n"] + b["n"]
        return {"n": n, "sum": (a["sum"] / a["n"] + b["sum"] / b["n"]) / 2 * n}


class ScaledByTheHash(Distance):
    def compute(self, generated, reference, heldout):
        (one,) = super().compute(generated, reference, heldout).values()
        return {"distance": Estimate(one.value * (1 + hash("distance") % 1000))}


class RootOfIt(Frechet):
    """Gives the distance, not its square."""

    def compute(self, generated, reference, heldout):
        (name, one), *_ = super().compute(generated, reference, heldout).items()
        return {name: Estimate(one.value**0.5)}


class Doubled(KID):
    def compute(self, generated, reference, heldout):
        return {
            name: Estimate(2 * one.value) for name, one in super().compute(generated, reference, heldout).items()
        }


class TurnedRound(PrecisionRecall):
    """Takes the judged set for the reference."""

    def compute(self, generated, reference, heldout):
        return super().compute(reference, generated, heldout)


CASES = [
    Case("names-do-not-depend-on-sets", CountsInTheName(), Distance()),
    Case("names-do-not-depend-on-sets", SpacesInTheName(), Distance()),
    Case("nothing-is-refused", ZeroForNothing(), Distance()),
    Case("nothing-is-refused", ZeroForOne(), Distance()),
    Case("reads-every-feature", FirstFeatures(), Distance()),
    Case("indices-survive-a-merge", PlacesOfThePart(), PlacesOfTheWhole()),
    Case("options-keep-the-promises", MergesMeansWhenHalved(), _Halved()),
    Case("same-in-another-process", ScaledByTheHash(), Distance()),
    Case("value-matches-the-paper", RootOfIt(), Frechet()),
    Case("value-matches-the-paper", Doubled(), KID()),
    Case("value-matches-the-paper", TurnedRound(), PrecisionRecall()),
]
