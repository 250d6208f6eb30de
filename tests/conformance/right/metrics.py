"""A distance, a score and an estimate from random subsets."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from noisette import Batch, DataError, Estimate, Metric

if TYPE_CHECKING:
    from torch import Tensor

    State = dict[str, Tensor]


class Sums(Metric):
    """Base of metrics whose statistics are count, sum and sum of squares of the features."""

    def update(self, state: State, batch: Batch) -> State:
        import torch

        rows = batch.features.double()
        seen = {"n": torch.tensor(len(rows)), "sum": rows.sum(dim=0), "squares": (rows**2).sum(dim=0)}
        return self.merge(state, seen)

    def merge(self, a: State, b: State) -> State:
        if not a or not b:
            return {**a, **b}
        return {key: a[key] + b[key] for key in a}

    def moments(self, state: State) -> tuple[Tensor, Tensor]:
        if not state or state["n"] < 2:
            raise DataError(f"metric {self.name}: expected at least 2 images; got {int(state.get('n', 0))}")
        mean = state["sum"] / state["n"]
        return mean, state["squares"] / state["n"] - mean**2


class Distance(Sums):
    """Squared distance of the means and of the deviations of each feature."""

    name: ClassVar[str] = "distance"
    published_names: ClassVar[dict[str, dict[str, str]]] = {"inception": {"distance": "diagonal-fid"}}

    root: bool = Field(False, description="give the root of it")

    def compute(self, generated: State, reference: State, heldout: State) -> dict[str, Estimate]:
        (mean, variance), (other, spread) = self.moments(generated), self.moments(reference)
        roots = variance.clamp(min=0).sqrt() - spread.clamp(min=0).sqrt()
        value = float(((mean - other) ** 2).sum() + (roots**2).sum())
        return {"distance": Estimate(value**0.5 if self.root else value)}


class Likeness(Metric):
    """How near the mean image of each label's pattern is, between 0 and 1: a score of images."""

    name: ClassVar[str] = "likeness"
    needs: ClassVar[Literal["features", "images"]] = "images"
    better: ClassVar[Literal["lower", "higher"]] = "higher"

    def update(self, state: State, batch: Batch) -> State:
        import torch

        rows = batch.images.double().flatten(1)
        return self.merge(state, {"n": torch.tensor(len(rows)), "sum": rows.sum(dim=0)})

    def merge(self, a: State, b: State) -> State:
        return {key: a[key] + b[key] for key in a} if a and b else {**a, **b}

    def compute(self, generated: State, reference: State, heldout: State) -> dict[str, Estimate]:
        if not generated or not reference:
            raise DataError("metric likeness: expected images on both sides; got none")
        apart = generated["sum"] / generated["n"] - reference["sum"] / reference["n"]
        return {"likeness": Estimate(1 / (1 + float(apart.abs().mean())))}


class Subsets(Metric):
    """Mean over random subsets of the squared distance of means, with its standard error."""

    name: ClassVar[str] = "subsets"

    def update(self, state: State, batch: Batch) -> State:
        return self.merge(state, {"rows": batch.features.double()})

    def merge(self, a: State, b: State) -> State:
        import torch

        return {"rows": torch.cat([a["rows"], b["rows"]])} if a and b else {**a, **b}

    def compute(self, generated: State, reference: State, heldout: State) -> dict[str, Estimate]:
        import torch

        rows, others = (state.get("rows", torch.empty(0, 1)) for state in (generated, reference))
        if min(len(rows), len(others)) < 60:
            raise DataError(f"metric subsets: expected at least 60 images; got {min(len(rows), len(others))}")
        generator = torch.Generator().manual_seed(0)
        values = torch.stack([self.one(rows, others, generator) for _ in range(50)])
        return {"subsets": Estimate(float(values.mean()), float(values.std() / 50**0.5))}

    def one(self, rows: Tensor, others: Tensor, generator: object) -> Tensor:
        """Return the unbiased squared distance of the means of two subsets of 50."""
        import torch

        a, b = (each[torch.randperm(len(each), generator=generator)[:50]] for each in (rows, others))
        bias = a.var(dim=0).sum() / 50 + b.var(dim=0).sum() / 50
        return ((a.mean(dim=0) - b.mean(dim=0)) ** 2).sum() - bias
