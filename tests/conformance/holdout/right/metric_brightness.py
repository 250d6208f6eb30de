"""Mean brightness of the judged images, which is neither good nor bad."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Literal

from noisette import (
    Batch,
    DataError,
    Estimate,
    Metric,
)

if TYPE_CHECKING:
    from noisette.contracts.metric import State


class Brightness(Metric):
    """Mean brightness of the judged images, which is neither good nor bad."""

    name: ClassVar[str] = "brightness"
    needs: ClassVar[Literal["features", "images", "model"]] = "images"
    better: ClassVar[Literal["lower", "higher", "neither"]] = "neither"

    def update(self, state: State, batch: Batch) -> State:
        """Return count, mean and scatter of the images' means, those of `batch` added, float64."""
        import torch

        if not len(batch.images):
            return dict(state)
        means = batch.images.detach().cpu().flatten(1).to(torch.float64).mean(dim=1) / 255
        centre = means.mean()
        seen = {"count": torch.tensor(len(means)), "mean": centre, "scatter": (means - centre).square().sum()}
        return self.merge(state, seen)

    def merge(self, a: State, b: State) -> State:
        """Return the moments of both sets."""
        if not a or not b:
            return dict(a or b)
        count, step = a["count"] + b["count"], b["mean"] - a["mean"]
        return {
            "count": count,
            "mean": a["mean"] + step * b["count"] / count,
            "scatter": a["scatter"] + b["scatter"] + step**2 * a["count"] * b["count"] / count,
        }

    def compute(self, generated: State, reference: State, heldout: State) -> dict[str, Estimate]:
        """Return `brightness` with the error of a mean.

        Raises:
            DataError: if fewer than 2 images are judged.
        """
        count = int(generated["count"]) if generated else 0
        if count < 2:
            raise DataError(f"brightness: expected at least 2 judged images; got {count}")
        error = math.sqrt(float(generated["scatter"]) / (count - 1) / count)
        return {"brightness": Estimate(float(generated["mean"]), error)}


KIND = "metric"
PLUGIN = Brightness
