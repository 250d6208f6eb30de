"""What may pass by itself is tried again; what a person must mend is not."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from support.workspace import make_workspace

pytestmark = pytest.mark.slow

SCRIPT = """
import errno, json
from noisette.errors import ConfigError, DataError, DownloadError
from noisette_flows import pipeline, tasks
from noisette_plugins.datasets.digits import Digits
from noisette_plugins.samplers.ddim import DDIM

for task in (tasks.prepare_task, tasks.sample_task):
    task.retry_delay_seconds = [0, 0]
errors = {
    "download": [DownloadError("no host answers")],
    "disk": [OSError(errno.EIO, "Input/output error")] * 2,
    "for good": [OSError(errno.EIO, "Input/output error")] * 9,
    "no folder": [FileNotFoundError(errno.ENOENT, "No such file or directory", "images")],
    "data": [DataError("digits: no usable images")],
    "config": [ConfigError("tiny.yaml", [])],
}
tries = {}

def failing(name, method, raised):
    def called(*arguments, **named):
        if raised:
            tries[name][0] += 1
            raise raised.pop(0)
        return method(*arguments, **named)
    tries[name] = [0, ""]
    return called

def outcome(name, flow, **overrides):
    try:
        flow("tiny.yaml", overrides, **({} if flow is pipeline.prepare_data else {"tracking_uri": "off"}))
        tries[name][1] = "done"
    except Exception as error:
        tries[name][1] = type(error).__name__

read, walk = Digits.examples, DDIM.trajectory
for limit, (name, raised) in enumerate(errors.items(), 50):
    Digits.examples = failing(name, read, raised)
    outcome(name, pipeline.prepare_data, **{"preparation.limit": limit})
Digits.examples = read
pipeline.prepare_data("tiny.yaml")
pipeline.train("tiny.yaml", tracking_uri="off")
for name, raised in {"drawn data": [DataError("mine")], "drawn disk": [OSError(errno.ENOSPC, "full")]}.items():
    DDIM.trajectory = failing(name, walk, raised)
    outcome(name, pipeline.sample)
print(json.dumps(tries))
"""


@pytest.fixture(scope="module")
def tries(prefect: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[object]]:
    """How often each failed, and what came of it."""
    workspace = make_workspace(tmp_path_factory.mktemp("retries"), prefect)
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(
        command, cwd=workspace.folder, env=workspace.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", ["download", "disk", "drawn disk"])
def test_what_may_pass_is_tried_again(tries: dict[str, list[object]], name: str) -> None:
    assert tries[name] == [2 if name == "disk" else 1, "done"]


def test_it_is_tried_three_times_at_most(tries: dict[str, list[object]]) -> None:
    assert tries["for good"] == [3, "DataError"]


@pytest.mark.parametrize("name", ["no folder", "data", "config", "drawn data"])
def test_what_a_person_must_mend_is_not(tries: dict[str, list[object]], name: str) -> None:
    assert tries[name] == [1, "ConfigError" if name == "config" else "DataError"]
