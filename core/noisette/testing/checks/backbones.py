"""Whether a backbone's networks behave as training, sampling and checkpoints require.

An untrained network whose last layer is zero outputs zeros. Fixed random numbers, about as large as in a usual
initialisation, are therefore added to all parameters first.
"""

from __future__ import annotations

import copy
import shutil
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from noisette.contracts import Backbone, Shape
from noisette.errors import DataError
from noisette.testing.check import CheckFailedError, Skip, fail, require, slow
from noisette.testing.options import format_plugin
from noisette.testing.probes import (
    devices,
    is_bit_equal,
    require_finite,
    require_same_bits,
    require_same_random_state,
)

CLASSES = 3

_SHAPES: tuple[Shape, ...] = ((1, 8, 8), (3, 16, 16), (3, 9, 9), (1, 13, 13), (3, 8, 12), (1, 11, 18), (1, 28, 28))

_BASES: tuple[Shape, ...] = ((3, 16, 16), (3, 32, 32), (3, 64, 64), (3, 128, 128))


def check_output_shape(plugin: Backbone) -> None:
    """The output for x (N, C, H, W) is (N, outputs, H, W), float32 and finite, for odd and non-square sizes too.

    `build` may refuse a shape with a `DataError` that explains why, but not all square ones from 16 to 128.
    """
    base = _smallest_shape(plugin)
    for shape, outputs in [(base, 2 * base[0]), *((shape, shape[0]) for shape in _SHAPES)]:
        try:
            network = _build_seeded(plugin, shape, 0, outputs, seed=0).eval()
        except DataError as refusal:
            require(bool(str(refusal)), plugin, f"error message for shape {shape}", "an explanation", "none")
            continue
        _require_output_shape(plugin, network, shape, outputs)


def check_gradient_reaches_every_parameter(plugin: Backbone) -> None:
    """Every parameter with `requires_grad` has a gradient that is not zero: all are used."""
    network, (x, t, label) = _build_with_inputs(plugin)
    weights = torch.randn(x.shape, generator=torch.Generator().manual_seed(3))
    for shift in (0, 77, 190):  # experts for parts of the process have gradients at some timesteps only
        (network(x, (t + shift) % 1000, label) * weights).sum().backward()
    idle = [
        name
        for name, parameter in network.named_parameters()
        if parameter.requires_grad and (parameter.grad is None or not bool(parameter.grad.any()))
    ]
    require(not idle, plugin, "parameters without a gradient", "none", ", ".join(idle[:5]))


def check_images_are_independent(plugin: Backbone) -> None:
    """In evaluation mode an image's output does not depend on the rest of the batch.

    Within 1e-4 standard deviations: libraries may sum in another order for other batch sizes.
    """
    network, (x, t, label) = _build_with_inputs(plugin)
    whole = _run_network(network, x, t, label)
    for rows in ([0], [1, 2], [3, 0, 1, 2], [0, 0, 0, 0, 0]):
        alone = _run_network(network, x[rows], t[rows], label[rows])
        _require_near(plugin, f"output of images {rows} on their own", whole[rows], alone, 1e-4)


def check_deterministic_in_evaluation_mode(plugin: Backbone) -> None:
    """In evaluation mode two calls give the same bits, use no random numbers, and leave x and the state alone."""
    network, (x, t, label) = _build_with_inputs(plugin)
    given, state = x.clone(), copy.deepcopy(network.state_dict())
    with require_same_random_state(plugin, "a call in evaluation mode"):
        first = _run_network(network, x, t, label)
    require_same_bits(plugin, "a second call", first, _run_network(network, x, t, label))
    require(is_bit_equal(x, given), plugin, "x after a call", "unchanged", "changed")
    moved = [key for key, value in network.state_dict().items() if not torch.equal(value, state[key])]
    require(not moved, plugin, "state after a call", "unchanged", f"other values of {moved[:3]}")


def check_time_changes_the_output(plugin: Backbone) -> None:
    """The timesteps 0, 1, 500, 998 and 999 give different outputs."""
    network, (x, _, label) = _build_with_inputs(plugin)
    steps = (0, 1, 500, 998, 999)
    _require_steps_differ(plugin, network, x, label, steps)


def check_label_changes_the_output(plugin: Backbone) -> None:
    """All labels, including "none" (the number of classes), give different outputs."""
    network, (x, t, _) = _build_with_inputs(plugin)
    labels = range(CLASSES + 1)
    for steps, what in ((t, "outputs of labels"), (torch.full_like(t, 500), "outputs at one step of labels")):
        results = [_run_network(network, x, steps, torch.full((len(x),), label)) for label in labels]
        _require_all_differ(plugin, what, labels, results)
    with_none = _run_network(network, x, t, torch.full((len(x),), CLASSES))
    what = f"output without a label, which means label {CLASSES}"
    _require_near(plugin, what, with_none, _run_network(network, x, t, None), 1e-4)
    plain = _build_randomised(plugin, tuple(x.shape[1:]), 0, x.shape[1])
    actual = _run_network(plain, x, t, None).shape
    require(actual == x.shape, plugin, "network without classes", "an output", "none")


def check_state_dict_round_trip(plugin: Backbone) -> None:
    """A new network with the state dictionary, saved and loaded as safetensors, gives the same bits.

    Unregistered layers, tied tensors and state other than tensors are found this way.
    """
    network, (x, t, label) = _build_with_inputs(plugin)
    try:
        stored = load(save({key: value.contiguous() for key, value in network.state_dict().items()}))
    except (RuntimeError, ValueError, AttributeError) as error:
        fail(plugin, "state for safetensors", "tensors", error)
    fresh = _build_randomised(plugin, tuple(x.shape[1:]), CLASSES, x.shape[1], seed=9)
    fresh.load_state_dict(stored)
    actual, expected = _run_network(fresh, x, t, label), _run_network(network, x, t, label)
    require_same_bits(plugin, "a fresh network with the stored state", expected, actual)


def check_deep_copy_is_independent(plugin: Backbone) -> None:
    """A deep copy, such as the EMA, gives the same bits and does not change when the original is trained."""
    network, (x, t, label) = _build_with_inputs(plugin)
    before, twin = _run_network(network, x, t, label), copy.deepcopy(network)
    require_same_bits(plugin, "output of a deep copy", before, _run_network(twin, x, t, label))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(0.5)
    what = "output of the copy after the original's parameters changed"
    require_same_bits(plugin, what, before, _run_network(twin, x, t, label), "unchanged")


def check_same_seed_same_weights(plugin: Backbone) -> None:
    """Two networks that are built with the same torch seed have the same weights."""
    shape = _smallest_shape(plugin)
    first, second = (_build_seeded(plugin, shape, CLASSES, 3, seed=4).state_dict() for _ in range(2))
    other = [key for key, value in first.items() if not torch.equal(value, second[key])]
    require(not other, plugin, "weights of two networks of one seed", "the same", f"others in {other[:3]}")


def check_works_on_another_device(plugin: Backbone) -> None:
    """`to(device)` moves everything: no tensor stays on the CPU. Tried with the "meta" device."""
    for device in devices():
        network, inputs = _build_with_inputs(plugin)
        try:
            actual = network.to(device)(*(value.to(device) for value in inputs)).device
        except (RuntimeError, NotImplementedError) as error:
            if "item()" in str(error):  # a step chosen by a tensor's value cannot be tested on "meta"
                continue
            actual = f"the error {error}"
        require(actual == device, plugin, f"output of a network on {device}", f"on {device}", actual)


def check_bfloat16_agrees(plugin: Backbone) -> None:
    """Under bfloat16 autocast the output is within 5 % (root mean square) of the float32 output.

    bfloat16 has 8 bits, an error of 0.4 % per operation. A timestep embedding in it rounds 999 to 1000.
    """
    network, (x, _, label) = _build_with_inputs(plugin)
    for step in (3, 997):
        t = torch.full((len(x),), step)
        expected = _run_network(network, x, t, label)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            actual = _run_network(network, x, t, label)
        _require_near(plugin, f"bfloat16 output at step {step}", expected, actual.float(), 0.05)
    _require_steps_in_bfloat16(plugin, network, x, label)


@slow
def check_compiled_agrees(plugin: Backbone) -> None:
    """Under torch.compile the output is within 1e-3 of its standard deviation. Slow; needs a C++ compiler."""
    if shutil.which("g++") is None and shutil.which("clang++") is None:
        raise Skip(f"{format_plugin(plugin)}: torch.compile needs a C++ compiler; there is none")
    network, (x, t, label) = _build_with_inputs(plugin)
    expected = _run_network(network, x, t, label)
    torch.compiler.reset()
    try:
        actual = _run_network(torch.compile(network), x, t, label)
    finally:
        torch.compiler.reset()
    _require_near(plugin, "compiled output", expected, actual, 1e-3)


def _require_steps_in_bfloat16(plugin: Backbone, network: nn.Module, x: Tensor, label: Tensor) -> None:
    """Require that bfloat16 outputs are closer to those of their own timestep than to those of the rounded one."""
    own = rounded = 0.0
    for step in (999, 901, 771, 643, 517, 397, 261):
        t = torch.full((len(x),), step)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            actual = _run_network(network, x, t, label).float()
        nearest = int(torch.tensor(float(step)).bfloat16())
        own += float((actual - _run_network(network, x, t, label)).square().sum())
        rounded += float((actual - _run_network(network, x, torch.full_like(t, nearest), label)).square().sum())
    what = "steps in bfloat16, such as 261 and 999"
    require(own <= rounded, plugin, what, "distinguished", "rounded to 8 bits inside, such as 260 and 1000")


def _require_output_shape(plugin: Backbone, network: nn.Module, shape: Shape, outputs: int) -> None:
    x, t, _ = _inputs(shape)
    actual, expected = _run_network(network, x, t, None), (len(x), outputs, *shape[1:])
    what = f"output for images {shape}"
    require(tuple(actual.shape) == expected, plugin, f"shape of the {what}", expected, tuple(actual.shape))
    require(actual.dtype == torch.float32, plugin, f"dtype of the {what}", torch.float32, actual.dtype)
    require_finite(plugin, what, actual)


def _build_with_inputs(plugin: Backbone) -> tuple[nn.Module, tuple[Tensor, Tensor, Tensor]]:
    """Return a network with labels in evaluation mode, with changed parameters, and inputs for it."""
    shape = _smallest_shape(plugin)
    return _build_randomised(plugin, shape, CLASSES, shape[0]), _inputs(shape)


def _smallest_shape(plugin: Backbone) -> Shape:
    for shape in _BASES:
        try:
            _build_seeded(plugin, shape, 0, shape[0], seed=0)
        except DataError:
            continue
        return shape
    return fail(plugin, "shapes", f"one of {_BASES}", "a refusal of each")


def _build_randomised(plugin: Backbone, shape: Any, classes: int, outputs: int, seed: int = 0) -> nn.Module:
    network = _build_seeded(plugin, shape, classes, outputs, seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            spread = 0.5 / parameter[0].numel() ** 0.5 if parameter.ndim > 1 else 0.05
            parameter.add_(spread * torch.randn(parameter.shape, generator=generator))
    return network.eval()


def _build_seeded(plugin: Backbone, shape: Any, classes: int, outputs: int, seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return plugin.build(shape, classes, outputs)


def _inputs(shape: Shape) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(4, *shape, generator=generator).clamp(-1, 1)
    return x, torch.tensor([0, 10, 500, 999]), torch.arange(4) % (CLASSES + 1)


def _run_network(network: Any, x: Tensor, t: Tensor, label: Tensor | None) -> Tensor:
    """Return the output of a network without gradients, after checking that it has a row for each image."""
    given = x.clone()
    with torch.no_grad():
        results = network(given, t, label)
    if x.device.type != "meta" and not is_bit_equal(given, x):
        raise CheckFailedError("x after a call: expected unchanged; got changed in place", "changes x in place")
    if not isinstance(results, Tensor) or len(results) != len(x):
        actual = tuple(results.shape) if isinstance(results, Tensor) else type(results).__name__
        raise CheckFailedError(f"output: expected a tensor with {len(x)} rows; got {actual}", "no tensor")
    return results


def _require_near(plugin: Backbone, what: str, expected: Tensor, actual: Tensor, limit: float) -> None:
    require_finite(plugin, what, expected, actual)
    error = float((actual - expected).square().mean().sqrt() / expected.std())
    require(error <= limit, plugin, what, f"equal within {limit:g} standard deviations", f"{error:.2g} off")


def _require_all_differ(plugin: Backbone, what: str, names: Sequence[int], results: list[Tensor]) -> None:
    require_finite(plugin, what, *results)
    for i, j in combinations(range(len(results)), 2):
        apart = float((results[i] - results[j]).abs().max() / results[i].std())
        require(apart > 1e-6, plugin, f"{what} {names[j]} and {names[i]}", "different", "the same")


def _require_steps_differ(
    plugin: Backbone, network: nn.Module, x: Tensor, label: Tensor, steps: Sequence[int]
) -> None:
    """Require that the same images have another output at each timestep."""
    results = [_run_network(network, x, torch.full((len(x),), step), label) for step in steps]
    for step, output in zip(steps, results, strict=True):
        require_finite(plugin, f"output at step {step}", output)
    _require_all_differ(plugin, "outputs at steps", steps, results)
