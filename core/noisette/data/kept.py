"""How far pictures have come on their way to disk, so that a preparation goes on where it was stopped or killed.

`.intake.json` beside the arrays is replaced now and then, after all that it tells of was flushed to disk: what lies
behind that in the arrays is cut off and read again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, NonNegativeInt, ValidationError

from noisette.storage import sync

__all__ = ["Kept", "KeptPart"]

_FILE = ".intake.json"


class KeptPart(BaseModel):
    """What became of the examples of a part, and their file formats; `whole` when it was read to its end."""

    found: NonNegativeInt = 0
    accepted: NonNegativeInt = 0
    rejected: NonNegativeInt = 0
    reasons: list[str] = []
    of_class: list[NonNegativeInt] = []
    formats: dict[str, NonNegativeInt] = {}
    whole: bool = False

    def counts(self) -> dict[str, int]:
        """Return how many examples were found, accepted and rejected."""
        return {"found": self.found, "accepted": self.accepted, "rejected": self.rejected}


class Kept(BaseModel):
    """How far an intake has come.

    Attributes:
        identity: what decides the bits, beyond what the directory's name tells: versions of libraries.
        shape: of every picture; first: where the first came from.
        rejections: bytes of the file of rejections.
        parts: by name.
    """

    identity: dict[str, Any] = {}
    shape: tuple[int, int, int] = (0, 0, 0)
    first: str = ""
    rejections: NonNegativeInt = 0
    parts: dict[str, KeptPart] = {}

    @classmethod
    def load(cls, directory: Path, identity: Mapping[str, Any]) -> Kept:
        """Return what was kept in a directory; nothing if there is none, or of another identity."""
        try:
            kept = cls.model_validate(json.loads((directory / _FILE).read_text(encoding="utf-8")))
        except (OSError, ValueError, ValidationError):
            return cls(identity=dict(identity))
        return kept if kept.identity == identity else cls(identity=dict(identity))

    def save(self, directory: Path) -> None:
        """Write it, whole or not at all; what it tells of must be on disk."""
        staging = directory / f"{_FILE}.new"
        staging.write_text(json.dumps(self.model_dump()), encoding="utf-8")  # names may be any bytes
        sync(staging)
        staging.replace(directory / _FILE)
