from __future__ import annotations

import pytest
import torch
from torch import Tensor

from noisette import Denoiser, Prediction, Sampler
from noisette.sampling.editing import edit, interpolate
from noisette_plugins.samplers import DDIM, DDPM, PNDM, DPMSolverPP, Heun, UniPC
from noisette_plugins.schedules import Linear

PROCESS = Linear().process(100)
IMAGES = torch.linspace(-0.9, 0.9, 12, dtype=torch.float64).view(3, 1, 2, 2)
SAMPLERS = [DDIM(steps=7), DDPM(steps=7), Heun(steps=7), DPMSolverPP(steps=7), UniPC(steps=7), PNDM(steps=7)]


class Knows(Denoiser):
    """Sees the image that it was told, whatever it is shown, and remembers where it was asked."""

    def __init__(self, truth: Tensor) -> None:
        self.process, self.truth, self.asked = PROCESS, truth, []

    def __call__(self, x_t: Tensor, t: int) -> Prediction:
        self.asked.append((t, x_t))
        return Prediction(x_t, *PROCESS(t), x0=self.truth.expand_as(x_t))


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda sampler: sampler.name)
@pytest.mark.parametrize("t", [0, 3, 60, 99])
def test_every_sampler_starts_at_the_step_and_comes_home(sampler: Sampler, t: int) -> None:
    denoise = Knows(IMAGES)
    result = edit(denoise, sampler, IMAGES, t, range(3), seed=0)
    assert denoise.asked[0][0] == t
    assert all(step <= t for step, _ in denoise.asked)
    assert torch.allclose(result, IMAGES, atol=1e-9)


def test_the_start_is_noised_to_the_first_step_of_the_walk() -> None:
    zeros = torch.zeros(500, 1, 2, 2, dtype=torch.float64)
    for spacing in ("linspace", "leading", "trailing"):
        denoise = Knows(zeros)
        edit(denoise, DDIM(steps=7, spacing=spacing), zeros, 60, range(500), seed=0)
        first, x = denoise.asked[0]
        assert float(x.std()) == pytest.approx(PROCESS(first)[1], rel=0.05)


def test_given_steps_do_not_change_where_an_edit_starts() -> None:
    zeros = torch.zeros(500, 1, 2, 2, dtype=torch.float64)
    for given in ((90, 40, 10), (90, 70)):
        denoise = Knows(zeros)
        edit(denoise, DDIM(spacing=given), zeros, 60, range(500), seed=0)
        assert [step for step, _ in denoise.asked] == [60, *(t for t in given if t < 60)]
        assert float(denoise.asked[0][1].std()) == pytest.approx(PROCESS(60)[1], rel=0.05)


def test_the_noise_belongs_to_the_image() -> None:
    denoise = Knows(torch.zeros(1, 1, 1, 1, dtype=torch.float64))
    edit(denoise, DDPM(steps=3), IMAGES, 50, [4, 5, 6], seed=0)
    edit(denoise, DDPM(steps=3), IMAGES[1:2], 50, [5], seed=0)
    assert torch.equal(denoise.asked[0][1][1:2], denoise.asked[3][1])


def test_the_ends_of_an_interpolation_are_the_edited_images() -> None:
    denoise = Knows(torch.zeros(1, 1, 1, 1, dtype=torch.float64))
    a, b = IMAGES[0], IMAGES[2]
    interpolate(denoise, DDPM(steps=4), a, b, 50, [0.0, 0.5, 1.0], seed=3)
    start = denoise.asked[0][1]
    for row, image in ((0, a), (2, b)):
        edit(denoise, DDPM(steps=4), image[None], 50, [0], seed=3)
        assert torch.allclose(start[row], denoise.asked[-4][1][0])
    assert torch.allclose(start[1], (start[0] + start[2]) / 2)
