"""Whether a backbone's networks work for any timestep, large values, no label and all options."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from noisette.contracts import Backbone, Shape
from noisette.errors import DataError
from noisette.testing.check import fail, require
from noisette.testing.checks.backbones import (
    CLASSES,
    _build_randomised,
    _build_seeded,
    _build_with_inputs,
    _inputs,
    _require_near,
    _run_network,
    _smallest_shape,
)
from noisette.testing.options import alternatives, find_ineffective_options
from noisette.testing.other_process import run_in_other_process
from noisette.testing.probes import seed_globally

_STEPS = 64
"""Number of timesteps that are compared: their differences include nearly all numbers up to a thousand."""

_SCALES = (10.0, 100.0, 1000.0)


def check_timesteps_do_not_repeat(plugin: Backbone) -> None:
    """64 timesteps between 0 and 999 give different outputs: a periodic embedding is found this way."""
    network, (x, _, label) = _build_with_inputs(plugin)
    steps = torch.randperm(1000, generator=torch.Generator().manual_seed(0))[:_STEPS].sort().values
    results = _run_network(network, x[:1].expand(_STEPS, -1, -1, -1).clone(), steps, label[:1].expand(_STEPS))
    spread = float(results.std())
    for one in range(1, _STEPS):
        apart = (results[:one] - results[one]).abs().flatten(1).max(dim=1).values / spread
        twin = int(apart.argmin())
        what = f"outputs at steps {int(steps[twin])} and {int(steps[one])}"
        require(float(apart[twin]) > 1e-6, plugin, what, "different", "the same")


def check_outputs_have_no_bounds(plugin: Backbone) -> None:
    """With larger parameters the output exceeds -5 and 5, as noise and velocities are not limited to [-1, 1].

    Networks that end in a tanh, a sigmoid or a clamp cannot learn larger values.
    """
    shape = _smallest_shape(plugin)
    x, t, label = _inputs(shape)
    most = [0.0, 0.0]
    for scale in _SCALES:
        network = _build_randomised(plugin, shape, CLASSES, shape[0])
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.mul_(scale)
        results = _run_network(network, x, t, label)
        most = [min(most[0], float(results.nan_to_num().min())), max(most[1], float(results.nan_to_num().max()))]
        if most[0] < -5 and most[1] > 5:
            return
    what = f"range of the output when all parameters are up to {_SCALES[-1]:g} times as large"
    require(False, plugin, what, "beyond -5 and 5, without bounds", most)


def check_called_without_a_label(plugin: Backbone) -> None:
    """`net(x, t)`, `net(x, t, None)` and `net(x, t, label=None)` give the same, with classes and without."""
    shape = _smallest_shape(plugin)
    x, t, _ = _inputs(shape)
    for classes in (0, CLASSES):
        network: Any = _build_randomised(plugin, shape, classes, shape[0])
        expected = _run_network(network, x, t, None)
        for what, given in (("net(x, t)", {}), ("net(x, t, label=None)", {"label": None})):
            try:
                with torch.no_grad():
                    actual = network(x, t, **given)
            except TypeError as error:
                fail(plugin, f"{what} of {classes} classes", "an output", f"TypeError: {error}")
            _require_near(plugin, f"{what} of {classes} classes", expected, actual, 1e-4)


def check_options_build_networks(plugin: Backbone) -> None:
    """With other values of options, networks give the right shape and independent images, or are refused."""
    shape = _smallest_shape(plugin)
    x, t, label = _inputs(shape)
    for other in (one for tried in alternatives(plugin, small=True).values() for one in tried):
        network = _none_if_refused(other, shape, 2 * shape[0])
        if network is not None:
            whole, alone = _run_network(network, x, t, label), _run_network(network, x[1:2], t[1:2], label[1:2])
            expected, actual = (len(x), 2 * shape[0], *shape[1:]), tuple(whole.shape)
            require(actual == expected, other, "shape of the output", expected, actual)
            _require_near(other, "output of an image on its own", whole[1:2], alone, 1e-4)


def check_every_option_has_an_effect(plugin: Backbone) -> None:
    """Each option changes the parameters, the output or, like dropout, the output in training mode."""
    for key in find_ineffective_options(plugin, _fingerprint, small=True):
        require(False, plugin, f"option {key!r}", "an effect on the network", "none")


def check_same_in_another_process(plugin: Backbone) -> None:
    """Another process, with other hashes of strings, builds the same weights from the same seed."""
    here, there = process_fingerprint(plugin), run_in_other_process(plugin, __name__, "process_fingerprint")
    require(here.keys() == there.keys(), plugin, "names of the weights", sorted(here), sorted(there))
    other = [name for name, value in here.items() if abs(value - there[name]) > 1e-4 * abs(value) + 1e-6]
    require(not other, plugin, "weights in another process", "the same", f"different in {other[:3]}")


def process_fingerprint(plugin: Backbone) -> dict[str, float]:
    """Return a number that identifies each tensor of a network built from a seed."""
    shape = _smallest_shape(plugin)
    state = _build_seeded(plugin, shape, CLASSES, shape[0], seed=3).state_dict()
    return {name: float(_digest(value)) for name, value in state.items()}


def _digest(value: Tensor) -> Tensor:
    flat = value.double().flatten()
    return flat @ torch.linspace(1, 2, len(flat), dtype=torch.float64)


def _fingerprint(plugin: Backbone) -> object:
    shape = _smallest_shape(plugin)
    x, t, label = _inputs(shape)
    network = _none_if_refused(plugin, shape, shape[0])
    if network is None:
        return "refused"
    sizes = tuple((name, tuple(one.shape)) for name, one in network.state_dict().items())
    calm = _run_network(network, x, t, label).numpy().tobytes()
    return sizes, calm, _in_training(network, x, t, label)


def _none_if_refused(plugin: Backbone, shape: Shape, outputs: int) -> nn.Module | None:
    """Build a network; None if the combination of options is refused, by a `DataError` or otherwise."""
    try:
        return _build_randomised(plugin, shape, CLASSES, outputs)
    except (DataError, ValueError, RuntimeError, AssertionError):
        return None


def _in_training(network: nn.Module, x: Tensor, t: Tensor, label: Tensor) -> bytes:
    with seed_globally(0):
        return _run_network(network.train(), x, t, label).numpy().tobytes()
