"""Pictures of the process in MLflow: on the page of the experiment, and as the files that they are."""

from __future__ import annotations

from pathlib import Path

from noisette.process.shown import Shown
from noisette_flows.tracking import names
from noisette_flows.tracking.pictures import open_picture
from noisette_flows.tracking.runs import PARENT, Runs

__all__ = ["send_pictures"]


def send_pictures(runs: Runs, directory: Path) -> None:
    """Send finished pictures of the process, if they were not sent yet."""
    shown, what = Shown.finished(directory), f"pictures {directory.name}"
    if shown is None or not runs.once(PARENT, what):
        return
    parent = runs.memory.runs[PARENT]
    stills = [path for path in shown.files if path.suffix == ".png"]
    for path in stills:
        key = names.metric_key(f"pictures/{path.stem}")
        if runs.once(PARENT, f"{what} {path.name}"):
            runs.client.log_image(parent, open_picture(path), key=key, step=0)
            runs.sent(PARENT, f"{what} {path.name}")
    for name in shown.manifest.files:
        runs.client.log_artifact(parent, str(directory / name), f"pictures/{directory.name}")
    runs.sent(PARENT, what)
