"""The contract of metrics."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Self, TypeAlias

from pydantic import Field, PositiveInt

from noisette.contracts.plugin import Plugin

if TYPE_CHECKING:
    from torch import Tensor

    from noisette.contracts.evaluated_model import EvaluatedModel

__all__ = ["Batch", "Curve", "Estimate", "Metric", "ModelMetric", "Neighbours", "State"]

State: TypeAlias = "dict[str, Tensor]"


class _ValueWithStderr(NamedTuple):
    value: float
    stderr: float | None = None


class Estimate(_ValueWithStderr):
    """A measured value with its standard error.

    Attributes:
        value: the value.
        stderr: its standard deviation over redrawn sets of images; None if unknown.
        shared: the part of the error due to the reference, as a vector: its squared length is that part of the
            variance, and its product with the vector of another set, compared with the same reference, is the
            covariance of both. Empty if unknown; the error of a difference is then overestimated.
    """

    shared: tuple[float, ...]

    def __new__(cls, value: float, stderr: float | None = None, shared: Sequence[float] = ()) -> Self:
        """Return an estimate; `shared` may be a list."""
        self = super().__new__(cls, value, stderr)
        self.shared = tuple(shared)
        return self

    def options(self) -> dict[str, Any]:
        """Return JSON values from which ``Estimate(**values)`` restores it."""
        return {**self._asdict(), "shared": list(self.shared)} if self.shared else self._asdict()


class Neighbours(NamedTuple):
    """An image of a set with its nearest reference images.

    Attributes:
        image: index of the image in its set, in the order of `update` and `merge`.
        nearest: indices of the reference images, the nearest first.
        distances: the distance to each of them.
    """

    image: int
    nearest: list[int]
    distances: list[float]


Curve = list[tuple[float, Estimate]]
"""Estimates as a function of a number, in ascending order."""


@dataclass(frozen=True)
class Batch:
    """A batch of images for a metric.

    Attributes:
        images: uint8 (N, C, H, W).
        features: float32 (N, D); None if no metric needs features.
        labels: int64 (N,); None for images without labels.
        logits: float32 (N, K) of the features' classifier; None if no metric needs them.
        model: the evaluated model, for a `ModelMetric` only.
        indices: indices of the images in their set, int64 (N,), for a `ModelMetric` only.
        seed: the experiment's seed, which together with the indices decides the noise of the images.
    """

    images: Tensor
    features: Tensor | None = None
    labels: Tensor | None = None
    model: EvaluatedModel | None = None
    indices: Tensor | None = None
    seed: int = 0
    logits: Tensor | None = None


class Metric(Plugin):
    """A comparison of two sets of images, by statistics that can be streamed, merged and stored.

    The statistics, called state, are a dictionary of tensors; `{}` is the state of no images. The state of a
    reference is stored once, and those of several processes are merged. Metrics compute on the CPU, in float64
    where it matters; a batch may be on any device.

    Class attributes:
        needs: what the metric reads of a batch: "features" or "images"; "model" for a `ModelMetric`.
        needs_labels: whether the reference must have labels.
        needs_logits: whether a metric of features needs their logits too; it is skipped for features without a
            classifier.
        shares_state: whether `update` and `merge` depend on no option; metrics that inherit them from one class
            then share one state, so that features are stored once.
        published_names: names of results in the literature, by the label of the features they are defined over:
            ``{"inception": {"frechet": "fid"}}``; for other features a result is named after the features.
        better: whether "lower" or "higher" results are better; "neither" for a description.
    """

    kind: ClassVar[str] = "metric"
    needs: ClassVar[Literal["features", "images", "model"]] = "features"
    needs_labels: ClassVar[bool] = False
    needs_logits: ClassVar[bool] = False
    shares_state: ClassVar[bool] = False
    published_names: ClassVar[dict[str, dict[str, str]]] = {}
    better: ClassVar[Literal["lower", "higher", "neither"]] = "lower"

    @abstractmethod
    def update(self, state: State, batch: Batch) -> State:
        """Return the state after a batch; `state` itself is not changed."""

    @abstractmethod
    def merge(self, a: State, b: State) -> State:
        """Return the state of both sets together, as from a single pass."""

    @abstractmethod
    def compute(self, generated: State, reference: State, heldout: State) -> dict[str, Estimate]:
        """Compare two sets; return results by name.

        Args:
            generated: state of the evaluated images.
            reference: state of the real images that they are compared with.
            heldout: state of real images that are not in the reference, or `{}`. In the row of real held-out images
                they are also the evaluated ones.

        Raises:
            DataError: if the sets are too small for a meaningful value; NaN is never returned.
        """

    def neighbours(self, generated: State, reference: State) -> list[Neighbours]:
        """Return images to show with their nearest reference images; none by default."""
        return []

    def column(self, result: str, features: str) -> str:
        """Return the name of a result for features of this label: ``fid``, or ``frechet_<features>``."""
        if self.needs != "features":
            return result
        return self.published_names.get(features, {}).get(result, f"{result}_{features}")


class ModelMetric(Metric):
    """A metric of the model itself on real held-out images, without a sampler.

    `update` gets real held-out images with the model in the batch; `compute` gets their state as `generated`, and
    `{}` otherwise.
    """

    needs: ClassVar[Literal["features", "images", "model"]] = "model"

    count: PositiveInt = Field(256, description="largest number of held-out images")

    def curves(self, state: State) -> dict[str, Curve]:
        """Return results that are functions, such as the loss by timestep; none by default."""
        return {}
