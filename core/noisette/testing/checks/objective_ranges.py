"""Whether an objective is correct for large errors, at both ends of the process, and on any device."""

from __future__ import annotations

import torch
from torch import Tensor

from noisette.contracts import Objective
from noisette.testing.check import for_method, require
from noisette.testing.checks.objective_losses import _equal, _factors
from noisette.testing.checks.objectives import LEVELS, _make_inputs, _target
from noisette.testing.options import combinations, with_options
from noisette.testing.probes import devices

_LARGE = 1000.0


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
    for objective in combinations(plugin, exclude=("bound", "variance", "bound_weight")):
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
    for objective in combinations(plugin, exclude=("bound", "variance", "bound_weight"), most=8):
        for device in (torch.device("cpu"), *devices()):
            x0, eps, output = (
                part.to(device, torch.float32) for part in (*_make_inputs(3), _make_inputs(3, seed=5)[0])
            )
            alpha, sigma = (factor.to(device, torch.float32) for factor in _factors())
            try:
                seen = objective.predict(output, x0, *LEVELS[2])
                target, losses = (
                    objective.target(x0, eps, alpha, sigma),
                    objective.losses(output, x0, eps, alpha, sigma),
                )
            except (RuntimeError, NotImplementedError) as error:
                require("item()" in str(error), objective, "tensors", f"all on the device of x0, {device}", error)
                continue
            for what, part in (("target", target), ("losses", losses), ("x0", seen.x0), ("eps", seen.eps)):
                actual, expected = (part.dtype, part.device.type), (torch.float32, device.type)
                require(actual == expected, objective, f"dtype and device of {what}", expected, actual)


def _slope(value: Tensor, output: Tensor, way: Tensor) -> float:
    """Return the derivative of the sum of value times `way` along `way`; 0 if there is no gradient."""
    if not value.requires_grad:
        return 0.0
    (gradient,) = torch.autograd.grad((value * way).sum(), output, retain_graph=True)
    return float((gradient * way).sum())
