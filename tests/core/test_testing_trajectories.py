"""Exact denoisers and the noise sources of the checks."""

from __future__ import annotations

import pytest
import torch

from noisette.testing import ExactDenoiser, ExactLabelledDenoiser, Gaussian, LabelledMixture
from noisette.testing.trajectories import (
    AffineDenoiser,
    BasisNoise,
    BatchNoise,
    CallRecorder,
    CountedNoise,
    SwitchableNoise,
    cosine_process,
    even_process,
    linear_process,
    zero_terminal_process,
)

TABLES = cosine_process()
X = torch.randn(6, 1, 1, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_each_image_is_seen_by_its_own_label() -> None:
    law = LabelledMixture(
        [Gaussian([-1.0, 0.0], torch.eye(2)), Gaussian([2.0, 1.0], 0.1 * torch.eye(2))], [0.5, 0.5]
    )
    seen = ExactLabelledDenoiser(law, TABLES, torch.tensor([0, 1, 2, 1, 0, 2]))(X, 300)
    for label in range(3):
        rows = [i for i, each in enumerate([0, 1, 2, 1, 0, 2]) if each == label]
        alone = ExactDenoiser(law.law_of(label), TABLES)(X[rows], 300)
        assert torch.allclose(seen.x0[rows], alone.x0)
        assert torch.allclose(seen.eps[rows], alone.eps)


@pytest.mark.parametrize("t", [0, 500, 999])
def test_slope_is_exact_for_its_gaussian(t: int) -> None:
    law = Gaussian([AffineDenoiser.MEAN] * 2, AffineDenoiser.VARIANCE * torch.eye(2))
    came, expected = AffineDenoiser(TABLES)(X, t), ExactDenoiser(law, TABLES)(X, t)
    assert torch.allclose(came.x0, expected.x0)
    assert torch.allclose(came.eps, expected.eps)


def test_slope_has_the_same_bits_in_any_batch() -> None:
    x = torch.randn(1000, 3, 5, 7, generator=torch.Generator().manual_seed(0))
    whole = AffineDenoiser(TABLES)(x, 300)
    for rows in (slice(1), slice(3, 10), slice(500, 999)):
        part = AffineDenoiser(TABLES)(x[rows], 300)
        assert torch.equal(part.x0, whole.x0[rows])
        assert torch.equal(part.eps, whole.eps[rows])


def test_slope_is_finite_without_signal() -> None:
    process = zero_terminal_process()
    seen = AffineDenoiser(process)(X, 999)
    assert process(999) == (0.0, 1.0)
    assert torch.allclose(seen.x0, torch.full_like(X, AffineDenoiser.MEAN))
    assert torch.allclose(seen.eps, X)


def test_calls_are_noted_and_changes_are_seen() -> None:
    calls = CallRecorder(AffineDenoiser(TABLES), keep=True)
    seen = calls(X.clone(), 7)
    calls(X, 3)
    assert calls.steps == [7, 3]
    assert all(torch.equal(now, then) for now, then in calls.records)
    seen.x0.add_(1)
    assert not all(torch.equal(now, then) for now, then in calls.records)


def test_basis_noise_is_one_unit_vector_a_row() -> None:
    like = torch.zeros(1 + 2 + 2 * 2, 1, 1, 2)
    noise = BasisNoise(like, 3)
    first, second = noise().flatten(1), noise().flatten(1)
    assert first.nonzero().tolist() == [[3, 0], [4, 1]]
    assert second.nonzero().tolist() == [[5, 0], [6, 1]]


def test_streams_repeat_and_counts_count() -> None:
    assert torch.equal(BatchNoise(1, X)(), BatchNoise(1, X)())
    assert not torch.equal(BatchNoise(1, X)(), BatchNoise(2, X)())
    counted = CountedNoise(X)
    switched = SwitchableNoise(BatchNoise(1, X))
    switched.source = counted
    assert not switched().any()
    assert counted.draws == 1


@pytest.mark.parametrize("process", [linear_process, cosine_process, zero_terminal_process, even_process])
def test_processes_are_whole(process) -> None:
    process = process()
    assert (process.snr.diff() < 0).all()
    assert torch.allclose(process.alphas**2 + process.sigmas**2, torch.ones(len(process) + 1, dtype=torch.float64))


def test_processes_are_the_papers() -> None:
    # alpha² at the last step, from the published formulas in float64
    assert float(linear_process().alphas[999] ** 2) == pytest.approx(4.035829765e-05, rel=1e-9)
    assert float(cosine_process().alphas[999] ** 2) == pytest.approx(2.428766907e-09, rel=1e-9)
    assert zero_terminal_process().alphas[999] == 0


def test_the_even_process_falls_evenly() -> None:
    ratio = (even_process().snr.log() / 2).diff()
    assert torch.allclose(ratio, torch.full_like(ratio, -6 / 960))
