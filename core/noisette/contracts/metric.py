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
    """A measured value with its standard error, where the metric knows it: a pair, with a third thing beside it.

    Attributes:
        value: what was measured.
        stderr: the standard deviation of the value over redrawn sets; None if it is not known.
        shared: the part of the error that comes from the reference, as a vector: its squared length is that part of
            the variance, and its product with the vector of another set beside the same reference their covariance.
            Empty if it is not known: a difference of two values is then taken for less certain than it is.
    """

    shared: tuple[float, ...]

    def __new__(cls, value: float, stderr: float | None = None, shared: Sequence[float] = ()) -> Self:
        """Return the pair; `shared` may be a list, as JSON has it."""
        self = super().__new__(cls, value, stderr)
        self.shared = tuple(shared)
        return self

    def options(self) -> dict[str, Any]:
        """Return it as JSON values, from which ``Estimate(**values)`` is made again."""
        return {**self._asdict(), "shared": list(self.shared)} if self.shared else self._asdict()


class Neighbours(NamedTuple):
    """An image of a set and the reference images that it is to be seen beside.

    Attributes:
        place: of the image in its set, in the order in which `update` saw and `merge` joined them.
        beside: places of the others in the reference, the nearest first.
        distances: to each of those.
    """

    place: int
    beside: list[int]
    distances: list[float]


Curve = list[tuple[float, Estimate]]
"""Something measured at several places, in ascending order of them."""


@dataclass(frozen=True)
class Batch:
    """What a metric sees of some images.

    Attributes:
        images: uint8 (N, C, H, W).
        features: float32 (N, D), or None where no metric asked for features.
        labels: int64 (N,), or None where the images have none.
        logits: float32 (N, K) of the features' own classifier, or None where no metric asked for them.
        model: the model that is judged by real images, for a `ModelMetric` alone.
        indices: of the images in their set, int64 (N,), for a `ModelMetric` alone.
        seed: the experiment's; with their numbers it decides the images' noise.
    """

    images: Tensor
    features: Tensor | None = None
    labels: Tensor | None = None
    model: EvaluatedModel | None = None
    indices: Tensor | None = None
    seed: int = 0
    logits: Tensor | None = None


class Metric(Plugin):
    """A comparison of two sets of images, from statistics that can be streamed, merged and stored.

    A state is a dictionary of tensors, `{}` for no images: nothing else is kept of the images, so
    statistics of a reference can be stored once, and those of several processes merged. Metrics work on the
    CPU in float64 where it matters; a batch may lie on any device.

    Class attributes:
        needs: "features" or "images": what it reads of a batch; "model" of a `ModelMetric`.
        needs_labels: whether the reference must have labels.
        needs_logits: whether a metric of features needs their logits as well; over features that classify nothing
            it is left out.
        shares_state: whether `update` and `merge` read no option: metrics that have them from one class are then
            given one state between them, so that rows of features are kept once.
        inception_names: result names that the literature gives over Inception features, such as
            ``{"frechet": "fid"}``; over any other features a result bears the features' name.
        better: which way results are better; "neither" of what only describes a set.
    """

    kind: ClassVar[str] = "metric"
    needs: ClassVar[Literal["features", "images", "model"]] = "features"
    needs_labels: ClassVar[bool] = False
    needs_logits: ClassVar[bool] = False
    shares_state: ClassVar[bool] = False
    inception_names: ClassVar[dict[str, str]] = {}
    better: ClassVar[Literal["lower", "higher", "neither"]] = "lower"

    @abstractmethod
    def update(self, state: State, batch: Batch) -> State:
        """Return the statistics of what `state` had seen and of `batch`; `state` itself is not changed."""

    @abstractmethod
    def merge(self, a: State, b: State) -> State:
        """Return the statistics of both sets together, as if seen in one pass."""

    @abstractmethod
    def compute(self, generated: State, reference: State, heldout: State) -> dict[str, Estimate]:
        """Compare two sets; return results by name.

        Args:
            generated: statistics of the images that are judged.
            reference: statistics of the real images they are compared with.
            heldout: statistics of real images that the reference does not have, or `{}` where there are
                none. In the row of real held-out images they are the ones that are judged.

        Raises:
            DataError: if the sets are too small for an honest value; never returns NaN.
        """

    def neighbours(self, generated: State, reference: State) -> list[Neighbours]:
        """Return images that are worth showing beside reference images; none, if not overridden."""
        return []

    def column(self, result: str, features: str) -> str:
        """Return the name a result bears over features of this label: ``fid``, or ``frechet_<features>``."""
        if self.needs != "features":
            return result
        if features == "inception":
            return self.inception_names.get(result, f"{result}_{features}")
        return f"{result}_{features}"


class ModelMetric(Metric):
    """A judgement of the model itself, by real images that it has not seen: no sampler has a part in it.

    `update` is given real held-out images with the model in the batch; `compute` gets the statistics of all of
    them as `generated`, and nothing else.
    """

    needs: ClassVar[Literal["features", "images", "model"]] = "model"

    count: PositiveInt = Field(256, description="held-out images that are looked at, at most")

    def curves(self, state: State) -> dict[str, Curve]:
        """Return results that are functions of something, such as a loss of the step; none, if not overridden."""
        return {}
