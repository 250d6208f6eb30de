"""Sampling in constant memory: peak memory of the process for 1,000 and 10,000 images."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.machine import peak_mib
from benchmarks.setting import Setting
from benchmarks.table import markdown
from noisette import Experiment, find_checkpoint, prepare, sample, train

TITLE = "Memory of sampling"

_CONFIG = {
    "name": "memory",
    "dataset": "digits",
    "preparation": {"size": 16, "fit": "resize"},
    "timesteps": 20,
    "backbone": {"name": "unet", "channels": 8, "multipliers": [1, 2], "blocks": 1, "groups": 4},
    "training": {"steps": 1, "batch_size": 8},
    "threads": 1,
}


def measure(setting: Setting) -> dict[str, Any]:
    """Sample with a tiny network, each count in its own process."""
    experiment = Experiment.parse(_CONFIG)
    prepare(experiment, setting.root)
    checkpoint = train(experiment, setting.root)
    counts = (64, 128) if setting.quick else (1000, 10_000)
    call = [sys.executable, "-m", "benchmarks.memory", str(checkpoint.directory)]
    said = {
        count: subprocess.run([*call, str(count)], capture_output=True, text=True, check=True) for count in counts
    }
    return {str(count): json.loads(done.stdout.splitlines()[-1]) for count, done in said.items()}


def _draw(directory: str, count: int) -> dict[str, float]:
    experiment = Experiment.parse(
        {**_CONFIG, "sampling": {"num_images": count, "samplers": [{"name": "ddim", "steps": 2}]}}
    )
    checkpoint = find_checkpoint(Path(directory))
    samples = sample(experiment, checkpoint, experiment.sampling.samplers[0])
    size = (samples.directory / "images.npy").stat().st_size
    return {"peak_mib": peak_mib(), "images_mib": size / 2**20}


def table(result: dict[str, Any]) -> list[str]:
    """Return the lines of the report."""
    rows = [[count, f"{r['peak_mib']:.0f}", f"{r['images_mib']:.2f}"] for count, r in result.items()]
    return [
        *markdown(["images", "peak MiB of the process", "MiB of images on disk"], rows),
        "",
        "Images are written to a memory-mapped file, whose pages count as memory of the process until the memory "
        "is needed.",
    ]


if __name__ == "__main__":
    print(json.dumps(_draw(sys.argv[1], int(sys.argv[2]))))
