"""The fast samplers against diffusers' schedulers, walk by walk, in float64.

diffusers keeps its sigmas in float32, hence 1e-5. Where its step rule differs from the paper's (PNDM takes the
next step from "t - T // N" and mixes v instead of eps) only the cases that agree by definition are compared.
"""

from __future__ import annotations

import diffusers
import pytest
import torch
from torch import Tensor

from noisette import Denoiser, Objective, Prediction, Process, Sampler
from noisette_plugins.objectives import X0, Eps, V
from noisette_plugins.samplers import PNDM, DPMSolverPP, Heun, UniPC
from noisette_plugins.schedules import Linear

PROCESS = Process(Linear(scaled=False).betas(1000))
START = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
SPACINGS = ["linspace", "leading", "trailing"]


def model(x: Tensor, t: int) -> Tensor:
    return 0.9 * x * (t / (t + 1)) + 0.1 * torch.sin(3 * x)


class Read(Denoiser):
    def __init__(self, objective: Objective) -> None:
        self.process, self.objective = PROCESS, objective

    def __call__(self, x_t: Tensor, t: int) -> Prediction:
        return self.objective.predict(model(x_t, t), x_t, *PROCESS(t))


def theirs(scheduler: type, prediction: str, steps: int, **options: object) -> tuple[Tensor, tuple[int, ...], list]:
    """Walk with diffusers; return its image, the steps it visited, and the noise it was given."""
    reference = scheduler(
        beta_start=1e-4, beta_end=0.02, beta_schedule="linear", prediction_type=prediction, **options
    )
    reference.set_timesteps(steps)
    heun = scheduler is diffusers.HeunDiscreteScheduler  # walks in the coordinates x / alpha
    x, noises = START * (float(reference.sigmas[0]) ** 2 + 1) ** 0.5 if heun else START, []
    for index, t in enumerate(reference.timesteps):
        given = {}
        if options.get("algorithm_type") == "sde-dpmsolver++":
            noises.append(torch.randn(START.shape, generator=torch.Generator().manual_seed(index)).double())
            given = {"variance_noise": noises[-1]}
        output = model(reference.scale_model_input(x, t), round(float(t)))
        x = reference.step(output, t, x, **given).prev_sample
    return x, tuple(dict.fromkeys(round(float(t)) for t in reference.timesteps)), noises


def ours(sampler: Sampler, objective: Objective, noises: list) -> Tensor:
    source = iter(noises)
    *_, last = sampler.trajectory(Read(objective), START, lambda: next(source))
    return last


PREDICTIONS = [("epsilon", Eps()), ("sample", X0()), ("v_prediction", V())]


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize(("prediction", "objective"), PREDICTIONS)
@pytest.mark.parametrize("sde", [False, True])
def test_dpm_solver(spacing: str, prediction: str, objective: Objective, sde: bool) -> None:
    algorithm = "sde-dpmsolver++" if sde else "dpmsolver++"
    expected, steps, noises = theirs(
        diffusers.DPMSolverMultistepScheduler,
        prediction,
        20,
        timestep_spacing=spacing,
        final_sigmas_type="zero",
        algorithm_type=algorithm,
    )
    came = ours(DPMSolverPP(spacing=steps, sde=sde), objective, noises)
    assert torch.allclose(came, expected, atol=1e-5)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize(("prediction", "objective"), PREDICTIONS)
def test_unipc(spacing: str, prediction: str, objective: Objective) -> None:
    expected, steps, _ = theirs(
        diffusers.UniPCMultistepScheduler, prediction, 20, timestep_spacing=spacing, final_sigmas_type="zero"
    )
    assert torch.allclose(ours(UniPC(spacing=steps), objective, []), expected, atol=1e-5)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize(("prediction", "objective"), [PREDICTIONS[0], PREDICTIONS[2]])
def test_heun(spacing: str, prediction: str, objective: Objective) -> None:
    expected, steps, _ = theirs(diffusers.HeunDiscreteScheduler, prediction, 10, timestep_spacing=spacing)
    assert torch.allclose(ours(Heun(spacing=steps), objective, []), expected, atol=1e-5)


@pytest.mark.parametrize("warmup", ["euler", "runge-kutta"])
def test_pndm(warmup: str) -> None:
    expected, visited, _ = theirs(
        diffusers.PNDMScheduler,
        "epsilon",
        10,
        timestep_spacing="leading",
        set_alpha_to_one=True,
        skip_prk_steps=warmup == "euler",
    )
    steps = tuple(t for t in visited if t % 100 == 0)  # without the middles of the warm-up
    came = ours(PNDM.model_validate({"spacing": steps, "warmup": warmup}), Eps(), [])
    assert torch.allclose(came, expected, atol=1e-5)


@pytest.mark.parametrize("order", ["first", "second"])
def test_control_a_wrong_order_is_seen(order: str) -> None:
    expected, steps, _ = theirs(
        diffusers.DPMSolverMultistepScheduler,
        "epsilon",
        20,
        final_sigmas_type="zero",
        solver_order=1 if order == "first" else 2,
    )
    agrees = torch.allclose(ours(DPMSolverPP(spacing=steps), Eps(), []), expected, atol=1e-5)
    assert agrees == (order == "second")
