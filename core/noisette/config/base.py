"""What every section of a config is: frozen, without unknown keys, its defaults validated like the rest."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Decay", "Section", "defaults", "named"]

Decay = Annotated[float, Field(gt=0, lt=1)]
"""Decay of a running average."""


class Section(BaseModel):
    """Base of the sections."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)


def named(default: Any) -> Any:
    """Return a default that names plugins; pydantic makes them of it, as of a name in a config."""
    return default


def defaults() -> Any:
    """Return no keys: pydantic validates them into the section's defaults, and collects their problems."""
    return {}
