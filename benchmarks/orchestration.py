"""The cost of Prefect, MLflow and the progress bar: the demo's training in a flow and as a plain call.

The share of time that the training thread spends in listeners is exact. The ratio of whole trainings, each in its
own process, also includes background threads and the noise of the machine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.setting import Setting
from benchmarks.table import markdown
from noisette import Events, Run, hookimpl
from noisette.hooks import Status

TITLE = "Orchestration"

_CONFIG = Path(__file__).parent.parent / "configs" / "digits.yaml"


class _RunTimer:
    """Notes when training begins and ends."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @hookimpl
    def on_run_start(self, run: Run) -> None:
        self._start = time.perf_counter()

    @hookimpl
    def on_run_end(self, run: Run, status: Status) -> None:
        self.seconds = time.perf_counter() - self._start


def measure(setting: Setting) -> dict[str, Any]:
    """Train alternately in a flow and plainly; the first flow creates its databases and is not counted."""
    steps = 20 if setting.quick else 600
    _train_in_process(setting, "flow", 20, 99)
    runs: dict[str, list[dict[str, float]]] = {"flow": [], "plain": []}
    for seed in range(1 if setting.quick else 3):
        for way, results in runs.items():
            results.append(_train_in_process(setting, way, steps, seed))
    seconds = {way: [r["seconds"] for r in results] for way, results in runs.items()}
    return {
        "steps": steps,
        "seconds": seconds,
        "listening_share": median(r["listening"] / r["seconds"] for r in runs["flow"]),
        "whole_ratio": median(f / p for f, p in zip(seconds["flow"], seconds["plain"], strict=True)) - 1,
        "least_ratio": min(seconds["flow"]) / min(seconds["plain"]) - 1,
    }


def _train_in_process(setting: Setting, way: str, steps: int, seed: int) -> dict[str, float]:
    overrides = {"training.steps": steps, "seed": seed, "training.preview_every": None}
    call = [sys.executable, "-m", "benchmarks.orchestration", way, json.dumps(overrides), str(setting.folder / way)]
    said = subprocess.run(call, capture_output=True, text=True, check=True, env=environment(setting))
    return json.loads(said.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def environment(setting: Setting) -> dict[str, str]:
    """Return the environment of a user with databases in the folder."""
    mlflow = f"sqlite:///{setting.folder.resolve()}/mlflow.db"
    return {**os.environ, "PREFECT_HOME": str(setting.folder.resolve() / "prefect"), "MLFLOW_TRACKING_URI": mlflow}


def _train(way: str, overrides: dict[str, Any], output: str) -> dict[str, float]:
    from noisette import Experiment, prepare, train

    watch, spent = _RunTimer(), _timed_calls(Events)
    experiment = Experiment.load(_CONFIG, overrides)
    prepare(experiment, Path(output))
    spent[0] = 0.0
    if way == "plain":
        train(experiment, output, events=Events([watch]))
    else:
        _under_a_flow(watch, {"config": str(_CONFIG), "overrides": overrides, "output": output})
    return {"seconds": watch.seconds, "listening": spent[0]}


def _under_a_flow(watch: _RunTimer, parameters: dict[str, Any]) -> None:
    from rich.console import Console

    from noisette_flows.display.progress import show_progress
    from noisette_flows.environment import quiet_prefect
    from noisette_flows.server import start_server

    quiet_prefect()
    with show_progress(Console(stderr=True, force_terminal=True)) as progress:
        with start_server():
            from noisette_flows import pipeline
            from noisette_flows.flow_events import use_listeners
        with use_listeners(watch, progress):
            pipeline.train(**parameters)


def _timed_calls(events: type[Events]) -> list[float]:
    """Time the calls of all listeners; return the list with the sum of seconds."""
    spent, call = [0.0], events._call

    def timed(self: Events, hook: str, **arguments: Any) -> None:
        start = time.perf_counter()
        call(self, hook, **arguments)
        spent[0] += time.perf_counter() - start

    events._call = timed  # type: ignore[method-assign]
    return spent


def table(result: dict[str, Any]) -> list[str]:
    """Return the lines of the report."""
    rows = [[way, ", ".join(f"{s:.2f}" for s in seconds)] for way, seconds in result["seconds"].items()]
    return [
        f"configs/digits.yaml, {result['steps']} steps, from the first step to the last checkpoint.",
        "",
        *markdown(["way", "seconds"], rows),
        "",
        f"Listeners take {result['listening_share']:.2%} of the training thread. A whole training in a "
        f"flow takes {result['whole_ratio']:+.1%} (median of pairs), {result['least_ratio']:+.1%} (smallest "
        "times).",
    ]


if __name__ == "__main__":
    print(json.dumps(_train(sys.argv[1], json.loads(sys.argv[2]), sys.argv[3])))
