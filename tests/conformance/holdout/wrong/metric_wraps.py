"""Total variation of images, beside the reference's: roughness."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from noisette import Batch, DataError, Estimate, Metric

if TYPE_CHECKING:
    from torch import Tensor

    from noisette.contracts.metric import State


class Wraps(Metric):
    """Total variation of images, beside the reference's: roughness."""

    name: ClassVar[str] = "roughness"
    needs: ClassVar[Literal["features", "images"]] = "images"

    def update(self, state: State, batch: Batch) -> State:
        """Return count and sum of the images' roughness."""
        x = batch.images.cpu()
        steps = (x[..., 1:] - x[..., :-1]).abs().double().flatten(1).mean(dim=1)
        return self.merge(state, {"count": torch_int(len(x)), "sum": steps.sum()})

    def merge(self, a: State, b: State) -> State:
        """Return the sums of both."""
        return {key: a[key] + b[key] for key in a} if a and b else dict(a or b)

    def compute(self, generated: State, reference: State, heldout: State) -> dict[str, Estimate]:
        """Return `roughness`."""
        if not generated or not reference:
            raise DataError("expected images in both sets; got none")
        means = [float(state["sum"] / state["count"]) for state in (generated, reference)]
        return {"roughness": Estimate(abs(means[0] - means[1]))}


def torch_int(number: int) -> Tensor:
    """Return a number as a tensor."""
    import torch

    return torch.tensor(number)


KIND = "metric"
PLUGIN = Wraps
CAUSE = (
    "differences of neighbouring pixels are taken in uint8, where they wrap round: a step down counts as "
    "a large one up"
)
WORDS = ("uint8", "wrap", "mirror", "range")
