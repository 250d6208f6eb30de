"""The exact distribution that a sampler produces for a Gaussian, without random numbers.

The exact denoiser of a Gaussian is affine in x_t, so a trajectory is affine in its start and its noise:

    x_s = c + A x_T + sum_k B_k z_k

One batch of unit vectors gives c, A and every B_k. Mean and covariance of x_s then follow for any start, and their
errors are those of the sampler, without sampling error.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from noisette.contracts import Sampler
from noisette.diffusion import Denoiser
from noisette.testing.distributions import Mixture
from noisette.testing.noises import BasisNoise, BatchNoise, CountedNoise
from noisette.testing.probes import run_sampler

__all__ = ["Moments", "NotAffineError", "propagate"]


class NotAffineError(Exception):
    """The trajectory is not affine in its noise, for example because it chooses its step sizes adaptively."""


@dataclass(frozen=True)
class Moments:
    """Mean (D,) and covariance (D, D) of one state of a trajectory, float64."""

    mean: Tensor
    covariance: Tensor


@torch.no_grad()
def propagate(sampler: Sampler, denoise: Denoiser, start: Mixture) -> list[Moments]:
    """Return the moments of each state of the trajectory from a start with distribution `start`.

    Args:
        sampler: the sampler of the trajectory.
        denoise: an affine denoiser, such as the exact one of a Gaussian.
        start: distribution of x at the first timestep of the trajectory.

    Raises:
        NotAffineError: if the states are not an affine function of start and noise.
    """
    size = start.means.shape[1]
    counted = CountedNoise(torch.zeros(1, *start.shape, dtype=torch.float64))
    run_sampler(sampler, denoise, counted(), counted)
    draws = counted.draws - 1
    units = torch.zeros(1 + size * (1 + draws), *start.shape, dtype=torch.float64)
    units.flatten(1)[1 : 1 + size] = torch.eye(size, dtype=torch.float64)
    noise = BasisNoise(units, 1 + size)
    states = [state.flatten(1) for state in run_sampler(sampler, denoise, units, noise)]
    if noise.draws != draws or not _predicts(sampler, denoise, start, states[-1], draws):
        raise NotAffineError
    return [_moments(state, start) for state in states]


def _moments(state: Tensor, start: Mixture) -> Moments:
    constant, parts = state[0], state[1:] - state[0]
    size = len(constant)
    carried, added = parts[:size], parts[size:]
    return Moments(constant + start.mean @ carried, carried.T @ start.covariance @ carried + added.T @ added)


def _predicts(sampler: Sampler, denoise: Denoiser, start: Mixture, units: Tensor, draws: int) -> bool:
    """Whether the end of a random trajectory follows from those of the unit vectors."""
    like = torch.zeros(4, *start.shape, dtype=torch.float64)
    source, again = BatchNoise(1, like), BatchNoise(1, like)
    *_, actual = run_sampler(sampler, denoise, 3 * source(), source)
    inputs = torch.cat([3 * again().flatten(1), *(again().flatten(1) for _ in range(draws))], dim=1)
    expected = units[0] + inputs @ (units[1:] - units[0])
    return torch.allclose(actual.flatten(1), expected, rtol=1e-6, atol=1e-6)
