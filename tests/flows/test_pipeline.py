"""The single flows, as a program or a worker calls them: one after another, with plain parameters."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from support.workspace import FinishedRun, Workspace, make_workspace, with_databases

from noisette_flows.params import flow_run_name

pytestmark = pytest.mark.slow

SCRIPT = """
import json, sys
from noisette_flows import pipeline

said = {}
plain = {"config": "tiny.yaml", "overrides": {"training.steps": 8, "sampling.num_images": 4}}
try:
    pipeline.train(**plain, tracking_uri="off")
except Exception as error:
    said["too early"] = f"{type(error).__name__}: {error}"
said["prepare-data"] = pipeline.prepare_data(**plain)
for flow in (pipeline.train, pipeline.sample, pipeline.evaluate, pipeline.evaluate):
    said[flow.name] = flow(**plain, tracking_uri="off")
compared = [{"name": "ddim"}, "heun"]
said["compare-samplers"] = pipeline.compare_samplers(said["train"], compared, [2, 5], 4, tracking_uri="off")
try:
    pipeline.train("tiny.yaml", {"training.stepz": 8})
except Exception as error:
    said["wrong"] = f"{type(error).__name__}: {error}"
print(json.dumps(said))
"""


@dataclass(frozen=True)
class Called:
    workspace: Workspace
    said: dict[str, Any]
    log: str

    def names(self) -> list[tuple[str, str]]:
        with closing(sqlite3.connect(self.workspace.folder / "prefect" / "prefect.db")) as database:
            return database.execute("select name, state_type from flow_run order by created").fetchall()


@pytest.fixture(scope="module")
def called(tmp_path_factory: pytest.TempPathFactory) -> Called:
    workspace = with_databases(make_workspace(tmp_path_factory.mktemp("flows")), mlflow=False)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=workspace.folder,
        env=workspace.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Called(workspace, json.loads(done.stdout), done.stderr)


def test_every_flow_returns_where_its_results_lie(called: Called) -> None:
    folder, said = called.workspace.folder, called.said
    assert (folder / said["prepare-data"] / "train.npy").is_file()
    assert Path(said["train"]).name == "step-00000008"
    assert [(folder / path / "grid.png").is_file() for path in said["sample"]] == [True, True]
    assert (folder / said["evaluate"] / "report.json").is_file()
    assert (folder / said["compare-samplers"] / "frechet_efficientnet-lite0.png").is_file()


def test_a_stage_without_the_one_before_says_what_is_missing(called: Called) -> None:
    assert called.said["too early"].startswith("DataError: ")
    assert "run the prepare stage first" in called.said["too early"]


def test_a_wrong_config_is_the_flows_own_failure(called: Called) -> None:
    assert called.said["wrong"].startswith("ConfigError: tiny.yaml: 1 problem")


def test_names_tell_what_ran_and_states_how_it_went(called: Called) -> None:
    assert called.names() == [
        ("tiny: 8 steps eps linear num_images=4", "FAILED"),
        *[("tiny: 8 steps eps linear num_images=4", "COMPLETED")] * 5,
        (f"{called.workspace.runs[0].name}: compare ddim,heun steps=2,5 num_images=4", "COMPLETED"),
        ("tiny: config with problems", "FAILED"),
    ]


def test_without_the_command_progress_goes_to_prefects_log(called: Called) -> None:
    assert "train tiny: started" in called.log
    assert "sample ddim-5: done, 4/4 images" in called.log
    assert "Task run 'train 8 steps'" in called.log


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ({}, "tiny: 12 steps eps linear"),
        ({"steps": 40}, "tiny: 40 steps eps linear"),
        ({"seed": 3}, "tiny: seed=3 12 steps eps linear"),
        ({"overrides": {"training.lr": 0.002, "schedule": "cosine"}}, "tiny: lr=0.002 12 steps eps cosine"),
        ({"overrides": {"sampling.num_images": 4}}, "tiny: 12 steps eps linear num_images=4"),
        ({"samplers": ["ddim:steps=4", "heun:steps=4"]}, "tiny: 12 steps eps linear samplers=ddim,heun"),
        ({"overrides": {"training.stepz": 4}}, "tiny: config with problems"),
    ],
)
def test_flow_runs_of_one_config_are_told_apart_by_what_was_changed(
    workspace: Workspace, parameters: dict[str, Any], name: str
) -> None:
    config = str(workspace.folder / "tiny.yaml")
    assert flow_run_name("train-and-eval", {"config": config, **parameters}) == name


def test_the_graph_shows_what_each_stage_is_made_of(finished: FinishedRun) -> None:
    with closing(sqlite3.connect(finished.workspace.folder / "prefect" / "prefect.db")) as database:
        rows = database.execute("select id, name, task_inputs from task_run").fetchall()
    names = {str(UUID(identity)): name for identity, name, _ in rows}
    behind = {
        name: {names[one["id"]] for given in json.loads(inputs).values() for one in given if "id" in one}
        for _, name, inputs in rows
    }
    assert behind["train 12 steps"] == {"prepare digits"}
    assert behind["sample ddim-5"] == behind["sample ddpm-4"] == {"train 12 steps"}
    assert behind["evaluate tiny"] == {"sample ddim-5", "sample ddpm-4"}


def test_tracking_can_be_off(called: Called, finished: FinishedRun) -> None:
    assert not (called.workspace.folder / "mlflow.db").exists()
    assert (finished.workspace.folder / "mlflow.db").exists()
