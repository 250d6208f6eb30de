"""Filling in against a law whose conditional is known: RePaint gets there, a walk alone does not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from noisette import DataError, Sampler
from noisette.sampling.inpainting import inpaint
from noisette.testing.distributions import Gaussian
from noisette.testing.trajectories import CallRecorder, ExactDenoiser, linear_process
from noisette_plugins.samplers import DDIM, DDPM, DPMSolverPP

CORRELATED = Gaussian([0.2, -0.3], [[0.25, 0.24], [0.24, 0.3]])
KNOWN = torch.tensor([[True, False]])
COUNT = 1000


def filled(sampler: Sampler, **options: int) -> Tensor:
    """Return the second values of images whose first is 0.7, (N,)."""
    images = torch.tensor([0.7, float("nan")], dtype=torch.float64).expand(COUNT, 1, 1, 2)
    denoise = ExactDenoiser(CORRELATED, linear_process())
    came = inpaint(denoise, sampler, images, KNOWN, range(COUNT), 0, **options)
    assert torch.allclose(came[..., 0], torch.full((), 0.7, dtype=torch.float64))
    return came[:, 0, 0, 1]


@pytest.mark.slow
def test_resampling_draws_from_the_conditional_law() -> None:
    mean, std = -0.3 + 0.24 / 0.25 * (0.7 - 0.2), (0.3 - 0.24**2 / 0.25) ** 0.5
    came = filled(DDPM(steps=200), jump_length=10, jump_n_sample=8)
    assert float(came.mean()) == pytest.approx(mean, abs=0.05)
    assert float(came.std()) == pytest.approx(std, rel=0.1)
    alone = filled(DDPM(steps=200), jump_n_sample=1)  # control: one walk does not see the known part in time
    assert abs(float(alone.mean()) - mean) > 0.1


@pytest.mark.parametrize("sampler", [DDIM(steps=20), DPMSolverPP(steps=20), DDPM(steps=20)])
def test_every_sampler_fills_in(sampler: Sampler) -> None:
    """Of a law without spread the missing part is certain, whoever walks."""
    point = Gaussian([0.4, -0.6], [[0.0, 0.0], [0.0, 0.0]])
    denoise = CallRecorder(ExactDenoiser(point, linear_process()))
    images = torch.tensor([0.4, 0.0], dtype=torch.float64).expand(3, 1, 1, 2)
    came = inpaint(denoise, sampler, images, KNOWN, range(3), 0, jump_length=7, jump_n_sample=3)
    assert torch.allclose(came[..., 1], torch.full((), -0.6, dtype=torch.float64))
    assert len(denoise.steps) == 60


def test_images_do_not_depend_on_their_batch() -> None:
    images = torch.full((3, 1, 1, 2), 0.1, dtype=torch.float64)
    denoise = ExactDenoiser(CORRELATED, linear_process())
    whole = inpaint(denoise, DDPM(steps=10), images, KNOWN, range(3), 0, jump_length=5, jump_n_sample=2)
    alone = inpaint(denoise, DDPM(steps=10), images[:1], KNOWN, [2], 0, jump_length=5, jump_n_sample=2)
    assert torch.allclose(whole[2:], alone, atol=1e-12)


def wrong() -> Iterator[tuple[dict[str, int], Tensor, str]]:
    yield {"jump_length": 0}, KNOWN, "jump_length and jump_n_sample of at least 1; got 0 and 10"
    yield {"jump_n_sample": 0}, KNOWN, "got 10 and 0"
    yield {}, KNOWN.float(), "as bool, True where the image is kept; got torch.float32"
    yield {}, torch.ones(3, 2, dtype=torch.bool), r"got known \(3, 2\) for images \(1, 1, 1, 2\)"
    yield {}, torch.ones(5, dtype=torch.bool), "height and width"


@pytest.mark.parametrize(("options", "known", "message"), list(wrong()))
def test_what_cannot_be_filled_in_is_refused(options: dict[str, int], known: Tensor, message: str) -> None:
    denoise = ExactDenoiser(CORRELATED, linear_process())
    with pytest.raises(DataError, match=message):
        inpaint(denoise, DDPM(steps=4), torch.zeros(1, 1, 1, 2), known, [0], 0, **options)
