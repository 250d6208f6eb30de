"""Whether a sampler calls the denoiser, yields states and treats its inputs correctly."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise, product
from typing import TypeVar

import torch
from pydantic import ValidationError
from torch import Tensor

from noisette.contracts import Sampler
from noisette.diffusion import Clipped, Denoiser, Process
from noisette.diffusion.guidance import Guided
from noisette.diffusion.spacing import Spacing
from noisette.testing.check import fail, require, skip_if
from noisette.testing.distributions import Gaussian, Mixture, guided_law
from noisette.testing.options import combinations, find_ineffective_options, variants, with_options
from noisette.testing.probes import devices, is_bit_equal
from noisette.testing.trajectories import (
    AffineDenoiser,
    BatchNoise,
    CallRecorder,
    ExactDenoiser,
    cosine_process,
    initial_noise,
    linear_process,
    require_state,
    run_sampler,
    zero_terminal_process,
)

COMMON = tuple(Sampler.model_fields)
"""Options of all samplers: steps and spacing, which the checks set themselves, and those that core reads."""

SamplerType = TypeVar("SamplerType", bound=Sampler)

_NAMES: tuple[Spacing, ...] = ("linspace", "leading", "trailing", "quadratic", "karras")

_LISTS: tuple[tuple[int, ...], ...] = ((999, 500, 499, 130, 3, 0), (700, 20), (999,))

_SHAPE = (3, 4, 5)


def check_visits_the_listed_steps(plugin: Sampler) -> None:
    """The denoiser is called at every listed timestep, in order, and at no other.

    Tried with named spacings, lists that may not end at 0, trajectories that begin below T-1, and several T.
    A sampler with several calls per step may call within the step, from t down to s, but not at the clean image.
    One that declares fewer calls than steps may leave some out. One that declares `adaptive` or `renoises` chooses
    its timesteps itself, among the trained ones.
    """
    for sampler in combinations(plugin, exclude=COMMON):
        for candidate, process in _iter_settings(sampler):
            _require_listed_steps(candidate, process)


def check_network_calls_as_declared(plugin: Sampler) -> None:
    """`network_calls(n)` is the number of network calls in n steps, for every spacing and option.

    For an `adaptive` sampler it is an estimate, right within a factor of 10 from 5 steps on.
    """
    for option in combinations(plugin, exclude=COMMON, most=8):
        from_noise = [(with_steps(option, steps), zero_terminal_process()) for steps in (1, 2, 7)]
        for sampler, process in (*_iter_settings(option), *from_noise):
            calls = CallRecorder(AffineDenoiser(process))
            x = initial_noise(1, _SHAPE)
            run_sampler(sampler, calls, x, BatchNoise(0, x))
            listed = process.timesteps(sampler.steps, sampler.spacing)
            declared, actual = declared_calls(sampler, process, listed), len(calls.steps)
            what = f"network calls of {len(listed) - 1} steps"
            what += " from pure noise" if process(listed[0])[0] == 0 else ""
            if sampler.adaptive:
                near = len(listed) <= 5 or (declared <= 10 * actual and actual <= 10 * declared)
                require(near, sampler, what, f"about {declared}, the estimate of network_calls", actual)
            else:
                require(actual == declared, sampler, what, f"{declared}, as network_calls declares", actual)


def check_yields_one_state_per_step(plugin: Sampler) -> None:
    """A sampler yields one state per step, as previews and figures expect; an adaptive one may differ."""
    skip_if(plugin.adaptive, plugin, "it declares adaptive")
    x = initial_noise(1, _SHAPE)
    for sampler, process in _iter_settings(plugin):
        actual = len(run_sampler(sampler, AffineDenoiser(process), x, BatchNoise(0, x)))
        steps = len(process.timesteps(sampler.steps, sampler.spacing)) - 1
        require(actual == steps, sampler, "states yielded", steps, actual)


def check_keeps_shape_dtype_and_device(plugin: Sampler) -> None:
    """Every state has the shape, dtype and device of x, for float32, float64 and the "meta" device."""
    for sampler in combinations(with_steps(plugin, 5), exclude=COMMON):
        for dtype in (torch.float32, torch.float64):
            _require_same_form(sampler, initial_noise(2, _SHAPE, dtype))
        for device in devices():
            try:
                _require_same_form(sampler, torch.empty(2, *_SHAPE, device=device))
            except (RuntimeError, NotImplementedError) as error:
                if "item()" not in str(error):  # a step chosen by a tensor's value cannot be tested on "meta"
                    require(False, sampler, "tensors of a trajectory", f"on the device of x, {device}", error)


def check_leaves_its_inputs_alone(plugin: Sampler) -> None:
    """x, the predictions and the states already yielded are not changed in place."""
    for sampler in combinations(with_steps(plugin, 6), exclude=COMMON):
        x = initial_noise(2, _SHAPE)
        before, calls = x.clone(), CallRecorder(AffineDenoiser(linear_process()), keep=True)
        states: list[tuple[Tensor, Tensor]] = []
        with torch.no_grad():
            for state in sampler.trajectory(calls, x, BatchNoise(0, x)):
                states.append((state, state.clone()))
        require(is_bit_equal(x, before), sampler, "x after sampling", "unchanged", "changed")
        kept = all(is_bit_equal(now, then) for now, then in calls.records)
        require(kept, sampler, "tensors of the predictions after sampling", "unchanged", "changed")
        kept = all(is_bit_equal(now, then) for now, then in states)
        require(kept, sampler, "states yielded earlier", "unchanged", "overwritten by a later step")


def check_finite_at_both_ends(plugin: Sampler) -> None:
    """Every state is finite, also from little signal (cosine, alpha 5e-5) and from pure noise (alpha 0)."""
    for sampler in variants(plugin, exclude=COMMON):
        for make_process in (linear_process, cosine_process, zero_terminal_process):
            for steps, dtype in ((1, torch.float32), (2, torch.float64), (20, torch.float32), (20, torch.float64)):
                candidate, x = with_steps(sampler, steps), initial_noise(2, _SHAPE, dtype)
                name = make_process.__name__.replace("_process", " process")
                what = f"{steps} steps of the {name} in {dtype}"
                run_sampler(candidate, AffineDenoiser(make_process()), x, BatchNoise(0, x), what)


def check_respects_the_wrapped_denoiser(plugin: Sampler) -> None:
    """The sampler calls the denoiser it is given, such as a clipping wrapper, and not the one inside.

    The inner denoiser predicts 3, the wrapper clips it to 1: the result is then 1 within 1e-9. A method that is not
    `linear_exact` need only be within 0.2 after 1000 steps.
    """
    process = linear_process()
    for sampler in combinations(plugin, exclude=COMMON):
        for steps in (1, 6) if plugin.linear_exact else (1000,):
            candidate = with_steps(sampler, steps)
            inner = CallRecorder(ExactDenoiser(Gaussian([3.0, 3.0], torch.zeros(2, 2)), process))
            outer = CallRecorder(Clipped(inner))
            x = initial_noise(3, (1, 1, 2))
            end = run_sampler(candidate, outer, x, BatchNoise(0, x))[-1]
            outside = abs(len(inner.steps) - len(outer.steps))
            require(not outside, candidate, "calls that bypass the wrapper", 0, outside)
            near = float((end - 1).abs().max()) < (1e-9 if plugin.linear_exact else 0.2)
            require(near, candidate, "result with x0 clipped to 1", "1", end.flatten().tolist())


def check_leaves_guidance_to_core(plugin: Sampler) -> None:
    """The sampler uses the guided denoiser as it is and adds no guidance itself.

    With a known guided distribution, the result equals that of its exact denoiser, to 1e-6; the options for
    guidance and threshold, which core reads, change nothing.
    """
    process, x = linear_process(), initial_noise(16, (1, 1, 2))
    law = Mixture([0.4, 0.6], [[-1.0, 0.2], [1.5, 0.2]], [[[0.3, 0.0], [0.0, 0.2]], [[0.1, 0.0], [0.0, 0.2]]])
    label, none, scale = [0.0, 0.8], [0.0, -0.1], 2.5
    cond, uncond = (ExactDenoiser(law.shift(by), process) for by in (label, none))
    guided = ExactDenoiser(guided_law(law, label, none, scale), process)
    options = {"guidance_scale": scale, "guidance_interval": (999, 0), "dynamic_threshold": 0.9}
    for sampler in combinations(with_steps(plugin, 12), exclude=COMMON):
        expected = run_sampler(sampler, guided, x, BatchNoise(0, x))[-1]
        actual = run_sampler(with_options(sampler, **options), Guided(cond, uncond, scale), x, BatchNoise(0, x))[-1]
        near = bool(((actual - expected).abs() < 1e-6).all())
        difference = describe_difference(actual, expected)
        require(near, sampler, "result with guidance", "that of the guided distribution", difference)


def check_every_option_has_an_effect(plugin: Sampler) -> None:
    """Each option changes the image, alone or together with another option."""
    for key in find_ineffective_options(plugin, _probe, exclude=COMMON):
        require(False, plugin, f"option {key!r}", "an effect on the image", "none")


def check_variants_are_distinct(plugin: Sampler) -> None:
    """`variants` are valid options, and each has its own label and image."""
    if not plugin.variants:
        return
    seen: dict[object, str] = {}
    for given in ({}, *plugin.variants):
        what = f"variant {dict(given)}"
        try:
            sampler = type(plugin).model_validate(dict(given))
        except ValidationError as error:
            fail(plugin, what, "options of this sampler", error.errors()[0]["msg"])
        for kind, own in (("label", sampler.label), ("image", _probe(sampler, as_spaced=True))):
            actual = f"that of {seen.get(own)}"
            require(own not in seen, plugin, f"{kind} of {what}", "different from the others", actual)
            seen[own] = what


def declared_calls(sampler: Sampler, process: Process, listed: list[int]) -> int:
    """Return the number of network calls that a sampler declares for listed timesteps."""
    return sampler.network_calls(len(listed) - 1, from_noise=process(listed[0])[0] == 0)


def sample(sampler: Sampler, x: Tensor, seed: int = 0) -> Tensor:
    """Return the image from x under the affine denoiser, with noise of a seed."""
    return run_sampler(sampler, AffineDenoiser(linear_process()), x, BatchNoise(seed, x))[-1]


def with_steps(sampler: SamplerType, steps: int) -> SamplerType:
    """Return the sampler with `steps` evenly spaced steps."""
    return with_options(sampler, steps=steps, spacing="linspace")


def _iter_settings(plugin: Sampler) -> Iterator[tuple[Sampler, Process]]:
    process = linear_process()
    for spacing, steps in product(_NAMES, (1, 2, 7, 20)):
        yield with_options(plugin, steps=steps, spacing=spacing), process
    for steps_given in _LISTS:
        yield with_options(plugin, steps=len(steps_given), spacing=steps_given), process
    yield with_steps(plugin, 6), process.truncate(400)
    for timesteps, steps in ((1, 1), (7, 7), (257, 5), (4000, 3)):
        yield with_steps(plugin, steps), linear_process(timesteps)


def _require_listed_steps(sampler: Sampler, process: Process) -> None:
    listed = process.timesteps(sampler.steps, sampler.spacing)
    calls, x = CallRecorder(AffineDenoiser(process)), initial_noise(1, _SHAPE)
    made: list[int] = []
    with torch.no_grad():
        for state in sampler.trajectory(calls, x, BatchNoise(0, x)):
            require_state(sampler, state, x, f"state {len(made)} of a trajectory")
            made.append(len(calls.steps))
    require(bool(made), sampler, "states of a trajectory", "one after each step", "none", cause="no states")
    top = len(process) - 1 if sampler.renoises else listed[0]
    trained = all(0 <= step <= top for step in calls.steps)
    require(trained, sampler, "steps of the calls", f"from 0 to {top}", calls.steps)
    require(len(calls.steps) == made[-1], sampler, "calls after the last state", 0, len(calls.steps) - made[-1])
    late = len(made) > 2 and made[0] == made[-1] > 1
    require(not late, sampler, "calls before the first state is yielded", "those of the first step", "all calls")
    if not sampler.adaptive and not sampler.renoises:
        _calls_within_steps(sampler, listed, calls.steps, made, declared_calls(sampler, process, listed))


def _calls_within_steps(
    sampler: Sampler, listed: list[int], called: list[int], made: list[int], declared: int
) -> None:
    if declared == len(listed) - 1:
        require(called == listed[:-1], sampler, "steps of the calls", listed[:-1], called)
        return
    missing = sorted(set(listed[:-1]) - set(called), reverse=True)
    right = not missing or declared < len(listed) - 1
    require(right, sampler, "listed steps without a call", "none", missing)
    for (t, s), (first, last) in zip(pairwise(listed), pairwise([0, *made]), strict=False):
        actual = called[first:last]
        within = all(max(s, 0) <= step <= t for step in actual)
        require(within, sampler, f"calls in the step from {t} to {s}", f"within [{max(s, 0)}, {t}]", actual)


def _require_same_form(sampler: Sampler, x: Tensor) -> None:
    for state in run_sampler(sampler, AffineDenoiser(linear_process()), x, BatchNoise(0, x)):
        for what in ("shape", "dtype", "device"):
            expected, actual = getattr(x, what), getattr(state, what)
            require(actual == expected, sampler, f"{what} of a state", expected, actual)


def _probe(sampler: Sampler, *, as_spaced: bool = False) -> bytes:
    law = Mixture([0.4, 0.6], [[-1.0, 0.5], [1.5, 0.0]], [[[0.3, 0.0], [0.0, 0.1]], [[0.2, 0.1], [0.1, 0.6]]])
    x = initial_noise(4, (1, 1, 2))
    denoise: Denoiser = ExactDenoiser(law, linear_process())
    spacing = sampler.spacing if as_spaced else "linspace"
    candidates = [with_options(sampler, steps=steps, spacing=spacing) for steps in (2, 9)]
    ends = [run_sampler(candidate, denoise, x, BatchNoise(0, x))[-1] for candidate in candidates]
    return torch.cat(ends).numpy().tobytes()


def describe_difference(a: Tensor, b: Tensor) -> str:
    """Return how far two tensors are apart, as text."""
    return f"values up to {float((a - b).abs().max()):.2g} apart"
