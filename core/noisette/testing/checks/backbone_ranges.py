"""Whether a backbone's networks work for all they are called with: any step, large values, no label, options."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from noisette.contracts import Backbone, Shape
from noisette.errors import DataError
from noisette.testing.check import fail, require
from noisette.testing.checks.backbones import CLASSES, _base, _built, _inputs, _near, _raw, _ready, _said
from noisette.testing.elsewhere import told_elsewhere
from noisette.testing.options import alternatives, silent_options
from noisette.testing.probes import global_seeds

_STEPS = 64
"""Steps that are compared with each other: their differences are nearly all numbers up to a thousand."""

_SCALES = (10.0, 100.0, 1000.0)


def check_steps_do_not_come_again(plugin: Backbone) -> None:
    """Each two of 64 steps between 0 and 999 differ: an embedding with a period, such as 256, has a step twice."""
    network, (x, _, label) = _ready(plugin)
    steps = torch.randperm(1000, generator=torch.Generator().manual_seed(0))[:_STEPS].sort().values
    said = _said(network, x[:1].expand(_STEPS, -1, -1, -1).clone(), steps, label[:1].expand(_STEPS))
    spread = float(said.std())
    for one in range(1, _STEPS):
        apart = (said[:one] - said[one]).abs().flatten(1).max(dim=1).values / spread
        twin = int(apart.argmin())
        what = f"outputs at steps {int(steps[twin])} and {int(steps[one])}"
        require(float(apart[twin]) > 1e-6, plugin, what, "different", "the same")


def check_outputs_have_no_bounds(plugin: Backbone) -> None:
    """With larger parameters it gives values beyond 5 and below -5: noise and velocities are no pixels.

    Networks that end in a tanh, a sigmoid or a clamp cannot learn what lies beyond.
    """
    shape = _base(plugin)
    x, t, label = _inputs(shape)
    most = [0.0, 0.0]
    for scale in _SCALES:
        network = _built(plugin, shape, CLASSES, shape[0])
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.mul_(scale)
        said = _said(network, x, t, label)
        most = [min(most[0], float(said.nan_to_num().min())), max(most[1], float(said.nan_to_num().max()))]
        if most[0] < -5 and most[1] > 5:
            return
    what = f"range of the output when all parameters are up to {_SCALES[-1]:g} times as large"
    require(False, plugin, what, "beyond -5 and 5: it must have no bounds", most)


def check_called_without_a_label(plugin: Backbone) -> None:
    """`net(x, t)`, `net(x, t, None)` and `net(x, t, label=None)` give the same, with classes and without."""
    shape = _base(plugin)
    x, t, _ = _inputs(shape)
    for classes in (0, CLASSES):
        network: Any = _built(plugin, shape, classes, shape[0])
        expected = _said(network, x, t, None)
        for what, given in (("net(x, t)", {}), ("net(x, t, label=None)", {"label": None})):
            try:
                with torch.no_grad():
                    came = network(x, t, **given)
            except TypeError as error:
                fail(plugin, f"{what} of {classes} classes", "an output", f"TypeError: {error}")
            _near(plugin, f"{what} of {classes} classes", expected, came, 1e-4)


def check_options_build_networks(plugin: Backbone) -> None:
    """With other values of an option too, networks give the asked shape and take pictures apart; or are refused."""
    shape = _base(plugin)
    x, t, label = _inputs(shape)
    for other in (one for tried in alternatives(plugin, small=True).values() for one in tried):
        network = _unless_refused(other, shape, 2 * shape[0])
        if network is not None:
            whole, alone = _said(network, x, t, label), _said(network, x[1:2], t[1:2], label[1:2])
            expected, came = (len(x), 2 * shape[0], *shape[1:]), tuple(whole.shape)
            require(came == expected, other, "shape of the output", expected, came)
            _near(other, "output of a picture on its own", whole[1:2], alone, 1e-4)


def check_every_option_counts(plugin: Backbone) -> None:
    """Each option changes the parameters, the output or, as dropout does, that in training: none is forgotten."""
    for key in silent_options(plugin, _fingerprint, small=True):
        require(False, plugin, f"option {key!r}", "an effect on the network", "none")


def check_same_in_another_process(plugin: Backbone) -> None:
    """Another process, in which strings have other hashes, builds the same weights from one seed."""
    here, there = told(plugin), told_elsewhere(plugin, __name__, "told")
    require(here.keys() == there.keys(), plugin, "names of the weights", sorted(here), sorted(there))
    other = [name for name, value in here.items() if abs(value - there[name]) > 1e-4 * abs(value) + 1e-6]
    require(not other, plugin, "weights of two processes", "the same", f"others in {other[:3]}")


def told(plugin: Backbone) -> dict[str, float]:
    """Return, for each tensor of a network built from a seed, a number that stands for it."""
    shape = _base(plugin)
    state = _raw(plugin, shape, CLASSES, shape[0], seed=3).state_dict()
    return {name: float(_digest(value)) for name, value in state.items()}


def _digest(value: Tensor) -> Tensor:
    flat = value.double().flatten()
    return flat @ torch.linspace(1, 2, len(flat), dtype=torch.float64)


def _fingerprint(plugin: Backbone) -> object:
    shape = _base(plugin)
    x, t, label = _inputs(shape)
    network = _unless_refused(plugin, shape, shape[0])
    if network is None:
        return "refused"
    sizes = tuple((name, tuple(one.shape)) for name, one in network.state_dict().items())
    calm = _said(network, x, t, label).numpy().tobytes()
    return sizes, calm, _in_training(network, x, t, label)


def _unless_refused(plugin: Backbone, shape: Shape, outputs: int) -> nn.Module | None:
    """Build a network; none where options do not go together, however that is said."""
    try:
        return _built(plugin, shape, CLASSES, outputs)
    except (DataError, ValueError, RuntimeError, AssertionError):
        return None


def _in_training(network: nn.Module, x: Tensor, t: Tensor, label: Tensor) -> bytes:
    with global_seeds(0):
        return _said(network.train(), x, t, label).numpy().tobytes()
