"""MLflow's own pages after two tiny runs, looked at in a browser for what a person would look for."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from mlflow import MlflowClient
from support.browser import ASSISTANT, close_assistant, missing_browser, open_browser, shown, wait_for
from support.servers import MLFLOW as COMMAND
from support.servers import Server, free_port, run_server
from support.workspace import FinishedRun, Workspace

from noisette_flows.tracking import Store
from noisette_flows.tracking.names import VISIBLE_CHARACTERS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing_browser()), reason=missing_browser() or "it is there"),
]

FIRST, SECOND = "12 steps eps linear", "16 steps eps linear"


@pytest.fixture(scope="module")
def workspace(
    finished: FinishedRun, prefect: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Workspace:
    """A workshop with two runs, of 12 steps and of 16."""
    folder = tmp_path_factory.mktemp("pages") / "workspace"
    shutil.copytree(finished.workspace.folder, folder, ignore=shutil.ignore_patterns("ml*", "prefect"))
    workspace = Workspace(folder, prefect)
    for more in ((), ("--set", "training.steps=16")):
        done = workspace.noisette("run", "tiny.yaml", *more)
        assert done.returncode == 0, done.stderr
    return workspace


@pytest.fixture(scope="module")
def server(workspace: Workspace) -> Iterator[Server]:
    port = free_port()
    command = [
        str(COMMAND),
        "ui",
        "--backend-store-uri",
        f"sqlite:///{workspace.folder}/mlflow.db",
        "--workers",
        "1",
    ]
    with run_server(
        Server([*command, "--host", "127.0.0.1", "--port", str(port)], port, workspace.folder)
    ) as server:
        yield server


@pytest.fixture(scope="module")
def page(server: Server, workspace: Workspace) -> Iterator[Any]:
    """The page behind the link that noisette prints."""
    with open_browser() as page:
        page.goto(link(workspace, server))
        close_assistant(page)
        yield page


def link(workspace: Workspace, server: Server) -> str:
    store = Store.of(f"sqlite:///{workspace.folder}/mlflow.db")
    assert store is not None
    experiment = MlflowClient(store.uri).get_experiment_by_name("tiny")
    assert experiment is not None
    return store.link(experiment.experiment_id).replace("http://127.0.0.1:5000", server.uri)


def test_two_runs_can_be_told_apart_where_names_are_cut(page: Any) -> None:
    for name in (FIRST, SECOND):
        page.get_by_role("link", name=name).first.wait_for()
    assert FIRST[:VISIBLE_CHARACTERS] != SECOND[:VISIBLE_CHARACTERS]
    widths = [
        page.get_by_role("link", name=name).first.evaluate("e => e.scrollWidth - e.clientWidth")
        for name in (FIRST, SECOND)
    ]
    assert max(widths) <= 0, "the list shows the whole names"


def test_charts_are_grouped_and_the_images_come_first(page: Any) -> None:
    groups = ["best", "examples", "frechet", "kid", "train"]
    headings = [page.get_by_text(group, exact=True).first for group in groups]
    for heading in headings:
        heading.wait_for(state="attached")
    heights = [heading.bounding_box()["y"] for heading in headings]
    assert heights == sorted(heights)
    wait_for(lambda: shown(page, "img") >= 4)  # two samplers of two runs
    assert page.get_by_text("examples/ddim-5").first.is_visible()
    assert page.get_by_text("dataset=digits").first.is_visible()


def test_the_table_shows_samplers_by_runs_as_images(page: Any, workspace: Workspace, server: Server) -> None:
    page.goto(link(workspace, server).replace("compareRunsMode=CHART", "compareRunsMode=ARTIFACT"))
    page.reload()
    page.get_by_text("eval/samplers.json").first.wait_for()
    for sampler in ("ddim-5", "ddpm-4"):
        page.get_by_text(sampler, exact=True).first.wait_for()
    wait_for(lambda: shown(page, "img") >= 4)
    assert page.get_by_text(SECOND).count() >= 2  # in the list, and over its column


def test_a_run_says_what_it_found_on_which_data(page: Any, workspace: Workspace, server: Server) -> None:
    client = MlflowClient(f"sqlite:///{workspace.folder}/mlflow.db")
    experiment = client.get_experiment_by_name("tiny")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id], f"attributes.run_name = '{FIRST}'")
    page.goto(f"{server.uri}/#/experiments/{experiment.experiment_id}/runs/{run.info.run_id}")
    page.reload()
    page.get_by_text("digits train").first.wait_for()
    page.get_by_text("pure noise").first.wait_for()
    page.get_by_text("noisette.config").first.wait_for(state="attached")


def test_the_panel_is_closed_for_good(page: Any, workspace: Workspace, server: Server) -> None:
    page.goto(link(workspace, server))
    page.reload()
    page.get_by_role("link", name=FIRST).first.wait_for()
    assert not page.get_by_text(ASSISTANT).first.is_visible()
