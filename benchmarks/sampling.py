"""One network call at several batch sizes, as each library's sampling loop makes it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from benchmarks.arms import images, peers
from benchmarks.noisette_arm import NoisetteArm
from benchmarks.setting import Setting
from benchmarks.table import markdown, ms, times
from benchmarks.timing import compare_times, summary, time_interleaved
from noisette.machine import Precision
from noisette.sampling.loop import autocast_weight_cache

TITLE = "Network call of sampling"

_BATCHES = (1, 4, 16, 64)


def measure(setting: Setting) -> dict[str, Any]:
    """Time calls of all arms in turn."""
    return {"batches": {str(batch): _measure(setting, batch) for batch in _BATCHES[: 2 if setting.quick else None]}}


def _measure(setting: Setting, batch: int) -> dict[str, Any]:
    work = replace(setting.work(), batch=batch)
    own = NoisetteArm(setting, work)
    others = dict(peers(setting, work, own))
    for arm in others.values():
        arm.network.eval()
    x = torch.randn_like(images(own, batch))
    denoise = own.denoiser()
    forced: tuple[Precision, ...] = ("fp32", "bf16")
    arms = {"noisette": lambda: denoise(x, 500)}
    for precision in forced:
        other = NoisetteArm(setting, work, precision).denoiser()
        arms[f"noisette, {precision}"] = lambda other=other: other(x, 500)
    arms |= {name: lambda arm=arm: arm.call(x, 500) for name, arm in others.items()}
    calls = 3 if batch == 1 else 1
    many = {name: lambda arm=arm: [arm() for _ in range(calls)] for name, arm in arms.items()}
    with autocast_weight_cache(x):  # as in sampling
        seconds = time_interleaved(many, setting.rounds(100 if batch == 1 else 25))
    seconds = {name: [value / calls for value in taken] for name, taken in seconds.items()}
    return {
        "precision": own.machine.precision,
        "times": {name: summary(taken) for name, taken in seconds.items()},
        "ratios": compare_times(seconds, "noisette"),
    }


def table(result: dict[str, Any]) -> list[str]:
    """Return the lines of the report."""
    rows = []
    for batch, measured in result["batches"].items():
        for name, taken in measured["times"].items():
            shown = f"{name} (chose {measured['precision']})" if name == "noisette" else name
            ratio = measured["ratios"].get(name)
            rows.append([batch, shown, ms(taken["p20_ms"]), ms(taken["median_ms"]), times(ratio)])
    return markdown(["batch", "arm", "ms (p20)", "ms (median)", "speed-up of noisette"], rows)
