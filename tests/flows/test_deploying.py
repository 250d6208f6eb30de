"""Flows that are started through a real Prefect server: shown, cancelled, killed, and gone on with."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.browser import missing_browser, open_browser, shown, sign_in, wait_for
from support.prefect_server import CANCEL, RETRY, SUSPEND, Site, is_alive, start_servers, wait_until
from support.tiny import TINY

from noisette.checkpoint import find_latest_checkpoint

pytestmark = pytest.mark.slow

LONG = 100_000
EVERY = TINY["training"]["log_every"]
WORKER = b"noisette.training.worker"  # also among the arguments of torchrun


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with start_servers(tmp_path_factory.mktemp("deployed")) as there:
        yield there


@pytest.fixture(scope="module")
def finished(site: Site) -> str:
    """A flow run that is finished, started by the short command."""
    return watched(site)[0]


@pytest.fixture(scope="module")
def shown_again(site: Site, finished: str) -> tuple[str, str]:
    """A flow run of what is finished, when MLflow has surely heard of it; and what the command said."""
    return watched(site)


def watched(site: Site) -> tuple[str, str]:
    done = site.workspace.noisette(
        "deploy", "run", "train-and-eval", "-p", "config=tiny", "--set", "training.preview_every=6", "--watch"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "finished successfully" in done.stdout
    (run,) = site.ask("/api/flow_runs/filter", {"sort": "START_TIME_DESC", "limit": 1})
    return str(run["id"]), done.stdout


def step(run: Path) -> int:
    checkpoint = find_latest_checkpoint(run)
    return 0 if checkpoint is None else checkpoint.step


def test_parameters_are_a_typed_form_with_descriptions(site: Site) -> None:
    for flow, needed in {
        "train-and-eval": "config",
        "compare-samplers": "checkpoint",
        "evaluate": "config",
    }.items():
        schema = site.ask(f"/api/deployments/name/{flow}/local")["parameter_openapi_schema"]
        assert schema["required"] == [needed]
        assert all(field["description"] for field in schema["properties"].values()), flow
        assert all(field.get("type") or field["anyOf"] for field in schema["properties"].values()), flow
        if needed == "config":
            assert schema["properties"]["config"]["anyOf"][1]["enum"] == ["tiny"]


def test_what_deployments_count_on_is_installed_once(site: Site) -> None:
    again = site.workspace.noisette("deploy", "setup")
    assert again.returncode == 0, again.stderr
    names = [automation["name"] for automation in site.ask("/api/automations/filter", {})]
    assert names.count("noisette: silent flow runs have crashed") == 1


def test_a_finished_flow_run_shows_progress_grids_and_the_comparison(site: Site, finished: str) -> None:
    assert site.ask(f"/api/flow_runs/{finished}")["name"] == "tiny: 12 steps eps linear"
    shown = site.artifacts(finished)
    assert shown["train-tiny"]["type"] == "progress"
    assert shown["train-tiny"]["data"] == 100
    assert "12/12 steps" in shown["train-tiny"]["description"]
    page = shown["train-tiny-page"]["data"]
    assert "| 12 |" in page
    assert "data:image/png;base64," in page
    comparison = shown["tiny-comparison"]["data"]
    assert comparison.count("data:image/png;base64,") == 2
    assert "| ddim-5 |" in comparison
    rows = json.loads(shown["tiny-comparison-table"]["data"])
    assert [row["sampler"] for row in rows][1:3] == ["ddim-5", "ddpm-4"]


def test_a_flow_run_leads_to_mlflow(site: Site, shown_again: tuple[str, str]) -> None:
    experiments = site.workspace.noisette("run", "configs/tiny.yaml", "--set", "training.preview_every=6", "--json")
    link = json.loads(experiments.stdout)["tracking"]["link"]
    assert link.startswith("http://127.0.0.1:")
    assert "127.0.0.1:5000" not in link  # the server that is up, at its own port
    assert site.artifacts(shown_again[0])["tiny-mlflow"]["data"] == f"[tiny in MLflow]({link})"


def test_a_wrong_config_fails_by_name_and_lists_what_there_is(site: Site) -> None:
    run = site.start(config="tinny")
    site.wait_for_state(run, "FAILED")
    assert "a name in configs/: tiny" in site.ask(f"/api/flow_runs/{run}")["state"]["message"]


REFUSED = {
    "-p config=tinny": "a name in configs/: tiny",
    "-p config=tiny --set training.stepz=5": "stepz",
    "-p config=tiny -p workers=foo:2": "expected threads:2, processes:2",
    '-p config=tiny -p samplers=["dddim"]': "did you mean",
    "-p config=tiny -p stepz=5": "did you mean 'steps'?",
}
ASK = """
import sys
from noisette_flows.cli import app

for asked in sys.argv[1:]:
    try:
        app(["deploy", "run", "train-and-eval", *asked.split()], standalone_mode=False)
    except Exception as error:
        print(asked, "".join(str(error).splitlines()))
    else:
        print(asked)
"""


def test_what_can_be_refused_is_refused_before_it_is_sent(site: Site) -> None:
    before = site.ask("/api/flow_runs/count", {})
    environment, folder = site.workspace.environment, site.workspace.folder
    command = [sys.executable, "-c", ASK, *REFUSED]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    for line, (asked, reason) in zip(done.stdout.splitlines(), REFUSED.items(), strict=True):
        assert line.startswith(asked)
        assert reason in line
    alone = site.workspace.noisette("deploy", "run", "train-and-eval", "-p", "config")
    assert alone.returncode == 2, alone.stdout + alone.stderr
    assert "expected NAME=VALUE" in alone.stderr
    assert "Traceback" not in alone.stderr
    assert site.ask("/api/flow_runs/count", {}) == before


def test_a_deployment_that_there_is_not_is_named(site: Site) -> None:
    done = site.workspace.noisette("deploy", "run", "train-and-eval", "--deployment", "pool", "-p", "config=tiny")
    assert done.returncode == 2
    assert "no deployment train-and-eval/pool" in done.stderr


def test_what_is_watched_ends_with_the_numbers_or_with_the_reason(site: Site, shown_again: tuple[str, str]) -> None:
    said = shown_again[1]
    assert said.startswith("tiny: 12 steps eps linear\nid: ")
    assert re.search(r"^ddim-5 +5 +", said, flags=re.M), said
    assert len(said.splitlines()) < 50, said
    failed = site.workspace.noisette("deploy", "run", "evaluate", "-p", "config=tiny", "--set", "seed=9", "--watch")
    assert failed.returncode == 1
    assert "run the train stage first" in failed.stdout.splitlines()[-1]


def test_a_cancelled_training_saves_its_state_and_the_next_goes_on(site: Site) -> None:
    run = site.start(config="tiny", steps=LONG)
    place = site.wait_for_training(run)
    began = time.monotonic()
    site.set_state(run, CANCEL)
    site.wait_for_state(run, "CANCELLED")
    wait_until(lambda: not site.engines(), "no process is left")
    took = time.monotonic() - began
    stopped = step(place)
    assert 0 < stopped < LONG
    assert {status for name, status in site.tracked() if name == "training"} >= {"KILLED"}
    assert took < 60, took  # seconds, on a machine that may be busy; about 7 by hand, the command itself included

    again = site.start(config="tiny", steps=LONG)
    assert site.wait_for_training(again, len((place / "metrics.jsonl").read_text().splitlines())) == place
    assert not list(place.glob(f".flow-{run}"))
    journal = [json.loads(line)["step"] for line in (place / "metrics.jsonl").read_text().splitlines()]
    assert journal == sorted(set(journal))
    assert max(journal) > stopped
    cancel_as_a_person(site, again)
    assert site.state(again) == "CANCELLED"


def cancel_as_a_person(site: Site, run: str) -> None:
    """Cancel a flow run in Prefect's page, if there is a browser; its requests are what other tests send."""
    if missing_browser():
        site.set_state(run, CANCEL)
        site.wait_for_state(run, "CANCELLED")
        return
    with open_browser() as page:
        sign_in(page, site.url, site.login)
        page.goto(f"{site.url}/runs/flow-run/{run}")
        page.get_by_role("button", name="Cancel", exact=True).click()
        page.get_by_role("button", name="Confirm").click()
        page.get_by_text("Cancelled", exact=True).first.wait_for()
        page.get_by_role("button", name="Retry", exact=True).first.wait_for()


def test_a_training_in_two_processes_is_told_of_cancelled_and_tried_again(site: Site, full: bool) -> None:
    run = site.start(config="tiny", steps=LONG + 4, overrides={"training.processes": 2})
    place = site.wait_for_training(run)
    assert len(site.processes(WORKER)) == 3
    site.set_state(run, CANCEL)
    site.wait_for_state(run, "CANCELLED")
    wait_until(lambda: not site.processes(b"prefect.engine", WORKER), "no process is left")
    stopped = step(place)
    assert 0 < stopped < LONG
    wait_until(lambda: {status for _, status in site.tracked()} <= {"KILLED", "FINISHED"}, "MLflow is told")
    logs = site.ask("/api/logs/filter", {"logs": {"flow_run_id": {"any_": [run]}}})
    said = "\n".join(line["message"] for line in logs)
    assert "train tiny: started" in said
    assert f"train tiny: stopped, {stopped}/{LONG + 4} steps" in said

    if not full:  # what is tried again trains in one process in test_deploying_engine.py
        return
    site.set_state(run, RETRY)
    before = (place / "metrics.jsonl").read_text().splitlines()
    assert site.wait_for_training(run, len(before)) == place
    first = (place / "metrics.jsonl").read_text().splitlines()[len(before)]
    assert stopped < json.loads(first)["step"] <= stopped + EVERY
    site.set_state(run, CANCEL)
    site.wait_for_state(run, "CANCELLED")
    wait_until(lambda: not site.processes(WORKER), "no process is left")


def test_what_serves_is_ended_or_killed_and_the_next_goes_on_with_its_flow_run(site: Site) -> None:
    run = site.start(config="tiny", steps=LONG + 1)
    place = site.wait_for_training(run)
    site.end(signal.SIGTERM)
    first = step(place)
    assert 0 < first < LONG
    assert site.state(run) == "CRASHED"
    assert not site.engines()

    site.serve()
    assert site.wait_for_state(run, "RUNNING")
    site.wait_for_training(run, len((place / "metrics.jsonl").read_text().splitlines()))
    site.end(signal.SIGKILL)
    wait_until(lambda: not site.engines(), "the flow run notices, and stops")
    site.wait_for_state(run, "CRASHED")
    second = step(place)
    assert first < second < LONG

    site.serve()
    site.wait_for_training(run, len((place / "metrics.jsonl").read_text().splitlines()))
    (engine,) = site.engines()
    os.kill(engine, signal.SIGKILL)
    site.wait_for_state(run, "CRASHED")


def test_two_trainings_do_not_share_a_gpu_and_what_is_finished_waits_for_nobody(site: Site, finished: str) -> None:
    first = site.start(config="tiny", steps=LONG + 2)
    site.wait_for_training(first)
    second = site.start(config="tiny", steps=LONG + 3)
    name = site.ask(f"/api/flow_runs/{first}")["name"]
    wait_until(
        lambda: f"waiting for a GPU of this machine, held by {name}" in site.log(second),
        "it says what it waits for",
    )
    third = site.start(config="tiny", overrides={"training.preview_every": 6})
    site.wait_for_state(third, "COMPLETED")
    (place,) = (locked.parent for locked in site.runs.glob(f"*/.flow-{second}"))
    assert not (place / "metrics.jsonl").exists()
    assert site.state(first) == "RUNNING"
    site.set_state(first, CANCEL)
    assert site.wait_for_training(second) == place  # the control: it waited for nothing else
    site.set_state(second, CANCEL)
    site.wait_for_state(first, "CANCELLED")
    site.wait_for_state(second, "CANCELLED")


def test_a_suspended_training_saves_its_state_stays_suspended_and_goes_on_when_resumed(site: Site) -> None:
    run = site.start(config="tiny", steps=LONG + 6)
    place = site.wait_for_training(run)
    site.set_state(run, SUSPEND)
    wait_until(lambda: not site.engines(), "the flow run notices, and stops")
    assert 0 < step(place) < LONG
    assert site.state(run) == "PAUSED"
    assert "RUNNING" not in {status for _, status in site.tracked()}

    before = len((place / "metrics.jsonl").read_text().splitlines())
    wait_until(lambda: site.ask(f"/api/flow_runs/{run}/resume", {}), "it is resumed")
    assert site.wait_for_training(run, before) == place
    assert site.state(run) == "RUNNING"
    site.set_state(run, CANCEL)
    site.wait_for_state(run, "CANCELLED")


def kill_server(site: Site) -> None:
    server = json.loads((site.workspace.folder / ".noisette" / "prefect.json").read_text())
    os.kill(server["pid"], signal.SIGKILL)
    wait_until(lambda: not is_alive(server["pid"]), "the server is gone")


def start_server(site: Site) -> None:
    again = site.workspace.noisette("up", "--prefect-port", site.url.rpartition(":")[2])
    assert again.returncode == 0, again.stderr
    assert f"export PREFECT_API_URL={site.url}/api" in again.stdout


def test_a_training_is_cancelled_after_an_outage_in_which_prefect_gave_up_looking(site: Site) -> None:
    run = site.start(config="tiny", steps=LONG + 9)
    place = site.wait_for_training(run)
    kill_server(site)
    log = site.workspace.folder / "serve.log"
    wait_until(lambda: "Cancellation polling task failed" in log.read_text(), "Prefect's runner gives up")
    start_server(site)
    site.set_state(run, CANCEL)
    site.wait_for_state(run, "CANCELLED")
    wait_until(lambda: not site.engines(), "no process is left")
    assert 0 < step(place) < LONG


def test_a_training_under_which_the_server_was_killed_gives_its_gpu_back(site: Site) -> None:
    first = site.start(config="tiny", steps=LONG + 7)
    site.wait_for_training(first)
    kill_server(site)
    start_server(site)
    (engine,) = site.engines()
    os.kill(engine, signal.SIGTERM)
    second = site.start(config="tiny", steps=LONG + 8)
    site.wait_for_training(second)
    for engine in site.engines():
        os.kill(engine, signal.SIGTERM)
    wait_until(lambda: not site.engines(), "no process is left")


@pytest.mark.skipif(bool(missing_browser()), reason=missing_browser() or "it is there")
def test_prefects_page_shows_what_a_person_looks_for(
    site: Site, finished: str, shown_again: tuple[str, str]
) -> None:
    with open_browser() as page:
        sign_in(page, site.url, site.login)
        page.goto(f"{site.url}/runs/flow-run/{finished}")
        page.get_by_text("tiny: 12 steps eps linear").first.wait_for()
        for words in ("Completed", "train-and-eval", "5 Task runs"):
            page.get_by_text(words).first.wait_for()
        page.get_by_text("Task Runs", exact=True).first.click()
        for task in ("prepare digits", "train 12 steps", "sample ddim-5", "sample ddpm-4", "evaluate tiny"):
            page.get_by_text(task, exact=True).first.wait_for()
        page.get_by_text("Artifacts", exact=True).first.click()
        page.get_by_text("tiny-comparison", exact=True).first.wait_for()

        comparison = site.artifacts(shown_again[0])["tiny-comparison"]
        page.goto(f"{site.url}/artifacts/artifact/{comparison['id']}")
        page.get_by_text("tiny: the comparison").first.wait_for()
        page.get_by_role("cell", name="ddim-5").first.wait_for()
        wait_for(lambda: shown(page, "img[src^='data:image/png']") == 2)
        assert page.get_by_role("link", name="Charts and images in MLflow").get_attribute("href")

        deployment = site.ask("/api/deployments/name/train-and-eval/local")["id"]
        page.goto(f"{site.url}/deployments/deployment/{deployment}/run")
        page.get_by_text("the experiment: a YAML file, or its name in configs/.").first.wait_for()
        page.get_by_text("training steps; the config's, if empty.").first.wait_for()
