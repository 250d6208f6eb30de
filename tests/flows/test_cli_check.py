from __future__ import annotations

import json

import pytest
import yaml
from support.workspace import FinishedRun, Workspace

from noisette import Experiment
from noisette.find import find_checkpoint
from noisette.model.model import Model


@pytest.mark.slow
def test_check_prints_a_config_that_means_the_same_and_does_nothing(workspace: Workspace) -> None:
    done = workspace.noisette("check", "tiny.yaml", "--set", "training.steps=7")
    assert (done.returncode, done.stderr) == (0, "")
    assert not (workspace.folder / "runs").exists()
    resolved = Experiment.parse(yaml.safe_load(done.stdout))
    assert resolved == Experiment.load(workspace.folder / "tiny.yaml", ["training.steps=7"])
    comments = [line for line in done.stdout.splitlines() if line.startswith("# ")]
    assert comments[0] == "# network: its size is known after noisette prepare"
    assert comments[1].startswith("# results: runs/tiny-")
    assert [line.split("  ")[0] for line in comments[2:]] == [
        "# prepare: to do", "# train: to do", "# sample ddim-5: to do", "# sample ddpm-4: to do",
        "# evaluate: to do",
    ]  # fmt: skip


@pytest.mark.slow
def test_check_counts_the_parameters_once_the_shape_is_known(workspace: Workspace) -> None:
    shape = ("--set", "preparation.size=8", "--set", "preparation.channels=1")
    found = json.loads(workspace.noisette("check", "tiny.yaml", *shape, "--json").stdout)
    assert found["state_bytes"] == 5 * 4 * found["parameters"]  # weights, gradients, two moments, one average
    without = json.loads(
        workspace.noisette("check", "tiny.yaml", *shape, "--set", "training.ema_decay=null", "--json").stdout
    )
    assert without["state_bytes"] == 4 * 4 * without["parameters"]


def test_check_says_what_is_finished(finished: FinishedRun) -> None:
    found = json.loads(finished.workspace.noisette("check", "tiny.yaml", "--json").stdout)
    assert {stage["status"] for stage in found["stages"]} == {"skipped"}
    assert found["directory"] == str(finished.run.relative_to(finished.workspace.folder))
    network = Model.load(find_checkpoint(finished.run)).network
    assert found["parameters"] == sum(weight.numel() for weight in network.parameters())


def test_check_refuses_what_run_refuses(workspace: Workspace) -> None:
    done = workspace.noisette("check", "tiny.yaml", "--set", "training.steps=-1")
    assert (done.returncode, done.stdout) == (2, "")
    assert "training.steps" in done.stderr
