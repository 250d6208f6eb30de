"""Whether an objective's minimum is the exact denoiser, and its methods are consistent.

The distribution is a Gaussian of one value, x_0 ~ N(m, c). Expectations over (x_0, eps) are sums over Gauss-Hermite
nodes, exact for polynomials: nothing here is random.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from noisette.contracts import Objective
from noisette.testing.check import require
from noisette.testing.distributions import Gaussian
from noisette.testing.options import combinations, find_ineffective_options, variants
from noisette.testing.probes import is_bit_equal, require_same_random_state
from noisette.testing.trajectories import linear_process

LEVELS = tuple((alpha, (1 - alpha**2) ** 0.5) for alpha in (0.99995, 0.9, 0.7, 0.2, 0.006))
"""(alpha, sigma) from the first timestep to the last."""

_LAW = Gaussian([0.4], [[0.6]])


def check_leaves_its_inputs_alone(plugin: Objective) -> None:
    """Images, noise and output are not changed in place, and no random number is drawn."""
    x0, eps = _make_inputs(3)
    alpha, sigma = (torch.full((4, 1, 1, 1), value, dtype=torch.float64) for value in LEVELS[2])
    output, x_t = _make_inputs(3, seed=5)[0], alpha * x0 + sigma * eps
    given = {"x0": x0, "eps": eps, "output": output, "x_t": x_t, "alpha": alpha, "sigma": sigma}
    before = {name: tensor.clone() for name, tensor in given.items()}
    with require_same_random_state(plugin, "target, losses and predict"):
        plugin.target(x0, eps, alpha, sigma)
        plugin.losses(output, x0, eps, alpha, sigma)
        seen = plugin.predict(output, x_t, *LEVELS[2])
        _ = seen.x0, seen.eps, seen.v
    for name, tensor in given.items():
        require(is_bit_equal(tensor, before[name]), plugin, f"{name} afterwards", "unchanged", "changed")


def check_target_inverts_to_x0(plugin: Objective) -> None:
    """A prediction from the target gives x0, eps and v, to 1e-9 (divided by alpha), in float64."""
    for objective in _settings(plugin):
        for x0, eps in (_make_inputs(1), _make_inputs(3)):
            for alpha, sigma in LEVELS:
                target = _target(objective, x0, eps, alpha, sigma)
                seen = objective.predict(target, alpha * x0 + sigma * eps, alpha, sigma)
                for what, truth in (("x0", x0), ("eps", eps), ("v", alpha * eps - sigma * x0)):
                    error = float((getattr(seen, what) - truth).abs().max())
                    name = f"{what} read from the target at alpha {alpha:.3g}"
                    require(error < 1e-9 / alpha, objective, name, "exact", f"{error:.2g} off")


def check_prediction_is_consistent(plugin: Objective) -> None:
    """For any output of the network, the predicted x0 and eps satisfy alpha x0 + sigma eps = x_t."""
    for objective in _settings(plugin):
        x_t, output = _make_inputs(3)
        for alpha, sigma in LEVELS:
            seen = objective.predict(output, x_t, alpha, sigma)
            error = float((alpha * seen.x0 + sigma * seen.eps - x_t).abs().max())
            what = f"alpha x0 + sigma eps at alpha {alpha:.3g}"
            require(error < 1e-9, objective, what, "x_t within 1e-9", f"{error:.2g} off")


def check_minimiser_is_the_exact_denoiser(plugin: Objective) -> None:
    """The least-squares fit of the target on x_t predicts E[x0 | x_t] and E[eps | x_t], to 1e-8.

    Of a Gaussian both are affine in x_t, so an affine fit finds them.
    """
    for alpha, sigma in LEVELS:
        x0, eps, weights = _nodes()
        offset, gain = _fit(plugin, x0, eps, weights, alpha, sigma)
        x_t = torch.linspace(-3, 3, 13, dtype=torch.float64).view(-1, 1, 1, 1)
        seen = plugin.predict(offset + gain * x_t, x_t, alpha, sigma)
        for what, truth in zip(("x0", "eps"), _LAW.denoise(x_t, alpha, sigma), strict=True):
            error = float((getattr(seen, what) - truth).abs().max())
            what = f"{what} of the least-squares fit at alpha {alpha:.3g}"
            require(error < 1e-8 / alpha, plugin, what, "the exact denoiser's", f"{error:.2g} off")


def check_loss_is_least_at_the_exact_denoiser(plugin: Objective) -> None:
    """The expected loss is least at the exact denoiser's output, for every loss.

    The output is changed by 5 % of the target's standard deviation, by a constant and along x_t, up and down.
    """
    x0, eps, weights = _nodes()
    for objective in variants(plugin):
        for alpha, sigma in LEVELS:
            offset, gain = _fit(objective, x0, eps, weights, alpha, sigma)
            x_t = alpha * x0 + sigma * eps
            away = 0.05 * float(_target(objective, x0, eps, alpha, sigma).std())
            least = _expected_loss(objective, offset + gain * x_t, x0, eps, weights, alpha, sigma)
            for sign in (-1, 1):
                for shape, moved in (("a constant", torch.ones_like(x_t)), ("a multiple of x_t", x_t)):
                    output = offset + gain * x_t + sign * away * moved
                    loss = _expected_loss(objective, output, x0, eps, weights, alpha, sigma)
                    what = f"expected loss, output moved by {sign * away:+.2g} times {shape}, alpha {alpha:.3g}"
                    require(loss > least, objective, what, f"above {least:.6g}", f"{loss:.6g}")


def check_one_loss_per_image(plugin: Objective) -> None:
    """Losses are (N,), finite and not negative, depend on their own image only, and are 0 at the target."""
    for objective in variants(plugin):
        x0, eps = _make_inputs(3)
        alpha, sigma = (torch.tensor([level[i] for level in LEVELS[:4]]).double().view(-1, 1, 1, 1) for i in (0, 1))
        output = _make_inputs(3, seed=5)[0]
        actual = objective.losses(output, x0, eps, alpha, sigma)
        require(actual.shape == (4,), objective, "shape of the losses of 4 images", (4,), tuple(actual.shape))
        good = bool((actual.isfinite() & (actual >= 0)).all())
        require(good, objective, "losses", "finite and not negative", actual.tolist())
        for i in range(4):
            one = (tensor[i : i + 1] for tensor in (output, x0, eps, alpha, sigma))
            alone = float(objective.losses(*one)[0])
            near, wanted = abs(alone - float(actual[i])) <= 1e-12 + 1e-9 * abs(alone), f"that alone, {alone:.6g}"
            require(near, objective, f"loss of image {i} in a batch", wanted, f"{actual[i]:.6g}")
        zero = objective.losses(_target(objective, x0, eps, alpha, sigma), x0, eps, alpha, sigma)
        require(float(zero.abs().max()) < 1e-12, objective, "losses at the target", "0", zero.tolist())


def check_gradient_matches_differences(plugin: Objective) -> None:
    """The gradient of the losses equals central differences, to 1e-5 relative, in float64."""
    for objective in variants(plugin):
        x0, eps = _make_inputs(1)
        alpha, sigma = (torch.full((4, 1, 1, 1), value, dtype=torch.float64) for value in LEVELS[2])
        output = (2 * _make_inputs(1, seed=5)[0]).requires_grad_()
        total = objective.losses(output, x0, eps, alpha, sigma).sum()
        connected = total.requires_grad
        require(connected, objective, "gradient of the losses", "one", "none: the output was detached")
        (gradient,) = torch.autograd.grad(total, output)
        direction = _make_inputs(1, seed=6)[0]
        with torch.no_grad():
            ends = [objective.losses(output + h * direction, x0, eps, alpha, sigma).sum() for h in (-1e-5, 1e-5)]
        expected, actual = float(ends[1] - ends[0]) / 2e-5, float((gradient * direction).sum())
        near = abs(actual - expected) <= 1e-7 + 1e-5 * abs(expected)
        require(near, objective, "derivative of the losses", f"{expected:.8g}", f"{actual:.8g}")


def check_needs_signal_as_declared(plugin: Objective) -> None:
    """`needs_signal` declares whether x0 cannot be predicted where alpha is 0."""
    x0, eps = _make_inputs(1)
    try:
        seen = plugin.predict(_target(plugin, x0, eps, 0.0, 1.0), eps, 0.0, 1.0)
        lost = not bool(((seen.x0 - x0).abs() < 1e-9).all())
    except ZeroDivisionError:
        lost = True
    actual = f"x0 {'cannot' if lost else 'can'} be read at alpha 0"
    require(lost == plugin.needs_signal, plugin, "needs_signal", f"{plugin.needs_signal}, as declared", actual)


def check_every_option_has_an_effect(plugin: Objective) -> None:
    """Each option changes losses, target or prediction."""
    for key in find_ineffective_options(plugin, _fingerprint):
        require(False, plugin, f"option {key!r}", "an effect", "none")


def _settings(plugin: Objective) -> list[Objective]:
    """Return copies with other values of the plugin's own options."""
    return [*variants(plugin), *combinations(plugin, exclude=Objective.model_fields, most=12)]


def _make_inputs(channels: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return two sets of images (4, C, 2, 3), float64."""
    generator = torch.Generator().manual_seed(seed)
    both = torch.randn(2, 4, channels, 2, 3, dtype=torch.float64, generator=generator)
    return both[0], both[1]


def _nodes() -> tuple[Tensor, Tensor, Tensor]:
    """Return x0, eps (N, 1, 1, 1) and weights (N,): quadrature over the distribution and the noise."""
    nodes, weights = (torch.from_numpy(part) for part in np.polynomial.hermite_e.hermegauss(48))
    weights = weights / weights.sum()
    clean = float(_LAW.mean) + float(_LAW.covariance) ** 0.5 * nodes
    x0, eps = (part.reshape(-1, 1, 1, 1) for part in torch.meshgrid(clean, nodes, indexing="ij"))
    return x0, eps, torch.outer(weights, weights).flatten()


def _target(objective: Objective, x0: Tensor, eps: Tensor, alpha: float | Tensor, sigma: float | Tensor) -> Tensor:
    factors = [torch.as_tensor(value, dtype=x0.dtype) for value in (alpha, sigma)]
    return objective.target(x0, eps, *factors)


def _fit(
    objective: Objective, x0: Tensor, eps: Tensor, weights: Tensor, alpha: float, sigma: float
) -> tuple[float, float]:
    """Return offset and gain of the weighted least-squares fit of the target on x_t."""
    x_t = (alpha * x0 + sigma * eps).flatten()
    target = _target(objective, x0, eps, alpha, sigma).flatten()
    centre, middle = weights @ x_t, weights @ target
    gain = float(weights @ ((x_t - centre) * (target - middle)) / (weights @ (x_t - centre) ** 2))
    return float(middle - gain * centre), gain


def _expected_loss(
    objective: Objective, output: Tensor, x0: Tensor, eps: Tensor, weights: Tensor, alpha: float, sigma: float
) -> float:
    factors = (torch.full_like(x0, value) for value in (alpha, sigma))
    return float(weights @ objective.losses(output, x0, eps, *factors))


def _fingerprint(objective: Objective) -> bytes:
    return torch.cat(list(_iter_values(objective))).numpy().tobytes()


def _iter_values(objective: Objective) -> Iterator[Tensor]:
    x0, eps = _make_inputs(1)
    process, t = linear_process(), torch.tensor([1, 200, 600, 999])
    output = 2 * _make_inputs(objective.outputs, seed=5)[0]
    yield objective.training_losses(output, x0, eps, t, process)
    seen = objective.parse_output(output, x0 + eps, t, process)
    yield seen.x0.flatten()
    if seen.variance_fraction is not None:
        yield seen.variance_fraction.flatten()
    yield _target(objective, x0, eps, *LEVELS[2]).flatten()
