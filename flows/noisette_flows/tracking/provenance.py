"""Provenance of a run: flow run, command, machine, versions and git commit, as tags of its MLflow run."""

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
    """Return the training and the test images of an experiment; none if they are not prepared."""
    try:
        data = Prepared.finished(data_directory(experiment, run.parent))
    except NoisetteError:  # the source is gone, but prepared images may remain
        return []
    if data is None:
        return []
    test = [_input(experiment, data, "test", "evaluation")] if data.has_test_split else []
    return [_input(experiment, data, "train", "training"), *test]


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
    """Return the tags of this process: command line without passwords, machine and versions.

    Args:
        flow_run: id of the Prefect flow run; "" for none.
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
    """Set the tags of the last command, and log the packages of the environment as `environment.txt`."""
    from mlflow.entities import RunTag

    parent, item = runs.sync_state.runs[PARENT], f"provenance {digest(dict(tags))}"
    if not tags or not runs.is_unsent(PARENT, item):
        return
    packages = sorted({f"{package.metadata['Name']}=={package.version}" for package in distributions()})
    runs.client.log_text(parent, "\n".join(packages) + "\n", "environment.txt")
    runs.client.log_batch(parent, tags=[RunTag(name, value) for name, value in tags.items()])
    runs.mark_sent(PARENT, item)


def _flow_run_url(flow_run: str) -> str:
    """Return the page of a flow run; "" for an embedded server, which ends with the command."""
    api = os.environ.get("PREFECT_API_URL", "")
    base = re.sub(r"://[^/@\s]*@", "://", api.rstrip("/").removesuffix("/api"))
    return f"{base}/runs/flow-run/{flow_run}" if flow_run and api else ""


def _commit() -> str:
    """Return the commit of the working folder, without running hooks as `git status` might."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "--verify", "HEAD"], capture_output=True, text=True, timeout=_PATIENCE, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
