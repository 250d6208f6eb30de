"""DDPM and DDIM against diffusers' schedulers, step by step, on the same tables and the same noise, in float64.

diffusers' DDIM goes on to "t - T // N", which is the next of the list only where the list has that gap: leading and
trailing, with N a divisor of T. Its DDPM goes to the next of the list, as ours do, but with the larger variance it
adds noise in the last step of a walk that does not end at t = 0 (trailing): that last state is compared without.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import diffusers
import pytest
import torch
from torch import Tensor

from noisette import Clipped, Denoiser, Objective, Prediction, Sampler
from noisette_plugins.objectives import X0, Eps, V
from noisette_plugins.samplers import DDIM, DDPM
from noisette_plugins.schedules import Linear

PROCESS = Linear().process(1000)
START = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
PREDICTIONS: list[tuple[str, Objective]] = [("epsilon", Eps()), ("sample", X0()), ("v_prediction", V())]


def model(x: Tensor, t: int) -> Tensor:
    return 0.9 * x * (t / (t + 1)) + 0.1 * torch.sin(3 * x)


def network_output(x: Tensor, t: int, outputs: int) -> Tensor:
    """Return what the model gives: with two outputs the variance too, within [-1, 1]."""
    return model(x, t) if outputs == 1 else torch.cat([model(x, t), torch.sin(5 * x)], dim=1)


def noises() -> Callable[[], Tensor]:
    """Return a source of noise that starts the same each time."""
    numbers = count()

    def draw() -> Tensor:
        generator = torch.Generator().manual_seed(next(numbers))
        return torch.randn(START.shape, generator=generator, dtype=torch.float64)

    return draw


def noises_at(number: int) -> Tensor:
    """Return one draw of `noises`."""
    draw = noises()
    return [draw() for _ in range(number + 1)][-1]


class Read(Denoiser):
    """What the model says, read by an objective."""

    def __init__(self, objective: Objective) -> None:
        self.process, self.objective, self.steps = PROCESS, objective, []

    def __call__(self, x_t: Tensor, t: int) -> Prediction:
        self.steps.append(t)
        return self.objective.parse_output(network_output(x_t, t, self.objective.outputs), x_t, t, PROCESS)


def ours(sampler: Sampler, objective: Objective, *, clip: bool) -> tuple[list[Tensor], list[int]]:
    """Walk; return every state and the steps that were visited."""
    parse_output = Read(objective)
    states = list(sampler.trajectory(Clipped(parse_output) if clip else parse_output, START.clone(), noises()))  # type: ignore[arg-type]
    return states, parse_output.steps


def theirs(
    kind: type, prediction: str, steps: int, eta: float | None = None, *, clip: bool, **options: object
) -> tuple[list[Tensor], list[int]]:
    """Walk with diffusers on our tables in float64."""
    scheduler = kind(prediction_type=prediction, clip_sample=clip, **options)
    scheduler.alphas_cumprod = PROCESS.alphas[:-1] ** 2
    scheduler.set_timesteps(steps)
    draw, x, states = noises(), START, []
    outputs = 2 if options.get("variance_type") == "learned_range" else 1
    for t in scheduler.timesteps.tolist():
        if eta is None:
            scheduler_noise = _Fixed(draw) if t > 0 else None
            x = _ddpm_step(scheduler, network_output(x, t, outputs), t, x, scheduler_noise)
        else:
            noise = draw() if eta > 0 else None
            x = scheduler.step(
                model(x, t), t, x, eta=eta, use_clipped_model_output=True, variance_noise=noise
            ).prev_sample
        states.append(x)
    return states, scheduler.timesteps.tolist()


class _Fixed:
    """Stands in for diffusers' noise function, which takes a generator and no noise."""

    def __init__(self, draw: Callable[[], Tensor]) -> None:
        self.draw = draw

    def __call__(self, *arguments: object, **options: object) -> Tensor:
        return self.draw()


def _ddpm_step(scheduler: object, output: Tensor, t: int, x: Tensor, noise: _Fixed | None) -> Tensor:
    from diffusers.schedulers import scheduling_ddpm

    with pytest.MonkeyPatch.context() as patch:
        if noise is not None:
            patch.setattr(scheduling_ddpm, "randn_tensor", noise)
        return scheduler.step(output, t, x).prev_sample  # type: ignore[attr-defined, no-any-return]


def same(actual: tuple[list[Tensor], list[int]], expected: tuple[list[Tensor], list[int]]) -> None:
    assert actual[1] == expected[1]
    for step, (a, b) in enumerate(zip(actual[0], expected[0], strict=True)):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-8, msg=lambda text, step=step: f"step {step}: {text}")


@pytest.mark.parametrize("variance", ["fixed-small", "fixed-large"])
@pytest.mark.parametrize(("prediction", "objective"), PREDICTIONS)
@pytest.mark.parametrize("spacing", ["linspace", "leading", "trailing"])
@pytest.mark.parametrize("clip", [False, True])
def test_ddpm(variance: str, prediction: str, objective: Objective, spacing: str, clip: bool) -> None:
    expected = theirs(
        diffusers.DDPMScheduler,
        prediction,
        40,
        clip=clip,
        variance_type=variance.replace("-", "_"),
        timestep_spacing=spacing,
    )
    sampler = DDPM.model_validate({"steps": 40, "variance": variance, "spacing": spacing})
    actual = ours(sampler, objective, clip=clip)
    if (variance, spacing) == ("fixed-large", "trailing"):
        noise = (expected[0].pop() - actual[0].pop()) / noises_at(39)
        torch.testing.assert_close(noise, torch.full_like(noise, PROCESS.step_variance(24, -1) ** 0.5))
    same(actual, expected)


@pytest.mark.parametrize(("prediction", "objective"), PREDICTIONS)
@pytest.mark.parametrize("spacing", ["linspace", "leading"])
@pytest.mark.parametrize("clip", [False, True])
def test_ddpm_with_a_learned_variance(prediction: str, objective: Objective, spacing: str, clip: bool) -> None:
    options = {"variance_type": "learned_range", "timestep_spacing": spacing}
    expected = theirs(diffusers.DDPMScheduler, prediction, 40, clip=clip, **options)
    sampler = DDPM.model_validate({"steps": 40, "variance": "learned", "spacing": spacing})
    learned = type(objective).model_validate({"bound": "hybrid"})
    same(ours(sampler, learned, clip=clip), expected)


def test_ddpm_over_all_steps() -> None:
    same(ours(DDPM(), Eps(), clip=True), theirs(diffusers.DDPMScheduler, "epsilon", 1000, clip=True))


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(("prediction", "objective"), PREDICTIONS)
@pytest.mark.parametrize("spacing", ["leading", "trailing"])
@pytest.mark.parametrize("clip", [False, True])
def test_ddim(eta: float, prediction: str, objective: Objective, spacing: str, clip: bool) -> None:
    expected = theirs(
        diffusers.DDIMScheduler, prediction, 20, eta, clip=clip, timestep_spacing=spacing, steps_offset=0
    )
    sampler = DDIM.model_validate({"steps": 20, "eta": eta, "spacing": spacing})
    same(ours(sampler, objective, clip=clip), expected)


def test_ddim_with_eta_one_is_ddpm() -> None:
    """Song et al. 2021, section 4.1; the noise is drawn alike."""
    one, other = ours(DDIM(steps=30, eta=1.0), Eps(), clip=True), ours(DDPM(steps=30), Eps(), clip=True)
    same(one, other)


@pytest.mark.parametrize(
    ("options", "changes"),
    [
        pytest.param({"variance": "fixed-large"}, {}, id="variance"),
        pytest.param({"spacing": "leading"}, {}, id="spacing"),
        pytest.param({}, {"clip": True}, id="clip"),
    ],
)
def test_control_a_difference_is_seen(options: dict[str, object], changes: dict[str, bool]) -> None:
    expected = theirs(diffusers.DDPMScheduler, "epsilon", 40, clip=False, timestep_spacing="linspace")
    same(ours(DDPM(steps=40), Eps(), clip=False), expected)
    with pytest.raises(AssertionError):
        same(ours(DDPM.model_validate({"steps": 40, **options}), Eps(), **{"clip": False, **changes}), expected)
