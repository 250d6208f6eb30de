"""A worker of a pool is ended while its flow run trains: nothing is lost, and a retry goes on."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.prefect_server import CANCEL, RETRY, SUSPEND, Site, start_worker_pool, wait_until
from support.tiny import TINY

from noisette.checkpoint import find_latest_checkpoint

pytestmark = pytest.mark.slow

LONG = 100_000
EVERY = TINY["training"]["log_every"]
RUNNING = {"state": {"type": "RUNNING", "name": "Running"}, "force": True}
UNSHELTERED = {"command": "python -m prefect.engine"}  # Prefect's own


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with start_worker_pool(tmp_path_factory.mktemp("start_worker_pool")) as there:
        there.workspace.settings["NOISETTE_GPUS"] = "2"  # two trainings at once
        yield there


def steps(run: Path) -> list[int]:
    return [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_a_worker_that_is_ended_lets_its_training_save_and_a_retry_goes_on(site: Site) -> None:
    site.work()
    run = site.start(config="tiny", steps=LONG)
    place = site.wait_for_training(run)
    lost = site.start(UNSHELTERED, config="tiny", steps=LONG + 1)
    other = site.wait_for_training(lost)
    site.end(signal.SIGTERM)
    site.wait_for_state(run, "CRASHED")
    wait_until(lambda: not site.processes(), "no process is left")
    stopped = find_latest_checkpoint(place)
    assert stopped is not None
    assert 0 < stopped.step < LONG
    assert {status for _, status in site.tracked()} == {"KILLED"}
    assert find_latest_checkpoint(other) is None  # the control: killed as it was
    assert site.state(lost) == "RUNNING"

    site.work()
    site.set_state(run, RETRY)
    assert site.wait_for_training(run, len(steps(place))) == place
    assert site.state(run) == "RUNNING"
    assert site.state(lost) == "CRASHED"  # marked by what started beside it
    assert stopped.step < min(step for step in steps(place) if step > stopped.step) <= stopped.step + EVERY
    assert steps(place) == sorted(set(steps(place)))
    site.set_state(run, CANCEL)
    site.wait_for_state(run, "CANCELLED")
    wait_until(lambda: not site.processes(), "no process is left")
    site.end(signal.SIGTERM)


def test_a_worker_that_is_killed_lets_its_training_save_too(site: Site) -> None:
    site.work()
    run = site.start(config="tiny", steps=LONG + 2)
    place = site.wait_for_training(run)
    site.end(signal.SIGKILL)
    wait_until(lambda: not site.processes(), "no process is left")
    site.wait_for_state(run, "CRASHED")
    stopped = find_latest_checkpoint(place)
    assert stopped is not None
    assert 0 < stopped.step < LONG
    assert {status for _, status in site.tracked()} == {"KILLED"}
    assert steps(place) == sorted(set(steps(place)))


def test_only_silent_flow_runs_of_noisette_are_marked_and_none_that_is_suspended(site: Site) -> None:
    done = site.workspace.noisette("deploy", "setup")
    assert done.returncode == 0, done.stderr
    foreign, suspended, silent = site.create_foreign_run(), site.start(config="tiny"), site.start(config="tiny")
    for run, tags in ((foreign, []), (suspended, ["noisette"]), (silent, ["noisette"])):
        site.set_state(run, RUNNING)  # no process stands behind them
        site.send_heartbeat(run, *tags)
    site.set_state(suspended, SUSPEND)
    site.wait_for_state(silent, "CRASHED")  # the control
    assert site.state(foreign) == "RUNNING"
    assert site.state(suspended) == "PAUSED"
