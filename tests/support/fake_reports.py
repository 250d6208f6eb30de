"""A report such as a sweep gives, made up, so that charts and tables can be tested without drawing anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from noisette import Estimate, Report
from noisette.comparison import parse_samplers
from noisette.evaluation import Row

__all__ = ["make_fake_report"]

NAMES = ("ddim", "ddpm", "ddpm:variance=fixed-large", "heun")
STEPS = (5, 10, 50)


def make_fake_report(directory: Path) -> Report:
    """Return 4 samplers at 3 lengths; ``fid`` falls with the calls, and DDIM is best at every number of them."""
    rows = [Row("floor", "held-out", results={"fid": Estimate(2.0), "kid": Estimate(-1e-4, 2e-4)})]
    about: dict[str, Any] = {}
    for place, name in enumerate(NAMES):
        for steps in STEPS:
            (sampler,) = parse_samplers([f"{name}:steps={steps}"])
            calls = sampler.network_calls(steps)
            results = {
                "fid": Estimate(2 + 100 * (place + 1) / calls),
                "kid": Estimate(0.1 * (place + 1) / calls, 1e-3),
                "classes": Estimate(10.0),
            }
            rows.append(Row("sampler", sampler.label, steps, calls, 0.001 * calls, results))
            about[sampler.label] = {
                "sampler": sampler.options(),
                "device": "cpu",
                "timed": {"session": "one", "threads": 1},
            }
    return Report(
        directory=directory,
        rows=[*rows, Row("noise", "noise", results={"fid": Estimate(300.0)})],
        columns=["fid", "kid", "classes"],
        better={"fid": "lower", "kid": "lower", "classes": "higher"},
        protocol={"features": "inception", "generated_count": 500},
        details={"samplers": about},
        notes=[],
    )
