"""Configs without a dataset: figures that need no training, such as the forward process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from noisette.config.consistency import check_figures
from noisette.config.document import Document, mark_overridden, read_document
from noisette.config.experiment import Experiment
from noisette.config.figures import Figure, FigureRef
from noisette.config.problems import nest_problems

__all__ = ["FiguresConfig", "load", "parse"]


class FiguresConfig(Document):
    """Figures without an experiment: a config without a dataset."""

    figures: tuple[FigureRef, ...] = Field(description="figures to make")

    @field_validator("figures")
    @classmethod
    def _check_figures(cls, figures: tuple[Figure, ...]) -> tuple[Figure, ...]:
        if not figures:
            raise ValueError("expected at least one; got none")
        problems = check_figures(figures, None)
        if problems:
            raise nest_problems(problems)
        return figures


def load(path: Path | str, overrides: Sequence[str] | Mapping[str, Any] = ()) -> Experiment | FiguresConfig:
    """Read a config: a `FiguresConfig` if it has figures and no dataset, else an `Experiment`.

    Raises:
        ConfigError: as `Experiment.load`.
    """
    with mark_overridden(overrides):
        return parse(read_document(path, overrides), str(path))


def parse(config: Mapping[str, Any], source: str = "config") -> Experiment | FiguresConfig:
    """Make a config from a dictionary, as `load` does."""
    kind: type[Experiment | FiguresConfig] = (
        FiguresConfig if "figures" in config and "dataset" not in config else Experiment
    )
    return kind.parse(config, source)
