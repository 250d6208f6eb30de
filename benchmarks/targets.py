"""Targets and whether they are met: ratios of 20th percentiles within one run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.arms import DIFFUSERS, LUCIDRAINS
from benchmarks.busy import DEMO
from benchmarks.table import markdown

__all__ = ["targets"]

Results = dict[str, Any]


def targets(results: Results) -> list[str]:
    """Return the lines of a table of all targets that these results cover."""
    rows = [row for name, least, show, value in _TARGETS if (row := _row(results, name, least, show, value))]
    return markdown(["target", "required", "measured", "met"], rows) if rows else []


def _row(
    results: Results, name: str, bound: float, show: str, value: Callable[[Results], float]
) -> list[str] | None:
    try:
        reached = value(results)
    except KeyError:  # was not measured, or the peer is not installed
        return None
    most = bound < 0
    asked = f"{'at most' if most else 'at least'} {show.format(abs(bound))}"
    met = reached <= -bound if most else reached >= bound
    return [name, asked, show.format(reached), "yes" if met else "**missed**"]


def _apart(arm: str) -> Callable[[Results], float]:
    return lambda results: float(results["apart"]["ratios"][arm]["p20"])


def _step(arm: str, precision: str = "ratios") -> Callable[[Results], float]:
    return lambda results: float(results["training"][precision][arm]["p20"])


def _call(batch: str, arm: str) -> Callable[[Results], float]:
    return lambda results: float(results["sampling"]["batches"][batch]["ratios"][arm]["p20"])


def _loop(results: Results) -> float:
    ratio = results["overhead"]["ratios"]["ddpm"]
    if ratio is None:
        raise KeyError(DIFFUSERS)
    return float(1 / ratio["p20"])


def _whole(results: Results) -> float:
    return float(results["orchestration"]["least_ratio"])


def _metric(name: str, tool: str) -> Callable[[Results], float]:
    return lambda results: float(results["metrics-speed"][name]["ratios"][tool]["p20"])


def _inception(results: Results) -> float:
    return float(results["metrics-network"]["ratios"]["torch-fidelity"]["p20"])


def _on_busy_machine(results: Results) -> float:
    return float(results["busy"]["ratios"][DEMO])


def _start(results: Results) -> float:
    return float(results["startup"]["ratio"]["noisette train"])


_TARGETS: list[tuple[str, float, str, Callable[[Results], float]]] = [
    ("training step, relative to diffusers", 1.8, "{:.2f}x", _step(DIFFUSERS)),
    ("training step, relative to denoising-diffusion-pytorch", 3.4, "{:.2f}x", _step(LUCIDRAINS)),
    ("step in separate processes, relative to diffusers", 1.8, "{:.2f}x", _apart(DIFFUSERS)),
    (
        "step in separate processes, relative to denoising-diffusion-pytorch",
        3.4,
        "{:.2f}x",
        _apart(LUCIDRAINS),
    ),
    ("training step, share of the floor", 0.75, "{:.0%}", _step("floor")),
    ("training step in fp32, relative to diffusers", 1.15, "{:.2f}x", _step(DIFFUSERS, "ratios_fp32")),
    ("network call, batch 16, relative to diffusers", 1.7, "{:.2f}x", _call("16", DIFFUSERS)),
    ("network call, batch 16, relative to denoising-diffusion-pytorch", 3.2, "{:.2f}x", _call("16", LUCIDRAINS)),
    ("network call, batch 1, relative to diffusers", 1.0, "{:.2f}x", _call("1", DIFFUSERS)),
    ("network call, batch 1, relative to denoising-diffusion-pytorch", 1.0, "{:.2f}x", _call("1", LUCIDRAINS)),
    ("sampling loop without the network, batch 1, share of diffusers'", -0.25, "{:.2f}", _loop),
    ("share of listeners in a training", -0.02, "{:.2%}", lambda r: float(r["orchestration"]["listening_share"])),
    ("extra time of a training in a flow", -0.02, "{:.1%}", _whole),
    ("Fréchet distance, relative to torchmetrics", 3.0, "{:.1f}x", _metric("frechet", "torchmetrics")),
    ("Fréchet distance, relative to torch-fidelity", 3.0, "{:.1f}x", _metric("frechet", "torch-fidelity")),
    ("KID, relative to torchmetrics", 3.0, "{:.1f}x", _metric("kid", "torchmetrics")),
    ("KID, relative to torch-fidelity", 3.0, "{:.1f}x", _metric("kid", "torch-fidelity")),
    ("Inception in fp32, relative to torch-fidelity", 1.0, "{:.2f}x", _inception),
    ("start of `noisette train`, in imports of torch", -3.0, "{:.1f}", _start),
    ("the demo next to two busy processes, relative to an idle machine", -2.5, "{:.1f}", _on_busy_machine),
]
