"""The error of a difference of two sets beside one reference: what they share of it is counted once."""

from __future__ import annotations

from dataclasses import replace
from math import sqrt
from pathlib import Path

import numpy as np
import pytest
import torch
from support.fake_reports import make_fake_report
from torch import Tensor

from noisette import Batch, Estimate, Metric, Report
from noisette.evaluation.significance import stderr_of_difference
from noisette_plugins.metrics import KID, Frechet, Nearest, PrecisionRecall


def computed(metric: Metric, judged: Tensor, reference: Tensor) -> dict[str, Estimate]:
    images = torch.zeros(max(len(judged), len(reference)), 1, 1, 1, dtype=torch.uint8)
    states = [metric.update({}, Batch(images[: len(rows)], rows)) for rows in (judged, reference)]
    return metric.compute(*states, {})


@pytest.mark.parametrize(
    ("metric", "result", "shift"),
    [
        (Frechet(), "frechet", 0.3),
        (KID(), "kid", 0.3),
        (PrecisionRecall(), "precision", 0.5),
        (Nearest(), "nearest_distance", 1.0),
    ],
    ids=lambda value: value.name if isinstance(value, Metric) else value,
)
def test_differences_have_the_error_of_redrawn_sets(metric: Metric, result: str, shift: float) -> None:
    """A reference of few, which two large sets share: adding their errors, the control, says far too much."""
    apart, told, added = [], [], []
    for seed in range(60):
        generator = torch.Generator().manual_seed(seed)
        reference = torch.randn(60, 8, generator=generator)
        sets = [torch.randn(300, 8, generator=generator) + shift for _ in range(2)]
        a, b = (computed(metric, one, reference)[result] for one in sets)
        apart.append(a.value - b.value)
        told.append(stderr_of_difference(a, b))
        added.append(sqrt(a.stderr**2 + b.stderr**2))
    spread = np.std(apart, ddof=1)
    assert 0.7 < np.mean(told) / spread < 1.5
    assert np.mean(added) / spread > 1.2 * np.mean(told) / spread


def test_what_is_shared_is_kept_in_the_report(tmp_path: Path) -> None:
    report = make_fake_report(tmp_path)
    report.rows[1].results["kid"] = Estimate(0.1, 0.03, [0.01, -0.02])
    report = replace(report)
    report.write(tmp_path)
    kept = Report.read(tmp_path).rows[1].results["kid"]
    assert kept == (0.1, 0.03)
    assert kept.shared == (0.01, -0.02)
    assert stderr_of_difference(kept, kept) == pytest.approx(sqrt(2 * (0.03**2 - 0.01**2 - 0.02**2)))
    assert stderr_of_difference(kept, Estimate(0.1, 0.03)) == pytest.approx(sqrt(2) * 0.03)  # not known of one
