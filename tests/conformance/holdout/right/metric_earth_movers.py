"""Distance of the two sets' histograms of values as earth movers count it; a state for each channel."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from noisette import Batch, DataError, Estimate, Metric

if TYPE_CHECKING:
    from torch import Tensor

    from noisette.contracts.metric import State


class EarthMovers(Metric):
    """Distance of the two sets' histograms of values as earth movers count it; a state for each channel.

    The names of the state's tensors hang on the images (channel-0, channel-1, ...). Sets of grey and of colour
    cannot be joined.
    """

    name: ClassVar[str] = "values"
    paper: ClassVar[str] = "Vallender 1974"
    needs: ClassVar[Literal["features", "images"]] = "images"

    def update(self, state: State, batch: Batch) -> State:
        """Return counts of the 256 values by channel, (256,) int64 each."""
        if not len(batch.images):
            return dict(state)
        channels = batch.images.cpu().long().transpose(0, 1)
        new = {f"channel-{c}": values.flatten().bincount(minlength=256) for c, values in enumerate(channels)}
        return self.merge(state, new)

    def merge(self, a: State, b: State) -> State:
        """Return the counts of both."""
        if not a or not b:
            return dict(a or b)
        if a.keys() != b.keys():
            raise DataError(f"cannot join images of {len(a)} channels with images of {len(b)}")
        return {key: a[key] + b[key] for key in a}

    def compute(self, generated: State, reference: State, heldout: State) -> dict[str, Estimate]:
        """Return `values`, the mean over channels, in grey levels."""
        if not generated or not reference:
            raise DataError("expected images in both sets; got none")
        if generated.keys() != reference.keys():
            raise DataError(f"expected as many channels; got {len(generated)} and {len(reference)}")
        gaps = [_shares(generated[key]) - _shares(reference[key]) for key in generated]
        apart = [float(gap.cumsum(dim=0).abs().sum()) for gap in gaps]
        return {"values": Estimate(sum(apart) / len(apart))}


def _shares(counts: Tensor) -> Tensor:
    return counts.double() / counts.sum()


KIND = "metric"
PLUGIN = EarthMovers
