"""Where a run comes from: flow run, command, machine, versions and git commit, as tags of its MLflow run."""

from __future__ import annotations

import json
import os
import platform
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import distributions, version
from pathlib import Path
from typing import TYPE_CHECKING

from noisette import Experiment, NoisetteError, Prepared
from noisette.layout import data_directory
from noisette.storage import digest
from noisette_flows.tracking.runs import PARENT, Runs

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput

__all__ = ["collect_provenance", "dataset_inputs", "send_provenance"]

_DIGEST = 8  # characters; MLflow's page shows them all


def dataset_inputs(experiment: Experiment, run: Path) -> list[DatasetInput]:
    """Return the training and the test images of an experiment; nothing while they are not prepared."""
    try:
        data = Prepared.finished(data_directory(experiment, run.parent))
    except NoisetteError:  # its source is gone; what was prepared of it may still be trained on
        return []
    if data is None:
        return []
    return [_input(experiment, data, "train", "training"), _input(experiment, data, "test", "evaluation")]


def _input(experiment: Experiment, data: Prepared, split: str, context: str) -> DatasetInput:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    count = data.about["counts"][split]["accepted"]
    shape = [count, *data.shape]
    profile = {"num_rows": count, "shape": shape, "classes": len(data.classes)}
    tensor = {"type": "tensor", "tensor-spec": {"dtype": "uint8", "shape": [-1, *data.shape]}}
    dataset = Dataset(
        name=f"{experiment.dataset.name} {split}",
        digest=data.digest[:_DIGEST],
        source_type="local",
        source=json.dumps({"uri": str(data.directory.absolute() / f"{split}.npy")}),
        schema=json.dumps({"mlflow_tensorspec": {"features": json.dumps([tensor]), "targets": None}}),
        profile=json.dumps(profile),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", context)])


_PATIENCE = 10.0
_LONGEST = 2000  # characters of a command


def collect_provenance(flow_run: str = "") -> dict[str, str]:
    """Return the tags of this process: its command line without passwords, its machine, and what it runs.

    Args:
        flow_run: id of the Prefect flow run, empty without one.
    """
    command = re.sub(r"://[^/@\s]*@", "://", shlex.join(sys.argv))
    facts = {
        "noisette.flow_run": flow_run,
        "noisette.flow_run.url": _flow_run_url(flow_run),
        "noisette.command": command[:_LONGEST],
        "noisette.host": socket.gethostname(),
        "noisette.version": version("noisette"),
        "noisette.python": platform.python_version(),
        "noisette.torch": version("torch"),
        "noisette.platform": platform.platform(),
        "mlflow.source.git.commit": _commit(),
    }
    return {name: value for name, value in facts.items() if value}


def send_provenance(runs: Runs, tags: Mapping[str, str]) -> None:
    """Set the tags of the newest command, and log the packages of this environment as `environment.txt`."""
    from mlflow.entities import RunTag

    parent, what = runs.sync_state.runs[PARENT], f"provenance {digest(dict(tags))}"
    if not tags or not runs.is_unsent(PARENT, what):
        return
    packages = sorted({f"{one.metadata['Name']}=={one.version}" for one in distributions()})
    runs.client.log_text(parent, "\n".join(packages) + "\n", "environment.txt")
    runs.client.log_batch(parent, tags=[RunTag(name, value) for name, value in tags.items()])
    runs.mark_sent(PARENT, what)


def _flow_run_url(flow_run: str) -> str:
    """Return the page of a flow run; empty where its server lives no longer than the command."""
    api = os.environ.get("PREFECT_API_URL", "")
    base = re.sub(r"://[^/@\s]*@", "://", api.rstrip("/").removesuffix("/api"))
    return f"{base}/runs/flow-run/{flow_run}" if flow_run and api else ""


def _commit() -> str:
    """Return the commit of the working folder; nothing of its repository is run, as `git status` might."""
    try:
        asked = subprocess.run(
            ["git", "rev-parse", "--verify", "HEAD"], capture_output=True, text=True, timeout=_PATIENCE, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return asked.stdout.strip()
