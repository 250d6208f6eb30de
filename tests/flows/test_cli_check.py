from __future__ import annotations

import json

import pytest
import yaml
from support.workshop import Finished, Workshop

from noisette import Experiment
from noisette.find import find_checkpoint
from noisette.model.model import Model


@pytest.mark.slow
def test_check_prints_a_config_that_means_the_same_and_does_nothing(workshop: Workshop) -> None:
    done = workshop.noisette("check", "tiny.yaml", "--set", "training.steps=7")
    assert (done.returncode, done.stderr) == (0, "")
    assert not (workshop.folder / "runs").exists()
    resolved = Experiment.parse(yaml.safe_load(done.stdout))
    assert resolved == Experiment.load(workshop.folder / "tiny.yaml", ["training.steps=7"])
    comments = [line for line in done.stdout.splitlines() if line.startswith("# ")]
    assert comments[0] == "# network: its size is known when the images are prepared (noisette prepare)"
    assert comments[1].startswith("# results: runs/tiny-")
    assert [line.split("  ")[0] for line in comments[2:]] == [
        "# prepare: to do", "# train: to do", "# sample ddim-5: to do", "# sample ddpm-4: to do",
        "# evaluate: to do",
    ]  # fmt: skip


@pytest.mark.slow
def test_check_counts_the_parameters_once_the_shape_is_known(workshop: Workshop) -> None:
    shape = ("--set", "preparation.size=8", "--set", "preparation.channels=1")
    found = json.loads(workshop.noisette("check", "tiny.yaml", *shape, "--json").stdout)
    assert found["state_bytes"] == 5 * 4 * found["parameters"]  # weights, gradients, two moments, one average
    without = json.loads(
        workshop.noisette("check", "tiny.yaml", *shape, "--set", "training.ema_decay=null", "--json").stdout
    )
    assert without["state_bytes"] == 4 * 4 * without["parameters"]


def test_check_says_what_is_finished(finished: Finished) -> None:
    found = json.loads(finished.workshop.noisette("check", "tiny.yaml", "--json").stdout)
    assert {stage["status"] for stage in found["stages"]} == {"skipped"}
    assert found["directory"] == str(finished.run.relative_to(finished.workshop.folder))
    network = Model.load(find_checkpoint(finished.run)).network
    assert found["parameters"] == sum(weight.numel() for weight in network.parameters())


def test_check_refuses_what_run_refuses(workshop: Workshop) -> None:
    done = workshop.noisette("check", "tiny.yaml", "--set", "training.steps=-1")
    assert (done.returncode, done.stdout) == (2, "")
    assert "training.steps" in done.stderr
