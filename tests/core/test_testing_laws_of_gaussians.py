"""Moments of a walk without chance, against chance."""

from __future__ import annotations

from itertools import pairwise
from math import acos, cos
from typing import ClassVar

import pytest
import torch

from noisette import Sampler
from noisette.testing import ExactDenoiser, Gaussian
from noisette.testing.laws import NotAffineError, propagate
from noisette.testing.trajectories import BatchNoise, linear_process
from noisette_plugins.samplers import DDIM, DDPM

TABLES = linear_process(100)
LAW = Gaussian([0.7, -1.5], [[0.5, 0.3], [0.3, 1.5]])
START = LAW.at(*TABLES(99))


@pytest.mark.parametrize("sampler", [DDIM(steps=7), DDIM(steps=7, eta=0.5), DDPM(steps=7)], ids=str)
def test_the_moments_are_those_of_many_samples(sampler: Sampler) -> None:
    x = START.draw(100_000, torch.Generator().manual_seed(0))
    states = list(sampler.trajectory(ExactDenoiser(LAW, TABLES), x, BatchNoise(0, x)))
    moments = propagate(sampler, ExactDenoiser(LAW, TABLES), START)
    assert len(moments) == len(states) == 7
    for state, moment in zip(states, moments, strict=True):
        rows = state.flatten(1)
        assert torch.allclose(rows.mean(dim=0), moment.mean, atol=0.015)
        assert torch.allclose(rows.T.cov(), moment.covariance, atol=0.03)


def test_a_known_walk_has_the_known_moments() -> None:
    # On N(0, 1), DDIM turns x by the difference of the angles: x_s = cos(angle_s - angle_t) x_t.
    law, walk = Gaussian([0.0], [[1.0]]), TABLES.timesteps(5)
    moments = propagate(DDIM(steps=5), ExactDenoiser(law, TABLES), Gaussian([0.0], [[2.0]]))
    scale = 1.0
    for (t, s), moment in zip(pairwise(walk), moments, strict=True):
        scale *= cos(acos(TABLES(t)[0]) - acos(TABLES(s)[0]))
        assert float(moment.covariance) == pytest.approx(2 * scale**2, rel=1e-12)


class Clips(DDIM):
    name: ClassVar[str] = "clips"

    def trajectory(self, denoise, x, noise):
        for state in super().trajectory(denoise, x, noise):
            yield state.clamp(-0.5, 0.5)


class ScalesByItsSize(DDIM):
    name: ClassVar[str] = "scales"

    def trajectory(self, denoise, x, noise):
        for state in super().trajectory(denoise, x, noise):
            yield state * (1 + 0.01 * x.abs())


@pytest.mark.parametrize("sampler", [Clips(steps=3), ScalesByItsSize(steps=3)], ids=lambda s: s.name)
def test_a_walk_that_is_not_affine_is_told(sampler: Sampler) -> None:
    with pytest.raises(NotAffineError):
        propagate(sampler, ExactDenoiser(LAW, TABLES), START)
