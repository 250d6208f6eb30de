"""Image distributions with known denoisers: mixtures of Gaussians in a few dimensions.

If x_0 is a mixture of N(m_k, C_k) with weights w_k, then x_t = alpha x_0 + sigma eps is a mixture of
N(alpha m_k, S_k) with S_k = alpha² C_k + sigma² I and the same weights. With r_k(x_t) the share of component
k in the density at x_t,

    E[x_0 | x_t] = sum_k r_k (m_k + alpha C_k S_k^-1 (x_t - alpha m_k))
    E[eps | x_t] = sum_k r_k sigma S_k^-1 (x_t - alpha m_k)

For a single Gaussian, the probability-flow ODE is also solved: S^(1/2) changes along the flow, whitened coordinates
are constant (Karras et al. 2022, appendix B, for the ODE).

Guidance of weight g multiplies densities, p(x|y)^(1+g) / p(x)^g (Ho & Salimans 2022, eq. 6). Suppose that both are
shifts of one distribution, along an eigenvector of every covariance in which no two components differ. The result
is then that distribution, shifted by (1+g) d_y - g d_none; see `guided_law`. (One Gaussian may have any shift.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

__all__ = ["Gaussian", "LabelledMixture", "Mixture", "guided_law"]

Numbers = Sequence[float] | Tensor
Matrix = Sequence[Sequence[float]] | Tensor


class Mixture:
    """A mixture of K Gaussians over images of D = C * H * W values, in float64.

    Args:
        weights: (K,), positive; normalised to sum to one.
        means: (K, D).
        covariances: (K, D, D), symmetric and positive semidefinite; a zero matrix is a point.
        shape: channels, height and width; (1, 1, D) by default.
    """

    def __init__(
        self,
        weights: Numbers,
        means: Matrix,
        covariances: Sequence[Matrix] | Tensor,
        shape: tuple[int, int, int] | None = None,
    ) -> None:
        self.means = _to_double(means)
        self.weights = _to_double(weights) / _to_double(weights).sum()
        given = [_to_double(covariance) for covariance in covariances]
        self.covariances = torch.stack(given)
        count, size = self.means.shape
        self.shape = shape or (1, 1, size)
        if self.covariances.shape != (count, size, size) or math.prod(self.shape) != size:
            raise ValueError(
                f"mixture: expected means (K, D), covariances (K, D, D) and a shape of D values; "
                f"got {tuple(self.means.shape)}, {tuple(self.covariances.shape)}, {self.shape}"
            )
        values, self.vectors = torch.linalg.eigh(self.covariances)
        self.values = values.clamp(min=0.0)

    @property
    def mean(self) -> Tensor:
        """The mean of the whole mixture, (D,)."""
        return self.weights @ self.means

    @property
    def covariance(self) -> Tensor:
        """The covariance of the whole mixture, (D, D)."""
        spread = self.means - self.mean
        between = torch.einsum("k,ki,kj->ij", self.weights, spread, spread)
        return between + torch.einsum("k,kij->ij", self.weights, self.covariances)

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Sample images, (N, C, H, W) float64."""
        which = torch.multinomial(self.weights, count, replacement=True, generator=generator)
        normal = torch.randn(count, self.means.shape[1], dtype=torch.float64, generator=generator)
        scaled = normal * self.values[which].sqrt()
        drawn = self.means[which] + torch.einsum("nij,nj->ni", self.vectors[which], scaled)
        return drawn.view(count, *self.shape)

    def at(self, alpha: float, sigma: float) -> Mixture:
        """Return the distribution of x_t = alpha x_0 + sigma eps."""
        noise = sigma**2 * torch.eye(self.means.shape[1], dtype=torch.float64)
        return Mixture(self.weights, alpha * self.means, alpha**2 * self.covariances + noise, self.shape)

    def shift(self, by: Numbers) -> Mixture:
        """Return the distribution shifted by a vector (D,)."""
        return Mixture(self.weights, self.means + _to_double(by), self.covariances, self.shape)

    def denoise(self, x_t: Tensor, alpha: float, sigma: float) -> tuple[Tensor, Tensor]:
        """Return E[x_0 | x_t] and E[eps | x_t], each (N, C, H, W) like x_t, in x_t's dtype; sigma > 0.

        Whitened coordinates w_k = S_k^(-1/2) (x_t - alpha m_k) give the shares, then both sums by one product each.
        """
        whiten, offset, logs, clean, noise = self._factors(alpha, sigma, x_t.dtype, x_t.device)
        white = (x_t.flatten(1) @ whiten).view(-1, *offset.shape) - offset
        means = self.means.to(x_t)
        if len(means) == 1:
            white = white.flatten(1)
            return (means + white @ clean).view_as(x_t), (white @ noise).view_as(x_t)
        share = (logs[0] - 0.5 * ((white**2).sum(dim=-1) + logs[1])).softmax(dim=1)
        white = (share[..., None] * white).flatten(1)
        return (share @ means + white @ clean).view_as(x_t), (white @ noise).view_as(x_t)

    @lru_cache(maxsize=4096)  # noqa: B019 - a few distributions, each used at a few hundred noise levels many times
    def _factors(self, alpha: float, sigma: float, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, ...]:
        """Return the factors for `denoise`: of x_t, of the logarithms of shares, and of whitened coordinates."""
        means, values, vectors, weights = (
            part.to(device, dtype) for part in (self.means, self.values, self.vectors, self.weights)
        )
        spread = alpha**2 * values + sigma**2
        whiten = vectors * spread.rsqrt()[:, None]
        offset = alpha * torch.einsum("kd,kde->ke", means, whiten)
        back = whiten.transpose(1, 2)
        return (
            whiten.transpose(0, 1).reshape(means.shape[1], -1),
            offset,
            torch.stack([weights.log().expand(len(means)), spread.log().sum(dim=-1)]),
            (alpha * values[..., None] * back).flatten(0, 1),
            (sigma * back).flatten(0, 1),
        )

    def remaining_variance(self, alpha: float, sigma: float) -> Tensor:
        """Return the variance of each value of x_0 given x_t, (D,); for one component only."""
        left = sigma**2 * self.values[0] / (alpha**2 * self.values[0] + sigma**2)
        return torch.mv(self.vectors[0] ** 2, left)


class Gaussian(Mixture):
    """One Gaussian: mean (D,), covariance (D, D)."""

    def __init__(self, mean: Numbers, covariance: Matrix, shape: tuple[int, int, int] | None = None) -> None:
        super().__init__([1.0], _to_double(mean)[None], _to_double(covariance)[None], shape)

    def flow(self, x: Tensor, start: tuple[float, float], end: tuple[float, float]) -> Tensor:
        """Solve the probability-flow ODE from x (N, C, H, W) at one (alpha, sigma) to another."""
        (alpha_t, sigma_t), (alpha_s, sigma_s) = start, end
        values, vectors = self.values[0], self.vectors[0]
        ratio = ((alpha_s**2 * values + sigma_s**2) / (alpha_t**2 * values + sigma_t**2)).sqrt()
        white = (x.flatten(1) - alpha_t * self.means[0]) @ vectors
        moved: Tensor = (ratio * white) @ vectors.T + alpha_s * self.means[0]
        return moved.view_as(x)


class LabelledMixture:
    """A distribution and a frequency for each label; label `classes` means "none": the mixture of all."""

    def __init__(self, laws: Sequence[Mixture], frequencies: Numbers) -> None:
        self.laws = tuple(laws)
        self.frequencies = _to_double(frequencies) / _to_double(frequencies).sum()

    @property
    def classes(self) -> int:
        """The number of labels."""
        return len(self.laws)

    @property
    def marginal(self) -> Mixture:
        """The distribution of images with unknown label."""
        weights = [share * law.weights for share, law in zip(self.frequencies, self.laws, strict=True)]
        means = torch.cat([law.means for law in self.laws])
        covariances = torch.cat([law.covariances for law in self.laws])
        return Mixture(torch.cat(weights), means, covariances, self.laws[0].shape)

    def law_of(self, label: int) -> Mixture:
        """Return the distribution of images with this label."""
        return self.marginal if label == self.classes else self.laws[label]


def guided_law(law: Mixture, label: Numbers, none: Numbers, scale: float) -> Mixture:
    """Return the guided distribution, for `law` shifted by `label` and by `none`, (D,), and guidance `scale`.

    Scale 1 is the labelled distribution. The guided denoiser is scale times the labelled one plus 1 - scale times
    the other.

    Raises:
        ValueError: if there are several components, and the difference of the shifts is not an eigenvector, with
            one value, of every covariance, or the components differ along it: the result is then unknown.
    """
    apart = _to_double(label) - _to_double(none)
    stretched = law.covariances @ apart
    value = (stretched @ apart) / (apart @ apart).clamp(min=1e-300)
    along = (law.means - law.mean) @ apart
    known = torch.allclose(stretched, value[0] * apart) and torch.allclose(along, torch.zeros_like(along))
    if len(law.means) > 1 and not known:
        raise ValueError("guided: expected a shift along a shared eigenvector in which no two components differ")
    return law.shift(scale * _to_double(label) + (1 - scale) * _to_double(none))


def _to_double(numbers: Numbers | Matrix) -> Tensor:
    return torch.as_tensor(numbers, dtype=torch.float64)
