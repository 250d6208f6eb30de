"""The benchmarks run and tell what they measured; no time is asserted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

ROOT = Path(__file__).parent.parent
IN_PROCESS = ["training", "apart", "sampling", "overhead", "losses", "growth", "memory"]


@pytest.fixture(autouse=True)
def _sources_of_the_working_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `python -m benchmarks` be found, whichever test of this process has set noisette up before."""
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)


@pytest.fixture
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the package, which lies beside the sources and is not installed."""
    monkeypatch.syspath_prepend(str(ROOT))
    import benchmarks.busy
    import benchmarks.floor
    import benchmarks.orchestration
    import benchmarks.report
    import benchmarks.startup
    import benchmarks.timing

    return benchmarks


@pytest.mark.slow
def test_a_tiny_round_of_each_is_valid_json_and_a_page(tmp_path: Path) -> None:
    call = [sys.executable, "-m", "benchmarks", "--quick", "--threads", "1", "--to", str(tmp_path), "--only"]
    subprocess.run([*call, *IN_PROCESS], cwd=ROOT, check=True, capture_output=True, text=True)
    (path,) = tmp_path.glob("*.json")
    run = json.loads(path.read_text(encoding="utf-8"))
    assert list(run["measurements"]) == IN_PROCESS
    assert run["quick"]
    training, losses = (run["measurements"][name]["result"] for name in ("training", "losses"))
    assert training["sizes"]["noisette"] == training["sizes"]["diffusers"]
    assert {"noisette", "noisette, fp32", "diffusers", "floor"} <= set(training["times"])
    assert losses["losses"]["noisette, fp32"] == pytest.approx(losses["losses"]["diffusers"], rel=1e-4)
    page = (tmp_path / "benchmarks.md").read_text(encoding="utf-8")
    assert page.count("\n## ") == len(IN_PROCESS)
    assert "training step, relative to diffusers" in page
    assert {image.name for image in tmp_path.glob("*.png")} == {"benchmark-growth.png", "benchmark-losses.png"}


def test_arms_take_turns_and_the_warm_up_does_not_count(benchmarks: ModuleType) -> None:
    order: list[str] = []
    arms = {name: lambda name=name: order.append(name) for name in "abc"}
    seconds = benchmarks.timing.time_interleaved(arms, rounds=4, warmup=2)
    assert {name: len(taken) for name, taken in seconds.items()} == dict.fromkeys("abc", 4)
    turns = ["".join(order[at : at + 3]) for at in range(0, len(order), 3)]
    assert sorted(map(sorted, turns)) == [list("abc")] * 6
    assert {turn[0] for turn in turns} == set("abc")


def test_ratios_say_how_much_longer_the_others_take(benchmarks: ModuleType) -> None:
    seconds = {"own": [1.0, 2.0, 4.0, 1.0], "other": [3.0, 6.0, 12.0, 3.0]}
    exact = benchmarks.timing.compare_times(seconds, "own")["other"]
    assert [exact["p20"], exact["median"], *exact["spread"]] == pytest.approx([3.0] * 4)
    unsteady = {"own": [1.0, 1.1, 1.4, 1.0], "other": [3.0, 4.0, 3.0, 3.5]}
    noisy = benchmarks.timing.compare_times(unsteady, "own")["other"]
    assert noisy["spread"][0] < noisy["p20"] < noisy["spread"][1]


def test_the_floor_has_every_product_and_nothing_else(benchmarks: ModuleType) -> None:
    layers = torch.nn.Sequential(
        torch.nn.Conv2d(2, 3, 3), torch.nn.SiLU(), torch.nn.Flatten(), torch.nn.Linear(12, 5)
    )
    x, asked = torch.randn(4, 2, 4, 4), []

    def step() -> None:
        layers(x).square().sum().backward()
        torch.ones(4, 1, 6).expand(4, 1, 6) @ torch.ones(4, 6, 2)  # a product of its own
        torch.ones(1, 1, 6).expand(4, 1, 6) @ torch.ones(4, 6, 2)  # a sum

    with benchmarks.floor._Recorder() as recorder:
        step()
    asked = sorted(str(function.overloadpacket).split(".")[-1] for function, _ in recorder.calls)
    assert asked == ["addmm", "bmm", "convolution", "convolution_backward", "mm", "mm"]
    (shape,) = {tuple(args[0].shape) for function, args in recorder.calls if "convolution.default" in str(function)}
    assert shape == tuple(x.shape)
    benchmarks.floor.products_of(step)()


@pytest.mark.parametrize(("reached", "verdict"), [(1.9, "yes"), (1.7, "**missed**")])
def test_targets_are_judged(benchmarks: ModuleType, reached: float, verdict: str) -> None:
    ratios = {"diffusers": {"p20": reached}}
    lines = benchmarks.report.targets({"training": {"ratios": ratios, "ratios_fp32": {}}})
    assert lines[2:] == [f"| training step, relative to diffusers | at least 1.80x | {reached:.2f}x | {verdict} |"]
    assert benchmarks.report.targets({}) == []


@pytest.mark.slow
def test_a_plain_training_is_timed_and_a_start_is_seen(benchmarks: ModuleType, tmp_path: Path) -> None:
    from benchmarks.setting import Setting

    setting = Setting(tmp_path, threads=1, quick=True)
    run = benchmarks.orchestration._train_in_process(setting, "plain", 2, 0)
    assert 0 < run["listening"] < run["seconds"]
    assert benchmarks.startup._start_seconds(setting, "import torch", 0) > 0
    broken = [sys.executable, "-c", "raise SystemExit(3)"]
    with pytest.raises(RuntimeError, match="exit status 3"):
        benchmarks.startup._until_it_steps(broken, None, setting)


def test_tables_of_the_slow_measurements(benchmarks: ModuleType) -> None:
    seconds: dict[str, Any] = {"flow": [1.5, 1.6], "plain": [1.5, 1.5]}
    shares = {"listening_share": 0.0123, "whole_ratio": 0.02, "least_ratio": 0.0}
    lines = benchmarks.orchestration.table({"steps": 7, "seconds": seconds, **shares})
    assert "1.23%" in lines[-1]
    beside = {"demo": {"alone": [40.0], "busy": [60.0]}, "control": {"alone": [40.0], "busy": [800.0]}}
    lines = benchmarks.busy.table({"seconds": beside, "ratios": {"demo": 1.5, "control": 20.0}, "patience": 20.0})
    assert lines[-2:] == ["| demo | 40 | 60 | 1.5 |", "| control | 40 | more than 800 | more than 20.0 |"]
    lines = benchmarks.startup.table({"median": {"import torch": 2.0}, "ratio": {"import torch": 1.0}})
    assert lines[-1] == "| import torch | 2.00 | 1.0 |"
