"""Shared by all measurements: threads, the folder of results, and the work."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from noisette import Experiment, prepare

__all__ = ["Setting", "Work"]


@dataclass(frozen=True)
class Work:
    """The work that every arm does.

    Attributes:
        size: height and width of the images.
        channels: of the images.
        batch: images a step.
        width: channels of the network at full resolution; its levels have 1, 2 and 3 times as many.
        groups: of the normalisation.
    """

    size: int = 32
    channels: int = 1
    batch: int = 64
    width: int = 32
    groups: int = 8

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        return self.channels, self.size, self.size

    def unet(self) -> dict[str, Any]:
        """Return the U-Net of all arms: two blocks a level, attention at the lowest."""
        levels = {"multipliers": [1, 2, 3], "blocks": 2, "attention": [2]}
        return {"name": "unet", "channels": self.width, "groups": self.groups, **levels}


@dataclass(frozen=True)
class Setting:
    """How to measure.

    Attributes:
        folder: for whatever the measurements write.
        threads: of torch.
        quick: tiny work and few rounds, to see that all runs; the figures mean nothing.
    """

    folder: Path
    threads: int = 2
    quick: bool = False

    def rounds(self, usual: int) -> int:
        """Return how often to measure."""
        return 3 if self.quick else usual

    def work(self) -> Work:
        """Return the work of most measurements."""
        return Work(size=16, batch=4, width=8, groups=4) if self.quick else Work()

    def experiment(self, work: Work, backbone: dict[str, Any] | str, **training: Any) -> Experiment:
        """Return an experiment on MNIST's images, brought to the work's size, and prepare them."""
        config = {
            "name": "bench",
            "dataset": "mnist-5k",
            "preparation": {"size": work.size, "fit": "resize", "channels": work.channels, "limit": 1024},
            "backbone": backbone,
            "training": {"batch_size": work.batch, "lr": 2e-4, "max_grad_norm": 1.0, **training},
        }
        experiment = Experiment.parse(config)
        prepare(experiment, self.root)
        return experiment

    @property
    def root(self) -> Path:
        """Where noisette keeps its results."""
        return self.folder / "runs"
