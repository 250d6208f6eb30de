"""Calibrate the metrics' errors: resample sets from known distributions and compare the errors with the spread.

    python scripts/calibrate_errors.py [--repeats 200] [--only kid frechet]

Prints the table of docs/metrics.md. A row is a metric, the sizes of its sets and a distribution; two generated
sets share a reference in each repeat. `error` is the mean error divided by the spread of the values, `covered` the
share of values within two errors of the mean, `difference` the mean error of the difference of the two sets, as in
reports, divided by its spread. The ideal values are 1, 0.95 and 1.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from noisette import Batch, Estimate, Metric
from noisette.evaluation.significance import stderr_of_difference
from noisette_plugins.metrics import KID, DensityCoverage, Frechet, FrechetInfinity, Nearest, PrecisionRecall

Law = Callable[[int, torch.Generator], Tensor]


class Case(NamedTuple):
    """One metric on sets of n generated and m reference images in some number of dimensions."""

    metric: Metric
    n: int
    m: int
    dimensions: int


CASES = (
    Case(Frechet(), 24, 24, 64),
    Case(Frechet(), 60, 200, 64),
    Case(Frechet(), 300, 2000, 64),
    Case(FrechetInfinity(), 400, 400, 32),
    Case(FrechetInfinity(), 1500, 1500, 32),
    Case(KID(), 200, 200, 16),
    Case(KID(), 100, 1000, 64),
    Case(KID(size=100), 200, 500, 16),
    Case(PrecisionRecall(), 200, 200, 16),
    Case(PrecisionRecall(), 200, 1000, 16),
    Case(DensityCoverage(), 200, 200, 16),
    Case(DensityCoverage(), 200, 1000, 16),
    Case(Nearest(), 200, 200, 8),
    Case(Nearest(), 200, 1000, 8),
)

SHIFTS = {"same": 0.0, "near": 0.3, "far": 1.0}


def laws(dimensions: int) -> Iterator[tuple[str, Law, Law]]:
    """Yield the name and the distributions of both sets: Gaussian, and skewed like features after a ReLU."""
    for name, shift in SHIFTS.items():
        yield name, _gaussian(dimensions, shift), _gaussian(dimensions, 0.0)
    for name in ("same", "near"):
        generated, real = _gaussian(dimensions, SHIFTS[name] - 0.5), _gaussian(dimensions, -0.5)
        yield f"{name}, skewed", _rectified(generated), _rectified(real)


def _gaussian(dimensions: int, shift: float) -> Law:
    scales = torch.arange(1, dimensions + 1).float() ** -0.5
    return lambda count, generator: (torch.randn(count, dimensions, generator=generator) + shift) * scales


def _rectified(law: Law) -> Law:
    return lambda count, generator: law(count, generator).relu()


def _state(metric: Metric, features: Tensor) -> dict[str, Tensor]:
    images = torch.zeros(len(features), 1, 1, 1, dtype=torch.uint8)
    return metric.update({}, Batch(images, features))


def draw_results(case: Case, generated: Law, real: Law, seed: int) -> list[dict[str, Estimate]]:
    """Return the results of two generated sets against one reference."""
    generator = torch.Generator().manual_seed(seed)
    reference, heldout = (_state(case.metric, real(case.m, generator)) for _ in range(2))
    sets = [_state(case.metric, generated(case.n, generator)) for _ in range(2)]
    return [case.metric.compute(one, reference, heldout) for one in sets]


class Calibration(NamedTuple):
    """What errors are worth: see the head of this file."""

    error: float
    covered: float
    difference: float


def calibrate(pairs: list[tuple[Estimate, Estimate]]) -> Calibration:
    """Return what the errors of pairs of estimates, which share a reference, are worth."""
    values = np.array([[one.value for one in pair] for pair in pairs])
    errors = np.array([[one.stderr for one in pair] for pair in pairs], dtype=float)
    apart = np.array([stderr_of_difference(*pair) for pair in pairs])
    return Calibration(
        float(errors.mean() / values.std(axis=0, ddof=1).mean()),
        float((np.abs(values - values.mean()) <= 2 * errors).mean()),
        float(apart.mean() / (values[:, 0] - values[:, 1]).std(ddof=1)),
    )


def measure(case: Case, generated: Law, real: Law, repeats: int) -> dict[str, Calibration]:
    """Return the calibration of each result over resampled sets."""
    found = [draw_results(case, generated, real, seed) for seed in range(repeats)]
    return {name: calibrate([(a[name], b[name]) for a, b in found]) for name in found[0][0]}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--only", nargs="*", default=[], help="names of metrics")
    options = parser.parse_args()
    print("| result | generated, reference, dimensions | law | error | covered | difference |")
    print("| --- | --- | --- | ---: | ---: | ---: |")
    for case in CASES:
        if options.only and case.metric.name not in options.only:
            continue
        for law, generated, real in laws(case.dimensions):
            for name, worth in measure(case, generated, real, options.repeats).items():
                sizes = f"{case.n}, {case.m}, {case.dimensions}"
                figures = f"{worth.error:.2f} | {worth.covered:.2f} | {worth.difference:.2f}"
                print(f"| `{name}` | {sizes} | {law} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
