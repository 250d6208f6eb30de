"""Whether a backbone's networks use all of x, t and label, learn from them, and work for all values and options."""

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
    _require_all_differ,
    _require_near,
    _require_steps_differ,
    _run_network,
    _smallest_shape,
)
from noisette.testing.options import find_ineffective_options, iter_alternatives
from noisette.testing.other_process import run_in_other_process
from noisette.testing.probes import (
    find_seeded_generators,
    iter_layouts,
    require_finite,
    require_same_bits,
    seed_globally,
)

_LATE = (1000, 1001, 1999, 3999)
"""Timesteps of processes with more than the usual 1000."""

_RUNS = (range(4), range(497, 501), range(996, 1000))
"""Adjacent timesteps: a smaller table, or rounding, makes two of them equal."""

_STEPS = 64
"""Number of timesteps that are compared: their differences include nearly all numbers up to a thousand."""

_SCALES = (10.0, 100.0, 1000.0)


def check_any_number_of_steps(plugin: Backbone) -> None:
    """Timesteps up to 3999 give finite outputs that differ from each other."""
    network, (x, _, label) = _build_with_inputs(plugin)
    _require_steps_differ(plugin, network, x, label, (0, 1, 999, *_LATE))


def check_adjacent_timesteps_differ(plugin: Backbone) -> None:
    """Adjacent timesteps give different outputs: 0 to 3, 497 to 500, 996 to 999."""
    network, (x, _, label) = _build_with_inputs(plugin)
    for run in _RUNS:
        _require_steps_differ(plugin, network, x, label, run)


def check_any_number_of_classes(plugin: Backbone) -> None:
    """With 1 and with 20 classes all labels, including "none", give different outputs."""
    shape = _smallest_shape(plugin)
    _, (x, t, _) = _build_with_inputs(plugin)
    for classes in (1, 20):
        network = _build_randomised(plugin, shape, classes, shape[0])
        labels = tuple(sorted({0, classes // 2, classes - 1, classes}))
        results = [_run_network(network, x, t, torch.full((len(x),), label)) for label in labels]
        _require_all_differ(plugin, f"outputs of {classes} classes for labels", labels, results)


def check_reads_and_writes_every_channel(plugin: Backbone) -> None:
    """Every value of x has an effect, and no two channels of the output are equal.

    Also with more input than output channels, as for conditioning and self-conditioning.
    """
    channels, height, width = _smallest_shape(plugin)
    for given, outputs in ((channels, channels), (2 * channels, channels), (channels, 2 * channels)):
        network = _build_randomised(plugin, (given, height, width), 0, outputs)
        x = torch.randn(2, given, height, width, generator=torch.Generator().manual_seed(2)).requires_grad_()
        output = network(x, torch.tensor([3, 700]), None)
        weights = torch.randn(output.shape, generator=torch.Generator().manual_seed(3))
        (effect,) = torch.autograd.grad((output * weights).sum(), x)
        idle = [channel for channel in range(given) if not bool(effect[:, channel].any())]
        require(not idle, plugin, f"channels of {given} without an effect on the output", "none", idle)
        share = float((effect == 0).double().mean())
        require(share < 0.01, plugin, "share of values of x without an effect on the output", "none", share)
        pairs = [(i, j) for i in range(outputs) for j in range(i) if torch.equal(output[:, i], output[:, j])]
        require(not pairs, plugin, f"channels of the output that are the same, of {outputs}", "none", pairs[:3])


def check_gradient_is_that_of_the_output(plugin: Backbone) -> None:
    """The gradient, of x and of the parameters, is that of differences of the output, in float32, to 5 %.

    Of a network that bends much that is seen over short steps alone, so the shorter of two may show it. Along its
    own direction and half as much of a random one, for x and for about eight runs of parameters. A layer that is
    detached, or whose own backward pass is wrong, learns the wrong thing while the loss looks right.
    """
    network, (x, t, label) = _build_with_inputs(plugin)
    weights = torch.randn(x.shape, generator=torch.Generator().manual_seed(3))
    x = x.clone().requires_grad_()
    (network(x, t, label) * weights).sum().backward()
    named = {"x": x, **{name: one for name, one in network.named_parameters() if one.requires_grad}}
    for names in _groups(list(named)):
        group = [(named[name], _direction(named[name])) for name in names]
        actual = sum(float((one.grad * way).sum()) for one, way in group if one.grad is not None)
        expected = _difference(network, (x, t, label), weights, group, 1e-3)
        if not _agree(actual, expected):
            expected = _difference(network, (x, t, label), weights, group, 1e-4)
        what = f"derivative of the output along {names[0]}" + (f" ... {names[-1]}" if len(names) > 1 else "")
        require(_agree(actual, expected), plugin, what, expected, actual)


def check_learns_in_training_mode(plugin: Backbone) -> None:
    """In training mode output and gradient are finite, and t and label are not changed."""
    network, (x, t, label) = _build_with_inputs(plugin)
    network.train()
    steps, labels = t.clone(), label.clone()
    with seed_globally(0):
        output = network(x, t, label)
    output.square().sum().backward()
    require_finite(plugin, "output in training mode", output)
    learning = [one for one in network.parameters() if one.requires_grad]
    require(bool(learning), plugin, "parameters that ask for a gradient", "some", "none")
    found = any(one.grad is not None and bool(one.grad.any()) for one in learning)
    require(found, plugin, "gradient in training mode", "one", "none")
    kept = torch.equal(t, steps) and torch.equal(label, labels)
    require(kept, plugin, "t and label after a call", "unchanged", "changed")


def check_calls_are_independent(plugin: Backbone) -> None:
    """The same inputs give the same bits after other calls, and for any memory layout (to 1e-4)."""
    network, (x, t, label) = _build_with_inputs(plugin)
    first = _run_network(network, x, t, label)
    for rows in ([0], [3, 2, 1], [0, 1, 2, 3, 0, 1]):
        _run_network(network, -x[rows], 999 - t[rows], label[rows])
    one_step = torch.full_like(t, 500)
    for labels in (label.flip(0), label):
        (fresh, _), (other, _) = _build_with_inputs(plugin), _build_with_inputs(plugin)
        _run_network(fresh, x, one_step, labels.roll(1))
        expected, actual = (_run_network(one, x, one_step, labels) for one in (other, fresh))
        what = "output after a call with other labels at the same step"
        require_same_bits(plugin, what, expected, actual, "that of a new network")
    require_same_bits(plugin, "output after calls with other inputs", first, _run_network(network, x, t, label))
    for name, same in iter_layouts(x):
        what = f"output of an x that lies {name} in memory"
        _require_near(plugin, what, first, _run_network(network, same, t, label), 1e-4)


def check_seeds_decide_the_weights(plugin: Backbone) -> None:
    """Two seeds give different weights, and building a network seeds no global generator."""
    shape = _smallest_shape(plugin)
    first, second = (_build_seeded(plugin, shape, CLASSES, shape[0], seed=seed).state_dict() for seed in (1, 2))
    drawn = [key for key, value in first.items() if value.is_floating_point() and value.numel() > 16]
    same = bool(drawn) and all(torch.equal(first[key], second[key]) for key in drawn)
    require(not same, plugin, "weights of two seeds", "different", "the same, every one")
    seeded = find_seeded_generators(lambda: plugin.build(shape, CLASSES, shape[0]))
    require(not seeded, plugin, "global generators that build seeds", "none", seeded)


def check_learns_from_its_first_step(plugin: Backbone) -> None:
    """A new network learns: within six steps of Adam every parameter has a gradient that is not zero.

    Layers that begin as zeros are fine, as the last learns first; a gate of zero behind a layer
    of zeros is never left.
    """
    shape = _smallest_shape(plugin)
    network, (x, t, label) = _build_seeded(plugin, shape, CLASSES, shape[0], seed=0), _inputs(shape)
    goal = torch.randn(x.shape, generator=torch.Generator().manual_seed(3))
    parameters = {name: one for name, one in network.named_parameters() if one.requires_grad}
    idle = set(parameters)
    optimizer = torch.optim.Adam(parameters.values(), lr=1e-2)
    for _ in range(6):
        optimizer.zero_grad()
        (network(x, t, label) - goal).square().mean().backward()
        optimizer.step()
        idle -= {name for name, one in parameters.items() if one.grad is not None and bool(one.grad.any())}
        if not idle:
            return
    what = "parameters without a gradient in six steps of training"
    require(not idle, plugin, what, "none", ", ".join(sorted(idle)[:5]))


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
    for other in iter_alternatives(plugin, small=True):
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


def _groups(names: list[str]) -> list[list[str]]:
    """Return x alone, and the parameters in about eight groups of consecutive names."""
    parameters = names[1:]
    size = max(1, -(-len(parameters) // 8))
    return [names[:1], *(parameters[i : i + size] for i in range(0, len(parameters), size))]


def _direction(tensor: Tensor) -> Tensor:
    """Return a direction for a tensor, with about the tensor's norm."""
    chance = torch.randn(tensor.shape, generator=torch.Generator().manual_seed(tensor.numel()))
    along = torch.zeros_like(tensor) if tensor.grad is None else tensor.grad
    unit = along / along.norm().clamp(min=1e-20) + 0.5 * chance / chance.norm()
    length = max(float(tensor.detach().norm()), 0.1 * tensor.numel() ** 0.5)
    direction: Tensor = unit * length
    return direction


def _agree(actual: float, expected: float) -> bool:
    return abs(actual - expected) <= 0.05 * max(abs(expected), abs(actual)) + 1e-3


def _difference(
    network: nn.Module,
    inputs: tuple[Tensor, Tensor, Tensor],
    weights: Tensor,
    group: list[tuple[Tensor, Tensor]],
    step: float,
) -> float:
    """Return the central difference of the weighted output along directions of some tensors."""
    ends = []
    with torch.no_grad():
        for sign in (-1, 1):
            kept = [one.clone() for one, _ in group]
            for one, way in group:
                one.add_(sign * step * way)
            ends.append(float((network(*inputs).double() * weights).sum()))
            for (one, _), before in zip(group, kept, strict=True):
                one.copy_(before)
    return (ends[1] - ends[0]) / (2 * step)


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
