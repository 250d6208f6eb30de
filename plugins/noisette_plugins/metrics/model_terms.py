"""Terms of a model's loss and variational bound on real images, by timestep."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch
from torch import Tensor

from noisette import Curve, DataError, Estimate, Noise
from noisette.plugin_api import derive_seed, downsample, get_bound, seeded_generator, to_unit, upsample

if TYPE_CHECKING:
    from noisette import Batch
    from noisette.plugin_api import EvaluatedModel, State

__all__ = [
    "SpanOutput",
    "add_states",
    "bound_sums",
    "curve_by_step",
    "estimate_means",
    "iter_span_outputs",
    "loss_sums",
    "split_into_spans",
]


def bound_sums(
    batch: Batch, terms: int | None, variance: Literal["fixed-small", "fixed-large"], *, clip: bool
) -> State:
    """Return sums of the bound, L_T, L_1 to L_T-1 and L_0 over the images of a batch, in bits per dimension.

    The first timestep always has its own span: its term is of another kind, and the largest.
    """
    model = require_model(batch)
    timesteps, bound = len(model.process), get_bound(model.process, variance)
    parts = torch.zeros(len(batch.images), 4, dtype=torch.float64)
    state = curve_state(timesteps)
    later = None if terms is None else max(terms - 1, 1)
    for span in iter_span_outputs(model, batch, [(0, 1), *split_into_spans(1, timesteps, later)]):
        seen = model.objective.parse_output(span.output, span.x_t, span.t, model.process)
        x0 = seen.x0.clamp(-1, 1) if clip else seen.x0
        bits = bound.terms(span.x0, span.t, x0, seen.variance_fraction).double().cpu()
        parts[:, 3 if span.length == 1 and int(span.t[0]) == 0 else 2] += bits * span.length
        parts[:, 1] = bound.prior(span.x0).double().cpu()
        add_at_steps(state, span.t, bits)
    parts[:, 0] = parts[:, 1:].sum(dim=1)
    return {**state, **sum_values(parts)}


_POINTS = 100  # of a curve


class SpanOutput(NamedTuple):
    """Images at one timestep each, and the model's predictions; tensors on the model's device."""

    x0: Tensor
    eps: Tensor
    t: Tensor
    x_t: Tensor
    output: Tensor
    length: int
    """Timesteps of the span that they represent."""


def split_into_spans(first: int, timesteps: int, count: int | None) -> list[tuple[int, int]]:
    """Split timesteps first ... timesteps - 1 into `count` even spans; one per timestep if None or too many."""
    steps = timesteps - first
    count = min(count or steps, steps)
    edges = [first + round(index * steps / max(count, 1)) for index in range(count + 1)]
    return list(pairwise(edges))


def iter_span_outputs(model: EvaluatedModel, batch: Batch, cut: list[tuple[int, int]]) -> Iterator[SpanOutput]:
    """Yield the model's predictions for the images in each span."""
    device = model.machine.device
    indices = torch.arange(len(batch.images)) if batch.indices is None else batch.indices
    x0 = to_unit(batch.images.cpu()).to(device)
    label = batch.labels.to(device) if model.classes and batch.labels is not None else None
    side = model.conditioning.low_res_size
    low_res = None if side is None else upsample(downsample(x0, side), model.shape[1:])
    noise = Noise(derive_seed(batch.seed, "views"), indices.tolist(), x0.shape[1:], device=device)
    places = torch.stack(
        [torch.rand(len(cut), generator=seeded_generator(batch.seed, "steps", n)) for n in indices.tolist()]
    )
    for index, (low, high) in enumerate(cut):
        t = (low + (places[:, index] * (high - low)).long()).clamp(max=high - 1).to(device)
        eps = noise()
        x_t = model.process.add_noise(x0, eps, t)
        yield SpanOutput(x0, eps, t, x_t, model.forward_raw(x_t, t, label, low_res), high - low)


def loss_sums(batch: Batch, terms: int | None) -> State:
    """Return sums of the objective's loss over the images of a batch."""
    model, count = require_model(batch), len(batch.images)
    timesteps = len(model.process)
    total = torch.zeros(count, dtype=torch.float64)
    state = curve_state(timesteps)
    for span in iter_span_outputs(model, batch, split_into_spans(0, timesteps, terms)):
        x0, eps, t = span.x0, span.eps, span.t
        losses = model.objective.training_losses(span.output, x0, eps, t, model.process).double().cpu()
        total += losses * span.length / timesteps
        add_at_steps(state, t, losses)
    return {**state, **sum_values(total[:, None])}


def require_model(batch: Batch) -> EvaluatedModel:
    """Return the model of a batch."""
    if batch.model is None:
        raise DataError("expected a batch with the model that is judged; got none")
    return batch.model


def sum_values(values: Tensor) -> State:
    """Return count (), sums (K,) and squares (K,) of K values per image, (N, K)."""
    return {"count": torch.tensor(len(values)), "sums": values.sum(dim=0), "squares": values.square().sum(dim=0)}


def curve_state(timesteps: int) -> State:
    """Return empty sums by timestep."""
    sums, squares = torch.zeros(2, timesteps, dtype=torch.float64)
    return {"step_sums": sums, "step_squares": squares, "step_counts": torch.zeros(timesteps, dtype=torch.int64)}


def add_at_steps(state: State, t: Tensor, values: Tensor) -> None:
    """Add values (N,) at timesteps (N,) to sums by timestep."""
    t = t.cpu()
    state["step_sums"].index_add_(0, t, values)
    state["step_squares"].index_add_(0, t, values.square())
    state["step_counts"].index_add_(0, t, torch.ones_like(t))


def add_states(a: State, b: State) -> State:
    """Return the sums of two states, either of which may be empty."""
    if not a or not b:
        return dict(a or b)
    return {name: tensor + b[name] for name, tensor in a.items()}


def estimate_means(state: State) -> list[Estimate]:
    """Return the mean of each value over the images, with its standard error.

    Raises:
        DataError: if there are fewer than 2 images.
    """
    count = int(state["count"]) if state else 0
    if count < 2:
        raise DataError(f"expected at least 2 held-out images; got {count}")
    return [_estimate(*sums, count) for sums in zip(state["sums"].tolist(), state["squares"].tolist(), strict=True)]


def curve_by_step(state: State) -> Curve:
    """Return the mean at each timestep, or in spans of timesteps (at their middle) where there are many."""
    curve: Curve = []
    for low, high in split_into_spans(0, len(state["step_counts"]), _POINTS):
        count = int(state["step_counts"][low:high].sum())
        if count > 1:
            sums, squares = (float(state[name][low:high].sum()) for name in ("step_sums", "step_squares"))
            curve.append(((low + high - 1) / 2, _estimate(sums, squares, count)))
    return curve


def _estimate(total: float, squares: float, count: int) -> Estimate:
    mean = total / count
    variance = max(squares / count - mean**2, 0.0) * count / (count - 1)
    return Estimate(mean, (variance / count) ** 0.5)
