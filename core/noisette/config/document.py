"""Base of configs: a YAML file with a name and a seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, ValidationError

from noisette.config.overrides import apply_overrides
from noisette.config.problems import to_problems
from noisette.config.yaml import read_yaml
from noisette.errors import ConfigError

__all__ = ["Decay", "Document", "Section", "mark_overridden", "plugin_default", "read_document", "section_defaults"]

Decay = Annotated[float, Field(gt=0, lt=1)]
"""Decay of an exponential moving average."""


class Section(BaseModel):
    """Base of the sections."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)


def plugin_default(default: Any) -> Any:
    """Return the default; pydantic makes plugins of its names. For type checkers, which expect the plugins."""
    return default


def section_defaults() -> Any:
    """Return an empty mapping, which pydantic validates as a section of a config."""
    return {}


class Document(Section):
    """Base of configs."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description="name of its folder and runs")
    seed: NonNegativeInt = Field(0, description="seed of all random numbers")
    threads: int | None = Field(
        None,
        ge=1,
        le=1024,
        description="CPU threads; 1 is best for tiny networks on a busy machine; null uses one per core",
    )

    @classmethod
    def load(cls, path: Path | str, overrides: Sequence[str] | Mapping[str, Any] = ()) -> Self:
        """Read a config from a YAML file.

        Args:
            path: the file.
            overrides: changes such as ``"training.steps=500"``, or a mapping of paths to values.

        Raises:
            ConfigError: with all problems: unknown keys, invalid values, missing plugins.
        """
        with mark_overridden(overrides):
            return cls.parse(read_document(path, overrides), str(path))

    @classmethod
    def parse(cls, config: Mapping[str, Any], source: str = "config") -> Self:
        """Make a config from a dictionary; `source` is its name in messages.

        Raises:
            ConfigError: as `load`.
        """
        try:
            return cls.model_validate(dict(config))
        except ValidationError as error:
            raise ConfigError(source, to_problems(error, cls)) from None

    def options(self) -> dict[str, Any]:
        """Return the config with all defaults as JSON values, which `parse` accepts."""
        return self.model_dump(mode="json")


def read_document(path: Path | str, overrides: Sequence[str] | Mapping[str, Any] = ()) -> dict[str, Any]:
    """Read a YAML file and apply overrides; the default name is the file's.

    Raises:
        ConfigError: if it cannot be read, or an override cannot be applied.
    """
    config = {"name": Path(path).stem, **read_yaml(Path(path))}
    return apply_overrides(config, overrides)


@contextmanager
def mark_overridden(overrides: Sequence[str] | Mapping[str, Any]) -> Iterator[None]:
    """Mark the problems of a `ConfigError` of the block that are about overridden keys.

    Raises:
        ConfigError: the same error, with marked problems.
    """
    try:
        yield
    except ConfigError as error:
        texts = (
            overrides if isinstance(overrides, Mapping) else [text.partition("=")[0].strip() for text in overrides]
        )
        starts = tuple(f"{path}." for path in texts)
        problems = [replace(item, overridden=f"{item.path}.".startswith(starts)) for item in error.problems]
        raise ConfigError(error.source, problems) from None
