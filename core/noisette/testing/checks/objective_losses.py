"""Whether losses are weighted and averaged as declared, and correct at all levels, for all errors and devices."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from noisette.contracts import Objective
from noisette.diffusion import Prediction
from noisette.testing.check import fail, for_method, require
from noisette.testing.checks.objectives import LEVELS, _make_inputs, _target
from noisette.testing.options import combinations, with_options
from noisette.testing.probes import devices, require_same_bits
from noisette.testing.trajectories import linear_process

_WEIGHTS: tuple[dict[str, Any], ...] = (
    {"weight": "min-snr", "min_snr": 5.0},
    {"weight": "min-snr", "min_snr": 0.7},
    {"weight": "p2", "p2_gamma": 1.0, "p2_k": 1.0},
    {"weight": "p2", "p2_gamma": 0.6, "p2_k": 2.5},
)

_OF_BOUND = ("bound", "variance", "bound_weight")
"""Options of the variational bound, which core adds to the losses."""

_LARGE = 1000.0


def check_predictions_are_whole(plugin: Objective) -> None:
    """`predict` returns a `Prediction` of finite tensors with the output's shape and dtype, float32 or float64."""
    for objective in combinations(plugin, exclude=_OF_BOUND):
        for dtype in (torch.float32, torch.float64):
            x_t, output = (part.to(dtype) for part in _make_inputs(3))
            for alpha, sigma in LEVELS:
                seen = objective.predict(output, x_t, alpha, sigma)
                is_one = isinstance(seen, Prediction)
                require(is_one, objective, "result of predict", "a Prediction", type(seen).__name__)
                for what, part in (("x0", seen.x0), ("eps", seen.eps)):
                    name = f"{what} read at alpha {alpha:.3g}"
                    require(part.shape == x_t.shape, objective, f"shape of {name}", x_t.shape, tuple(part.shape))
                    require(part.dtype == dtype, objective, f"dtype of {name}", dtype, part.dtype)
                    finite = bool(part.isfinite().all())
                    require(finite, objective, name, "finite values", "NaN or infinity", cause="not finite")


def check_images_are_independent(plugin: Objective) -> None:
    """Target and prediction depend on their own image only: factors per image equal scalars, to 1e-12."""
    x0, eps = _make_inputs(3)
    output, x_t = _make_inputs(3, seed=5)
    alpha, sigma = (
        torch.tensor([level[i] for level in LEVELS[1:]], dtype=torch.float64).view(-1, 1, 1, 1) for i in (0, 1)
    )
    for objective in combinations(plugin, exclude=_OF_BOUND):
        target = objective.target(x0, eps, alpha, sigma)
        both = objective.predict(output, x_t, alpha, sigma)  # type: ignore[arg-type]
        for i, (a, s) in enumerate(LEVELS[1:]):
            row = slice(i, i + 1)
            _equal(objective, f"target of image {i}", _target(objective, x0[row], eps[row], a, s), target[row])
            alone = objective.predict(output[row], x_t[row], a, s)
            _equal(objective, f"x0 of image {i}", alone.x0, both.x0[row])
            _equal(objective, f"eps of image {i}", alone.eps, both.eps[row])


@for_method("losses")
def check_weights_match_the_paper(plugin: Objective) -> None:
    """A weighted loss is the paper's weight times the squared error of x0, for any parameterisation, to 1e-9.

    min-snr: min(snr, gamma) (Hang et al. 2023); p2: snr / (k + snr)^gamma (Choi et al. 2022). Other distances are
    weighted as much. The weight of another parameterisation differs by a power of the signal-to-noise ratio.
    """
    output, x0, eps, alpha, sigma = _make_batch()
    for options in _WEIGHTS:
        weighted = with_options(plugin, **options, loss="mse", bound="none")
        expected = _weight(weighted, (alpha / sigma) ** 2).flatten() * _x0_error(weighted, output, x0, eps)
        actual = weighted.losses(output, x0, eps, alpha, sigma)
        _equal(weighted, "weighted losses", expected, actual)
        squared, *unweighted = (
            with_options(plugin, weight="none", loss=loss, bound="none").losses(output, x0, eps, alpha, sigma)
            for loss in ("mse", "l1", "huber")
        )
        for loss, plain in zip(("l1", "huber"), unweighted, strict=True):
            other = with_options(plugin, **options, loss=loss, bound="none")
            wanted = actual * plain / squared
            _equal(other, f"{loss} losses", wanted, other.losses(output, x0, eps, alpha, sigma))


@for_method("losses")
def check_losses_average_over_values(plugin: Objective) -> None:
    """Losses are means over values: an image next to its copy has the same loss, and every value contributes."""
    x0, eps = _make_inputs(3)
    alpha, sigma = _factors()
    output = (_target(plugin, x0, eps, alpha, sigma) + _make_inputs(3, seed=6)[0]).requires_grad_()
    for objective in combinations(plugin, exclude=_OF_BOUND):
        losses = objective.losses(output, x0, eps, alpha, sigma)
        wide = [torch.cat([part, part], dim=3) for part in (output, x0, eps)]
        twice = objective.losses(wide[0], wide[1], wide[2], alpha, sigma)
        _equal(objective, "losses of images twice as wide", losses, twice)
        (gradient,) = torch.autograd.grad(losses.sum(), output)
        idle = float((gradient == 0).double().mean())
        require(idle == 0, objective, "share of values without a gradient", 0, idle)


@for_method("losses")
def check_losses_are_stateless(plugin: Objective) -> None:
    """The same batch has the same losses after other batches."""
    output, x0, eps, alpha, sigma = _make_batch()
    for objective in combinations(plugin, exclude=_OF_BOUND, most=8):
        first = objective.losses(output, x0, eps, alpha, sigma)
        for scale in (0.1, 10.0):
            objective.losses(scale * output, x0, eps, alpha, sigma)
            objective.predict(scale * output, x0, *LEVELS[2])
        again = objective.losses(output, x0, eps, alpha, sigma)
        require_same_bits(objective, "losses of the same batch after others", first, again)


@for_method("losses")
def check_gradient_at_every_level(plugin: Objective) -> None:
    """The gradient of each image's loss equals central differences, to 1e-5, at all levels, for 3 channels."""
    x0, eps = _make_inputs(3)
    alpha, sigma = _factors()
    output, direction = (2 * _make_inputs(3, seed=5)[0]).requires_grad_(), _make_inputs(3, seed=6)[0]
    for objective in combinations(plugin, exclude=_OF_BOUND):
        losses = objective.losses(output, x0, eps, alpha, sigma)
        if not losses.requires_grad:
            fail(objective, "gradient of the losses", "one", "none: the output is detached")
        with torch.no_grad():
            ends = [objective.losses(output + h * direction, x0, eps, alpha, sigma) for h in (-1e-5, 1e-5)]
        for i, expected in enumerate(((ends[1] - ends[0]) / 2e-5).tolist()):
            (gradient,) = torch.autograd.grad(losses[i], output, retain_graph=True)
            actual = float((gradient * direction).sum())
            near = abs(actual - expected) <= 1e-7 + 1e-5 * abs(expected)
            require(near, objective, f"derivative of the losses of image {i}", expected, actual)


@for_method("training_losses")
def check_bound_matches_core(plugin: Objective) -> None:
    """`training_losses` are the losses, the variational bound or both, as `bound` says, in values and gradients.

    Against core's own sums of the plugin's `losses` and the bound, to 1e-9: of the wrong sign, the bound would
    drive the variance away; not held still, it would move the mean.
    """
    process, t = linear_process(257), torch.tensor([1, 40, 130, 256])
    x0, eps = _make_inputs(3)
    for objective in _bounds(plugin):
        output = _make_inputs(3 * objective.outputs, seed=5)[0].requires_grad_()
        expected = Objective.training_losses(objective, output, x0, eps, t, process)
        actual = objective.training_losses(output, x0, eps, t, process)
        _equal(objective, "training losses", expected, actual)
        gradients = [torch.autograd.grad(losses.sum(), output)[0] for losses in (expected, actual)]
        _equal(objective, "gradient of the training losses", *gradients)


@for_method("parse_output")
def check_parse_output_splits_channels(plugin: Objective) -> None:
    """`parse_output` returns the prediction of the first channels and the variance fractions of the others.

    A timestep per image gives the same as one for all.
    """
    process, steps = linear_process(257), (1, 40, 130, 256)
    for objective in _bounds(plugin):
        output, x_t = _make_inputs(3 * objective.outputs, seed=5)[0], _make_inputs(3)[0]
        both = objective.parse_output(output, x_t, torch.tensor(steps), process)
        for i, t in enumerate(steps):
            row = slice(i, i + 1)
            expected = Objective.parse_output(objective, output[row], x_t[row], t, process)
            alone = objective.parse_output(output[row], x_t[row], t, process)
            for what, one, place in (("a step for all", alone, slice(None)), ("own steps", both, row)):
                _equal(objective, f"x0 read with {what}", expected.x0, one.x0[place])
                _fractions_equal(objective, what, expected.variance_fraction, one.variance_fraction, place)


def check_predictions_are_linear_in_the_output(plugin: Objective) -> None:
    """`predict` is linear in the output, for large outputs too, and so is its gradient: nothing is clamped.

    A change of the output by 1000 d changes x0 and eps 1000 times as much as a change by d, to 1e-9.
    """
    x_t, output = _make_inputs(3)
    way = _make_inputs(3, seed=6)[0]
    for alpha, sigma in LEVELS:
        moved = output.clone().requires_grad_()
        plain, large = (plugin.predict(one, x_t, alpha, sigma) for one in (moved, output + _LARGE * way))
        unit = plugin.predict(output + way, x_t, alpha, sigma)
        for name in ("x0", "eps"):
            value, what = getattr(plain, name), f"{name} read at alpha {alpha:.3g}"
            small = getattr(unit, name) - value.detach()
            _equal(plugin, f"{what} of a large output", value.detach() + _LARGE * small, getattr(large, name))
            expected, actual = float((small * way).sum()), _slope(value, moved, way)
            right = abs(actual - expected) <= 1e-6 * abs(expected) + 1e-9
            require(right, plugin, f"derivative of the {what}", expected, actual)


@for_method("losses")
def check_losses_grow_with_the_error(plugin: Objective) -> None:
    """A hundredfold error has 10,000 times the mse loss and 100 times the l1 loss, for every weight.

    The huber loss is half of mse for errors around 1e-3, and l1 for errors around 1e6, to 1e-4.
    """
    x0, eps = _make_inputs(3)
    alpha, sigma = _factors()
    target, way = _target(plugin, x0, eps, alpha, sigma), _make_inputs(3, seed=6)[0]
    for loss, grows in (("mse", 1e4), ("l1", 1e2)):
        for weight in ("none", "min-snr", "p2"):
            one = with_options(plugin, loss=loss, weight=weight, bound="none")
            small, large = (one.losses(target + by * way, x0, eps, alpha, sigma) for by in (1.0, 100.0))
            _equal(one, "losses of errors a hundred times as large", grows * small, large)
    for like, by, share in (("mse", 1e-3, 0.5), ("l1", 1e6, 1.0)):
        one, other = (with_options(plugin, loss=loss, weight="none", bound="none") for loss in ("huber", like))
        actual, expected = (each.losses(target + by * way, x0, eps, alpha, sigma) for each in (one, other))
        near = bool(((actual - share * expected).abs() <= 1e-4 * expected).all())
        what = f"losses of errors of about {by:g}"
        require(near, one, what, f"{share:g} of {like}'s, {(share * expected).tolist()}", actual.tolist())


@for_method("losses")
def check_finite_at_both_ends(plugin: Objective) -> None:
    """Losses, gradients and predictions are finite with little noise, and without signal unless `needs_signal`."""
    x0, eps = _make_inputs(3)
    ends = [((1 - 1e-10) ** 0.5, 1e-5), *([] if plugin.needs_signal else [(0.0, 1.0)])]
    for objective in combinations(plugin, exclude=_OF_BOUND):
        for alpha, sigma in ends:
            output = _make_inputs(3, seed=5)[0].requires_grad_()
            factors = [torch.full((4, 1, 1, 1), value, dtype=torch.float64) for value in (alpha, sigma)]
            losses = objective.losses(output, x0, eps, *factors)
            (gradient,) = torch.autograd.grad(losses.sum(), output)
            seen = objective.predict(output, alpha * x0 + sigma * eps, alpha, sigma)
            for what, part in (("losses", losses), ("gradient", gradient), ("x0", seen.x0), ("eps", seen.eps)):
                finite = bool(part.isfinite().all())
                require(finite, objective, f"{what} at alpha {alpha:.3g}", "finite values", "NaN or infinity")


def check_keeps_dtype_and_device(plugin: Objective) -> None:
    """Target, losses and predictions have the dtype and device of their inputs, on the "meta" device too."""
    for objective in combinations(plugin, exclude=_OF_BOUND, most=8):
        for device in (torch.device("cpu"), *devices()):
            parts = (*_make_inputs(3), _make_inputs(3, seed=5)[0], *_factors())
            x0, eps, output, alpha, sigma = (part.to(device, torch.float32) for part in parts)
            try:
                seen = objective.predict(output, x0, *LEVELS[2])
                target = objective.target(x0, eps, alpha, sigma)
                losses = objective.losses(output, x0, eps, alpha, sigma)
            except (RuntimeError, NotImplementedError) as error:
                require("item()" in str(error), objective, "tensors", f"all on the device of x0, {device}", error)
                continue
            for what, part in (("target", target), ("losses", losses), ("x0", seen.x0), ("eps", seen.eps)):
                actual, expected = (part.dtype, part.device.type), (torch.float32, device.type)
                require(actual == expected, objective, f"dtype and device of {what}", expected, actual)


def _bounds(plugin: Objective) -> Iterator[Objective]:
    for bound in ("none", "hybrid", "full"):
        for variance in ("interpolated", "direct") if bound != "none" else ("interpolated",):
            yield with_options(plugin, bound=bound, variance=variance)


def _fractions_equal(
    objective: Objective, what: str, expected: Tensor | None, actual: Tensor | None, row: slice
) -> None:
    if expected is not None and actual is not None:
        _equal(objective, f"fractions read with {what}", expected, actual[row])
        return
    wanted = "none" if expected is None else "some"
    require(expected is actual, objective, f"fractions read with {what}", wanted, "the opposite")


def _factors() -> tuple[Tensor, Tensor]:
    """Return alpha and sigma of four images, each (4, 1, 1, 1)."""
    alpha = torch.tensor([0.98, 0.8, 0.45, 0.08], dtype=torch.float64).view(-1, 1, 1, 1)
    return alpha, (1 - alpha**2).sqrt()


def _make_batch() -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return output, x0, eps (4, 3, 2, 3), alpha and sigma (4, 1, 1, 1)."""
    return _make_inputs(3, seed=5)[0], *_make_inputs(3), *_factors()


def _weight(objective: Objective, snr: Tensor) -> Tensor:
    if objective.weight == "min-snr":
        return snr.clamp(max=objective.min_snr)
    return snr / (objective.p2_k + snr) ** objective.p2_gamma


def _x0_error(objective: Objective, output: Tensor, x0: Tensor, eps: Tensor) -> Tensor:
    """Return the mean squared error of x0 of each image, (N,)."""
    alpha, sigma = _factors()
    prediction = objective.predict(output, alpha * x0 + sigma * eps, alpha, sigma)  # type: ignore[arg-type]
    return (prediction.x0 - x0).square().flatten(1).mean(dim=1)


def _equal(objective: Objective, what: str, expected: Tensor, actual: Tensor) -> None:
    shape = isinstance(actual, Tensor) and actual.shape == expected.shape
    require(shape, objective, f"shape of the {what}", tuple(expected.shape), tuple(getattr(actual, "shape", ())))
    expected, actual = expected.detach().flatten(), actual.detach().flatten()
    off = (actual - expected).abs().nan_to_num(nan=math.inf)
    worst = int(off.argmax())
    near = float(off[worst]) <= 1e-9 * max(float(expected.abs().max()), 1e-3)
    require(near, objective, what, float(expected[worst]), float(actual[worst]))


def _slope(value: Tensor, output: Tensor, way: Tensor) -> float:
    """Return the derivative of the sum of value times `way` along `way`; 0 if there is no gradient."""
    if not value.requires_grad:
        return 0.0
    (gradient,) = torch.autograd.grad((value * way).sum(), output, retain_graph=True)
    return float((gradient * way).sum())
