"""What sweeps of a run directory ask for: `sweeps/<key>.json`, there before the first picture is drawn.

A reader of the directory knows by it whose the samples and evaluations are.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from noisette.evaluation.report import Report

__all__ = ["Asked", "asked_in"]


@dataclass(frozen=True)
class Asked:
    """The walks of one sweep.

    Attributes:
        checkpoint: digest of the model.
        labels: of the walks, in the order of the table.
        samples: names of the directories of their pictures.
    """

    checkpoint: str
    labels: list[str]
    samples: list[str]

    def write(self, directory: Path) -> None:
        """Write it beside the directory of the sweep, whole or not at all."""
        directory.parent.mkdir(parents=True, exist_ok=True)
        staging = directory.with_name(f".{directory.name}-{os.getpid()}")
        staging.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")
        staging.replace(directory.with_name(f"{directory.name}.json"))

    def judged_in(self, report: Report) -> bool:
        """Return whether a report is the sweep's."""
        same = set(report.details["samplers"]) == set(self.labels)
        return same and report.protocol["checkpoint"] == self.checkpoint


def asked_in(run: Path) -> Iterator[Asked]:
    """Yield what the sweeps of a run directory ask for; a file that cannot be read asks for nothing."""
    for path in sorted((run / "sweeps").glob("*.json")):
        try:
            yield Asked(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            continue
