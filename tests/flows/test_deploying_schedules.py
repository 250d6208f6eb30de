"""A schedule creates flow runs by itself, and what serves runs them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.prefect_server import Site, start_servers, wait_until
from support.workspace import Workspace

from noisette_flows.deploying.serve import ScheduleError, cron_schedule

PROMPT = {"PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "1"}  # sixty by default


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with start_servers(tmp_path, "--cron", "* * * * *", "--config", "tiny", **PROMPT) as there:
        yield there


@pytest.mark.slow
def test_a_scheduled_flow_run_is_created_and_run(site: Site) -> None:
    deployment = site.ask("/api/deployments/name/train-and-eval/local")
    asked = {"deployments": {"id": {"any_": [deployment["id"]]}}, "sort": "EXPECTED_START_TIME_ASC"}
    first = wait_until(lambda: site.ask("/api/flow_runs/filter", asked), "the scheduler creates flow runs")[0]
    assert first["auto_scheduled"]
    assert first["parameters"] == {"config": "tiny"}
    site.wait_for_state(first["id"], "COMPLETED")
    (place,) = site.runs.glob("tiny-*")
    assert list(place.glob("evaluations/*/report.json"))


FIVE = 'expected five fields, minute hour day month weekday, such as "0 2 * * *"; got '


@pytest.mark.parametrize("cron", ["every night", "61 * * * *", "0 2 * *", ""])
def test_a_schedule_that_is_none_is_refused(cron: str) -> None:
    with pytest.raises(ScheduleError, match=re.escape(f"{FIVE}{cron!r}")):
        cron_schedule(cron)


def test_the_command_refuses_it_in_one_line(workspace: Workspace) -> None:
    done = workspace.noisette("serve", "--cron", "every night", "--config", "tiny.yaml")
    assert done.returncode == 2
    assert done.stderr.strip() == f"--cron: {FIVE}'every night'"


def test_a_schedule_of_no_config_is_refused_before_it_is_served(workspace: Workspace) -> None:
    done = workspace.noisette("serve", "--cron", "0 2 * * *", "--config", "tinny.yaml")
    assert done.returncode == 2
    assert "tinny.yaml" in done.stderr
    assert "Traceback" not in done.stderr
