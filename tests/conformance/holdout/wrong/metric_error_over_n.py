"""Mean brightness of images, beside the reference's."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from noisette import Batch, DataError, Estimate, Metric

if TYPE_CHECKING:
    from torch import Tensor

    from noisette.contracts.metric import State


class ErrorOverN(Metric):
    """Mean brightness of images, beside the reference's."""

    name: ClassVar[str] = "brightness"
    needs: ClassVar[Literal["features", "images"]] = "images"

    def update(self, state: State, batch: Batch) -> State:
        """Return count, sum and squares of the images' means."""
        means = batch.images.double().flatten(1).mean(dim=1).cpu()
        new = {"count": torch_int(len(means)), "sum": means.sum(), "squares": means.square().sum()}
        return self.merge(state, new)

    def merge(self, a: State, b: State) -> State:
        """Return the sums of both."""
        return {key: a[key] + b[key] for key in a} if a and b else dict(a or b)

    def compute(self, generated: State, reference: State, heldout: State) -> dict[str, Estimate]:
        """Return `brightness`, the difference of both means."""
        (mean_g, error_g), (mean_r, error_r) = self._mean(generated), self._mean(reference)
        return {"brightness": Estimate(mean_g - mean_r, (error_g**2 + error_r**2) ** 0.5)}

    def _mean(self, state: State) -> tuple[float, float]:
        if not state or int(state["count"]) < 2:
            raise DataError("expected at least 2 images")
        n = int(state["count"])
        mean = float(state["sum"]) / n
        variance = max(float(state["squares"]) / n - mean**2, 0.0) * n / (n - 1)
        return mean, variance**0.5 / n


def torch_int(number: int) -> Tensor:
    """Return a number as a tensor."""
    import torch

    return torch.tensor(number)


KIND = "metric"
PLUGIN = ErrorOverN
CAUSE = (
    "the standard error is the deviation over n where it must be over the root of n: ten times too small "
    "for 100 images"
)
WORDS = ("stderr", "error", "small")
