"""Time from the command to the first training step, relative to importing torch.

Images are prepared and the databases of Prefect and MLflow exist, as in the second training of a day. A step is
done when its line is in the journal.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.orchestration import environment
from benchmarks.setting import Setting
from benchmarks.table import markdown

TITLE = "Start"

_CONFIG = Path(__file__).parent.parent / "configs" / "digits.yaml"
_TORCH, _CALL, _COMMAND = "import torch", "a plain call of train", "noisette train"
_PLAIN = "from noisette import Experiment, train; train(Experiment.load({config!r}, {overrides!r}), {output!r})"


def measure(setting: Setting) -> dict[str, Any]:
    """Start all in turn, after one round that is not counted."""
    seconds: dict[str, list[float]] = {_TORCH: [], _CALL: [], _COMMAND: []}
    for seed in range(2 if setting.quick else 5):
        for way, taken in seconds.items():
            value = _start_seconds(setting, way, seed)
            if seed:
                taken.append(value)
    medians = {way: median(taken) for way, taken in seconds.items()}
    return {
        "seconds": seconds,
        "median": medians,
        "ratio": {way: s / medians[_TORCH] for way, s in medians.items()},
    }


def _start_seconds(setting: Setting, way: str, seed: int) -> float:
    """Return the seconds until torch is imported, or the first step is in the journal."""
    output = setting.folder / "start" / way.split()[0]
    overrides = [f"seed={seed}", "training.steps=3", "training.log_every=1", "training.preview_every=null"]
    plain = _PLAIN.format(config=str(_CONFIG), overrides=overrides, output=str(output))
    python = [sys.executable, "-c"]
    noisette = str(Path(sys.executable).with_name("noisette"))
    options = [part for override in overrides for part in ("--set", override)]
    call = {
        _TORCH: [*python, "import torch"],
        _CALL: [*python, plain],
        _COMMAND: [noisette, "train", str(_CONFIG), "--output", str(output), *options],
    }[way]
    if way != _TORCH and not output.exists():
        prepare = [noisette, "prepare", str(_CONFIG), "--output", str(output)]
        subprocess.run(prepare, capture_output=True, check=True, env=environment(setting))
    return _until_it_steps(call, None if way == _TORCH else output, setting)


def _until_it_steps(call: list[str], output: Path | None, setting: Setting) -> float:
    before = _lines(output)
    start, taken = time.perf_counter(), 0.0
    with subprocess.Popen(
        call, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment(setting)
    ) as process:
        while process.poll() is None:
            if output is not None and not taken and _lines(output) > before:
                taken = time.perf_counter() - start
            time.sleep(0.01)
    if process.returncode:
        raise RuntimeError(f"{' '.join(call)}: exit status {process.returncode}")
    return taken or time.perf_counter() - start


def _lines(output: Path | None) -> int:
    return 0 if output is None else sum(path.read_bytes().count(b"\n") for path in output.glob("**/metrics.jsonl"))


def table(result: dict[str, Any]) -> list[str]:
    """Return the lines of the report."""
    rows = [[way, f"{s:.2f}", f"{result['ratio'][way]:.1f}"] for way, s in result["median"].items()]
    return markdown(["start", "seconds (median)", "relative to importing torch"], rows)
