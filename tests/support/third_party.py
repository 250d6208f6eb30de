"""Packages of strangers: one of every kind as `noisette plugins new` writes it, and a run made of them alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from support.environment import Done, Environment

__all__ = ["CONFIG", "PLUGINS", "ThirdPartyPackages", "ThirdPartyRun"]

PLUGINS = {
    "schedule": "soft",
    "objective": "way",
    "backbone": "plain-net",
    "sampler": "walker",
    "features": "projections",
    "metric": "brightness",
    "dataset": "discs",
}
"""A name for each kind, as a stranger would choose."""

CONFIG = {
    "dataset": {"name": "discs", "size": 8, "train": 48, "test": 24},
    "schedule": "soft",
    "timesteps": 50,
    "objective": "way",
    "backbone": {"name": "plain-net", "width": 8, "layers": 2},
    "training": {
        "steps": 10,
        "batch_size": 8,
        "log_every": 5,
        "checkpoint_every": 5,
        "preview_every": 10,
        "ema_decay": 0.9,
        "precision": "fp32",
    },
    "sampling": {"num_images": 16, "samplers": [{"name": "ddim", "steps": 5}, {"name": "walker", "steps": 5}]},
    "evaluation": {"features": "projections", "metrics": ["frechet", "brightness"]},
}


@dataclass(frozen=True)
class ThirdPartyPackages:
    """The environment, the folder with the sources of the packages, and their wheels by kind."""

    environment: Environment
    folder: Path
    wheels: dict[str, Path]
    written: dict[str, Done]

    def package(self, kind: str) -> Path:
        return self.folder / f"noisette-{PLUGINS[kind]}"


@dataclass(frozen=True)
class ThirdPartyRun:
    """A folder in which `noisette run all.yaml` went through, every part of it a stranger's."""

    third_party: ThirdPartyPackages
    folder: Path
    done: Done

    @property
    def directory(self) -> Path:
        (found,) = (self.folder / "runs").glob("all-*")
        return found
