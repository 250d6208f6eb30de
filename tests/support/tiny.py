"""A tiny experiment and its prepared images, so that the engines can be tested without a data set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from noisette import Experiment
from noisette.config import apply_overrides
from noisette.layout import data_directory
from noisette.storage import committed

TINY: dict[str, Any] = {
    "name": "tiny",
    "dataset": "digits",
    "timesteps": 20,
    "backbone": {"name": "unet", "channels": 8, "multipliers": [1, 2], "blocks": 1, "attention": [1], "groups": 4},
    "training": {"steps": 12, "batch_size": 8, "lr": 1e-3, "log_every": 4, "ema_decay": 0.9, "precision": "fp32"},
    "sampling": {"num_images": 6, "samplers": [{"name": "ddim", "steps": 5}, {"name": "ddpm", "steps": 4}]},
}


def tiny(*overrides: str) -> Experiment:
    return Experiment.parse(apply_overrides(TINY, overrides))


def write_prepared(root: Path, experiment: Experiment, images: int = 40) -> None:
    """Write striped images, whose class is the stripe's place, where the experiment looks for them."""
    generator = np.random.default_rng(0)
    about: dict[str, Any] = {
        "preparation": experiment.preparation.model_dump(mode="json"),
        "shape": [1, 8, 8],
        "classes": list("01234567"),
        "counts": {"train": {"accepted": images}, "test": {"accepted": 8}},
    }
    with committed(data_directory(experiment, root), "prepared", about) as staging:
        for split, count in (("train", images), ("test", 8)):
            labels = np.arange(count, dtype=np.int64) % 8
            images = generator.integers(0, 60, (count, 1, 8, 8)).astype(np.uint8)
            images[np.arange(count), 0, labels] += 180
            np.save(staging / f"{split}.npy", images)
            np.save(staging / f"{split}_labels.npy", labels)
