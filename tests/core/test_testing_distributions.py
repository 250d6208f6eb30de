"""The laws that the checks stand on, each against another way to compute it."""

from __future__ import annotations

import pytest
import torch

from noisette.diffusion.guidance import Guided
from noisette.testing import ExactDenoiser, Gaussian, LabelledMixture, Mixture, guided_law
from noisette.testing.trajectories import linear_process

TABLES = linear_process()
LAW = Mixture([1.0, 3.0], [[-1.5, 0.5], [1.0, 0.2]], [[[0.4, 0.1], [0.1, 0.3]], [[0.1, -0.05], [-0.05, 0.6]]])
ONE = torch.eye(2, dtype=torch.float64)
X = 2 * torch.randn(50, 1, 1, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("t", [0, 100, 500, 999])
def test_the_denoiser_is_the_mean_of_the_posterior(t: int) -> None:
    # By brute force: the mean of x0 over a fine grid, weighed by p(x0) p(x_t | x0).
    law = Mixture([0.3, 0.7], [[-1.0], [0.8]], [[[0.2]], [[0.05]]])
    alpha, sigma = TABLES(t)
    grid = torch.linspace(-5, 5, 40_001, dtype=torch.float64)
    spread = law.covariances.flatten()
    prior = (law.weights * torch.exp(-((grid[:, None] - law.means.T) ** 2) / (2 * spread)) / spread.sqrt()).sum(1)
    x_t = torch.tensor([-1.3, -0.2, 0.0, 0.9, 2.0], dtype=torch.float64)
    weight = prior * torch.exp(-((x_t[:, None] - alpha * grid) ** 2) / (2 * sigma**2))
    expected = (weight * grid).sum(dim=1) / weight.sum(dim=1)
    x0, eps = law.denoise(x_t.view(-1, 1, 1, 1), alpha, sigma)
    assert torch.allclose(x0.flatten(), expected, atol=1e-6)
    assert torch.allclose(eps.flatten(), (x_t - alpha * expected) / sigma, atol=1e-4)


@pytest.mark.parametrize("t", [0, 1, 400, 999])
def test_image_and_noise_mix_to_x_t(t: int) -> None:
    alpha, sigma = TABLES(t)
    seen = ExactDenoiser(LAW, TABLES)(X, t)
    assert torch.allclose(alpha * seen.x0 + sigma * seen.eps, X, atol=1e-10)


def test_a_full_covariance_is_denoised_by_the_textbook_formula() -> None:
    law = Gaussian([0.3, -0.7], [[0.5, 0.3], [0.3, 1.5]])
    alpha, sigma = TABLES(300)
    mean, covariance = law.means[0], law.covariances[0]
    gain = alpha * covariance @ torch.linalg.inv(alpha**2 * covariance + sigma**2 * ONE)
    expected = mean + (X.flatten(1) - alpha * mean) @ gain.T
    assert torch.allclose(law.denoise(X, alpha, sigma)[0].flatten(1), expected, atol=1e-12)


def test_a_point_and_a_step_without_signal_are_finite() -> None:
    point = Gaussian([2.0, -1.0], torch.zeros(2, 2))
    assert torch.equal(point.denoise(X, 0.9, 0.19**0.5)[0].flatten(1), point.means.expand(50, 2))
    x0, eps = LAW.denoise(X, 0.0, 1.0)
    assert torch.allclose(x0.flatten(1), LAW.mean.expand(50, 2))
    assert torch.allclose(eps, X)


def test_the_dtype_is_that_of_x() -> None:
    single, double = (ExactDenoiser(LAW, TABLES)(X.to(dtype), 200) for dtype in (torch.float32, torch.float64))
    assert single.x0.dtype == torch.float32
    assert single.eps.dtype == torch.float32
    assert torch.allclose(single.x0.double(), double.x0, atol=1e-5)
    assert torch.allclose(single.eps.double(), double.eps, atol=1e-5)


def test_draws_have_the_moments_that_the_law_says() -> None:
    drawn = LAW.draw(200_000, generator()).flatten(1)
    assert torch.allclose(drawn.mean(dim=0), LAW.mean, atol=0.015)
    assert torch.allclose(drawn.T.cov(), LAW.covariance, atol=0.03)


def test_noised_draws_follow_the_noised_law() -> None:
    alpha, sigma = 0.6, 0.8
    noised = LAW.at(alpha, sigma)
    assert torch.allclose(noised.mean, alpha * LAW.mean)
    assert torch.allclose(noised.covariance, alpha**2 * LAW.covariance + sigma**2 * ONE)


def test_the_flow_solves_the_ode() -> None:
    # d(x/alpha) / d(sigma/alpha) = eps, by the classical Runge-Kutta rule in 1000 steps.
    law, (start, end) = Gaussian([0.3, -0.7], [[0.5, 0.3], [0.3, 1.5]]), (4.0, 0.1)
    step = (end - start) / 1000

    def slope(x: torch.Tensor, ratio: float) -> torch.Tensor:
        alpha = (1 + ratio**2) ** -0.5
        return law.denoise(alpha * x, alpha, alpha * ratio)[1]

    x = X
    for i in range(1000):
        ratio = start + i * step
        a = slope(x, ratio)
        b = slope(x + step / 2 * a, ratio + step / 2)
        c = slope(x + step / 2 * b, ratio + step / 2)
        x = x + step / 6 * (a + 2 * b + 2 * c + slope(x + step * c, ratio + step))
    factors = [((1 + ratio**2) ** -0.5, ratio * (1 + ratio**2) ** -0.5) for ratio in (start, end)]
    assert torch.allclose(law.flow(factors[0][0] * X, *factors) / factors[1][0], x, atol=1e-9)


def test_labels_make_up_the_marginal() -> None:
    law = LabelledMixture([Gaussian([-1.0], [[0.1]]), LAW1], [1.0, 3.0])
    assert law.law_of(0).mean == -1.0
    assert law.law_of(law.classes).mean == pytest.approx(-0.25 + 0.75 * float(LAW1.mean))
    assert law.marginal.weights.tolist() == pytest.approx([0.25, 0.75 * 0.5, 0.75 * 0.5])


LAW1 = Mixture([0.5, 0.5], [[1.0], [2.0]], [[[0.2]], [[0.3]]])


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("t", [0, 300, 999])
def test_the_guided_law_is_what_guidance_sees(scale: float, t: int) -> None:
    law = Mixture([0.4, 0.6], [[-1.0, 0.2], [1.5, 0.2]], [[[0.3, 0.0], [0.0, 0.2]], [[0.1, 0.0], [0.0, 0.2]]])
    label, none = [0.0, 0.8], [0.0, -0.1]
    came = Guided(*(ExactDenoiser(law.shift(by), TABLES) for by in (label, none)), scale)(X, t)
    expected = ExactDenoiser(guided_law(law, label, none, scale), TABLES)(X, t)
    assert torch.allclose(came.x0, expected.x0, atol=1e-10)
    assert torch.allclose(came.eps, expected.eps, atol=1e-10)


def test_one_gaussian_may_be_guided_anywhere() -> None:
    law = Gaussian([0.0, 0.0], [[0.5, 0.3], [0.3, 1.5]])
    came = Guided(ExactDenoiser(law.shift([1.0, 0.0]), TABLES), ExactDenoiser(law.shift([0.0, 0.5]), TABLES), 2.0)(
        X, 300
    )
    assert torch.allclose(
        came.x0, ExactDenoiser(guided_law(law, [1.0, 0.0], [0.0, 0.5], 2.0), TABLES)(X, 300).x0, atol=1e-10
    )


def test_a_guided_law_that_is_not_known_is_refused() -> None:
    with pytest.raises(ValueError, match="shared eigenvector"):
        guided_law(LAW, [0.0, 1.0], [0.0, 0.0], 1.0)


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected means \(K, D\)"):
        Mixture([1.0], [[0.0, 0.0]], [[[1.0]]])
    with pytest.raises(ValueError, match="shape of D values"):
        Gaussian([0.0, 0.0], torch.eye(2), shape=(1, 2, 2))


def test_images_may_have_any_shape() -> None:
    law = Gaussian(torch.arange(12.0), torch.eye(12), shape=(3, 2, 2))
    drawn = law.draw(5, generator())
    assert drawn.shape == (5, 3, 2, 2)
    assert ExactDenoiser(law, TABLES)(drawn, 10).x0.shape == (5, 3, 2, 2)
