"""The training step with each arm in a separate process, as for users.

In one process, the other libraries also profit from noisette's setting of the C library, which keeps freed memory.
Here each has its own. The processes still alternate step by step, and waiting ones sleep.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from benchmarks.arms import DIFFUSERS, LUCIDRAINS, export_network, images, is_installed
from benchmarks.noisette_arm import NoisetteArm
from benchmarks.setting import Setting, Work
from benchmarks.table import markdown, ms, times
from benchmarks.timing import compare_times, summary

TITLE = "Training step in separate processes"

_OWN = "noisette"


def measure(setting: Setting) -> dict[str, Any]:
    """Let the processes take steps in turn."""
    work = setting.work()
    own = NoisetteArm(setting, work)
    export_network(setting, own)
    torch.save(images(own, work.batch).cpu(), setting.folder / "x0.pt")
    names = [_OWN, *(name for name in (DIFFUSERS, LUCIDRAINS) if is_installed(name))]
    with ExitStack() as stack:
        arms = {name: stack.enter_context(_process(name, setting, work)) for name in names}
        seconds = _in_turn(arms, setting.rounds(16))
    return {
        "times": {name: summary(taken) for name, taken in seconds.items()},
        "ratios": compare_times(seconds, _OWN),
    }


def _in_turn(arms: Mapping[str, subprocess.Popen[str]], rounds: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    for at in range(-3, rounds):
        for name, process in arms.items():
            print("step", file=process.stdin, flush=True)
            said = process.stdout.readline() if process.stdout else ""
            if not said:
                raise RuntimeError(f"{name}: ended with exit status {process.wait()}")
            if at >= 0:
                seconds[name].append(float(said))
    return seconds


@contextmanager
def _process(name: str, setting: Setting, work: Work) -> Iterator[subprocess.Popen[str]]:
    options = [name, str(setting.folder), str(setting.threads), *map(str, asdict(work).values())]
    call = [sys.executable, "-m", "benchmarks.apart", *options]
    with subprocess.Popen(call, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            if process.stdin is not None:
                process.stdin.close()


def _steps(name: str, folder: Path, threads: int, work: Work) -> None:
    """Take a step for each input line, and print its seconds."""
    torch.set_num_threads(threads)
    arm = _arm(name, folder, work)
    for _ in sys.stdin:
        start = time.perf_counter()
        arm.step()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        print(time.perf_counter() - start, flush=True)


def _arm(name: str, folder: Path, work: Work) -> Any:
    if name == _OWN:
        return NoisetteArm(Setting(folder), work)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    x0 = torch.load(folder / "x0.pt", weights_only=True).to(device)
    if name == DIFFUSERS:
        from benchmarks.diffusers_arm import DiffusersArm

        return DiffusersArm(folder / "diffusers", x0)
    from benchmarks.lucidrains_arm import LucidrainsArm

    return LucidrainsArm(work, x0)


def table(result: dict[str, Any]) -> list[str]:
    """Return the lines of the report."""
    rows = [
        [name, ms(taken["p20_ms"]), ms(taken["median_ms"]), times(result["ratios"].get(name))]
        for name, taken in result["times"].items()
    ]
    return markdown(["arm", "ms (p20)", "ms (median)", "speed-up of noisette"], rows)


if __name__ == "__main__":
    _steps(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), Work(*map(int, sys.argv[4:])))
