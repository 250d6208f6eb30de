"""The training step: data, network, optimizer and averaged weights, of all libraries, and the floor."""

from __future__ import annotations

from typing import Any

from benchmarks.arms import images, peers, size
from benchmarks.floor import products_of
from benchmarks.noisette_arm import NoisetteArm
from benchmarks.setting import Setting
from benchmarks.table import markdown, ms, times
from benchmarks.timing import compare_times, summary, time_interleaved

TITLE = "Training step"

_OWN, _OWN_FP32, _SMALL = "noisette", "noisette, fp32", "noisette's default, small"
_FLOOR, _FLOOR_FP32 = "floor", "floor, fp32"


def measure(setting: Setting) -> dict[str, Any]:
    """Time steps of all arms in turn."""
    work = setting.work()
    own, plain = NoisetteArm(setting, work), NoisetteArm(setting, work, "fp32")
    small = NoisetteArm(setting, work, backbone="small")
    others = dict(peers(setting, work, own, bf16=True))
    arms = {_OWN: own.step, _OWN_FP32: plain.step, _SMALL: small.step}
    arms |= {name: arm.step for name, arm in others.items()}
    arms |= {_FLOOR: products_of(own.step), _FLOOR_FP32: products_of(plain.step)}
    networks = {_OWN: own, _SMALL: small, **{name: arm for name, arm in others.items() if "bf16" not in name}}
    seconds = time_interleaved(arms, setting.rounds(18))
    x = images(own, 1)
    return {
        "work": vars(work),
        "precision": own.machine.precision,
        "sizes": {name: size(arm.network, x) for name, arm in networks.items()},
        "times": {name: summary(taken) for name, taken in seconds.items()},
        "ratios": compare_times(seconds, _OWN),
        "ratios_fp32": compare_times(seconds, _OWN_FP32),
    }


def table(result: dict[str, Any]) -> list[str]:
    """Return the lines of the report."""
    work, rows = result["work"], []
    for name, taken in result["times"].items():
        size = result["sizes"].get(name) or {}
        ratio, fp32 = (result[key].get(name) for key in ("ratios", "ratios_fp32"))
        rows.append(
            [
                name,
                f"{size['parameters_m']:.2f} M" if size else "",
                f"{size['mflop']:.0f}" if size else "",
                ms(taken["p20_ms"]),
                ms(taken["median_ms"]),
                times(ratio),
                times(fp32),
            ]
        )
    head = ["arm", "parameters", "MFLOP per image", "ms (p20)", "ms (median)", "speed-up of noisette"]
    share = result["ratios"][_FLOOR]["p20"], result["ratios_fp32"][_FLOOR_FP32]["p20"]
    return [
        f"{work['size']}x{work['size']}x{work['channels']}, batch {work['batch']}; noisette in "
        f"{result['precision']}, its choice on this machine.",
        "",
        *markdown([*head, "speed-up in fp32"], rows),
        "",
        f"noisette reaches {share[0]:.0%} of the floor's speed, and in fp32 {share[1]:.0%} of the fp32 floor's. "
        "`small` is another architecture, so its times are not directly comparable.",
    ]
