"""Loss after the same number of steps, with the same images, timesteps and noise in the same order.

noisette and diffusers also start from the same weights. The mean loss of the last quarter of the steps may differ
by 2 % between the precisions and from diffusers.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.arms import peers
from benchmarks.noisette_arm import NoisetteArm
from benchmarks.setting import Setting
from benchmarks.table import markdown

TITLE = "Loss after the same number of steps"

TOLERANCE = 0.02


def measure(setting: Setting) -> dict[str, Any]:
    """Train all arms side by side."""
    work = setting.work() if setting.quick else replace(setting.work(), size=16, batch=32)
    steps = 4 if setting.quick else 120
    own = NoisetteArm(setting, work, lr=5e-4)
    arms: dict[str, Any] = {"noisette": own, "noisette, fp32": NoisetteArm(setting, work, "fp32", lr=5e-4)}
    arms["noisette's default, small"] = NoisetteArm(setting, work, backbone="small", lr=5e-4)
    for name, arm in peers(setting, work, own):
        arms[name] = arm
        for group in arm.optimizer.param_groups:
            group["lr"] = 5e-4
    losses: dict[str, list[float]] = {name: [] for name in arms}
    for step in range(steps):
        batch = own.batches[step]
        for name, arm in arms.items():
            losses[name].append(arm.learn(batch))
    late = {name: float(np.mean(values[-max(steps // 4, 1) :])) for name, values in losses.items()}
    return {"work": vars(work), "steps": steps, "tolerance": TOLERANCE, "late": late, "losses": losses}


def table(result: dict[str, Any]) -> list[str]:
    """Return the lines of the report."""
    work, late = result["work"], result["late"]
    base = late.get("diffusers", late["noisette, fp32"])
    rows = [[name, f"{loss:.5f}", f"{loss / base - 1:+.1%}"] for name, loss in late.items()]
    same = [late[name] for name in ("noisette", "noisette, fp32", "diffusers") if name in late]
    off = max(same) / min(same) - 1
    verdict = "within" if off <= result["tolerance"] else "NOT within"
    return [
        f"{result['steps']} steps at {work['size']}x{work['size']}x{work['channels']}, batch {work['batch']}, "
        "learning rate 5e-4; mean of the last quarter.",
        "",
        *markdown(["arm", "loss", "relative to diffusers"], rows),
        "",
        f"The same network in bf16, in fp32 and in diffusers: at most {off:.2%} apart, {verdict} the tolerance of "
        f"{result['tolerance']:.0%}. The other two have other architectures.",
    ]
