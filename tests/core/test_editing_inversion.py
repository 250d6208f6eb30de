"""Inversion against the probability flow of a Gaussian, which is known, and against DDIM's own walk back."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from noisette.sampling.editing import invert
from noisette.sampling.loop import sample_loop
from noisette.testing.distributions import Gaussian, Mixture
from noisette.testing.trajectories import BatchNoise, CallRecorder, ExactDenoiser, linear_process
from noisette_plugins.samplers import DDIM

OVAL = Gaussian([0.3, -0.2], [[0.4, 0.2], [0.2, 0.3]])
CURVED = Mixture([0.4, 0.6], [[-0.8, 0.2], [0.7, 0.1]], [[[0.2, 0.0], [0.0, 0.1]], [[0.1, 0.0], [0.0, 0.2]]])


def images(count: int = 32) -> Tensor:
    return OVAL.draw(count, torch.Generator().manual_seed(0))


def test_with_more_steps_it_tends_to_the_probability_flow() -> None:
    process = linear_process()
    exact = OVAL.flow(images(), (1.0, 0.0), process(999))
    errors = [
        float((invert(ExactDenoiser(OVAL, process), images(), steps) - exact).abs().max())
        for steps in (100, 200, 400)
    ]
    assert errors[0] > 1.6 * errors[1] > 2.5 * errors[2]
    assert errors[2] < 0.1


@pytest.mark.parametrize("steps", [25, 100])
@pytest.mark.parametrize("spacing", ["linspace", "trailing"])
def test_refined_it_is_undone_by_ddim(steps: int, spacing: str) -> None:
    denoise = ExactDenoiser(CURVED, linear_process())
    sampler = DDIM.model_validate({"steps": steps, "spacing": spacing})
    errors = []
    for refinements in (0, 30):
        x = invert(denoise, images(), steps, spacing, refinements=refinements)  # type: ignore[arg-type]
        end = sample_loop(denoise, sampler, x, BatchNoise(0, x))
        errors.append(float((end - images()).abs().mean()))
    assert errors[1] < 0.02 * errors[0]
    assert errors[0] > 1e-3  # control: the usual inversion does leave an error


def test_it_calls_the_network_once_a_step_and_refinement() -> None:
    calls = CallRecorder(ExactDenoiser(OVAL, linear_process()))
    invert(calls, images(2), 4)
    assert calls.steps == [0, 0, 333, 666]
    calls.steps.clear()
    invert(calls, images(2), 2, refinements=1)
    assert calls.steps == [0, 0, 0, 999]
