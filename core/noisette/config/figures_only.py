"""Configs without data: pictures that need no training, such as the forward process or a pretrained pipeline's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from noisette.config.agreement import problems_of_pictures
from noisette.config.document import Document, read_document, telling_overrides
from noisette.config.experiment import Experiment
from noisette.config.figures import Scene, SceneRef
from noisette.config.problems import nested

__all__ = ["Show", "load", "parse"]


class Show(Document):
    """Pictures alone: a config that names no data set."""

    pictures: tuple[SceneRef, ...] = Field(description="pictures to make")

    @field_validator("pictures")
    @classmethod
    def _possible(cls, pictures: tuple[Scene, ...]) -> tuple[Scene, ...]:
        if not pictures:
            raise ValueError("expected at least one; got none")
        problems = problems_of_pictures(pictures, None)
        if problems:
            raise nested(problems)
        return pictures


def load(path: Path | str, overrides: Sequence[str] | Mapping[str, Any] = ()) -> Experiment | Show:
    """Read a config: an experiment, or a show if it names pictures and no data set.

    Raises:
        ConfigError: as `Experiment.load`.
    """
    with telling_overrides(overrides):
        return parse(read_document(path, overrides), str(path))


def parse(config: Mapping[str, Any], source: str = "config") -> Experiment | Show:
    """Make a config from a dictionary, as `load` does."""
    kind: type[Experiment | Show] = Show if "pictures" in config and "dataset" not in config else Experiment
    return kind.parse(config, source)
