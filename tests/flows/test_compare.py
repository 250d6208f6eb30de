"""`noisette compare` as a person calls it, on a copy of the tiny experiment that has gone through."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from mlflow import MlflowClient
from support.workspace import FinishedRun, Workspace, make_workspace, with_databases

from noisette.comparison import Sweep, SweepResult, frontier
from noisette_flows.tracking import Mirror, Store

pytestmark = pytest.mark.slow

ASKED = ["--samplers", "ddim,ddpm:variance=fixed-large", "--steps", "3,5,50", "--num-images", "6"]
WALKS = ["ddim-3", "ddim-5", "ddpm-3-variance=fixed-large", "ddpm-5-variance=fixed-large"]
DEAD = {"PREFECT_API_URL": "http://127.0.0.1:9/api"}  # a Prefect that cannot be asked


@dataclass(frozen=True)
class Compared:
    workspace: Workspace
    done: CompletedProcess[str]

    @property
    def run(self) -> Path:
        return self.workspace.runs[0]

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(f"sqlite:///{self.workspace.folder}/mlflow.db")


@pytest.fixture(scope="module")
def compared(finished: FinishedRun, tmp_path_factory: pytest.TempPathFactory) -> Compared:
    workspace = with_databases(make_workspace(tmp_path_factory.mktemp("compared")))
    shutil.copytree(finished.workspace.folder / "runs", workspace.folder / "runs")
    (workspace.runs[0] / "mlflow.json").unlink()
    return Compared(workspace, workspace.noisette("compare", str(workspace.runs[0]), *ASKED))


def _swept(compared: Compared) -> SweepResult:
    sweep_result = Sweep.of(compared.run, ["ddim", "ddpm:variance=fixed-large"], (3, 5), num_images=6).finished()
    assert sweep_result is not None
    return sweep_result


def test_the_table_is_grouped_by_sampler_and_marks_the_best(compared: Compared) -> None:
    assert compared.done.returncode == 0, compared.done.stderr
    lines = compared.done.stdout.splitlines()
    words = {line: line.split() for line in lines if len(line.split()) > 2}
    rows = [line for line, row in words.items() if row[0] in WALKS and row[1].isdigit()]  # notes name them too
    assert [words[line][0] for line in rows] == WALKS
    first = lines.index(next(line for line in lines if line.startswith("ddim-5")))
    last = lines.index(next(line for line in lines if line.startswith("ddpm-3-")))
    assert [line.strip() for line in lines[first + 1 : last]] == [""]  # space between two samplers
    marked = {words[line][0]: line.count("*") for line in rows}
    best = [label for label, _ in frontier(_swept(compared).report)]
    assert marked == {label: best.count(label) for label in WALKS}
    assert best
    for told in (
        "* no sampler is better with as many network calls or fewer",
        "note: 50 steps are left out: the model was trained with 20",
        "real, held out",
        "frechet_efficientnet-lite0.png",
        "mlflow ui --backend-store-uri sqlite:///mlflow.db",
    ):
        assert told in compared.done.stdout


def test_progress_tells_every_walk_that_was_not_drawn_before(compared: Compared) -> None:
    told = compared.done.stderr
    assert "4 samplings of 6 images; 1 of them are finished and skipped" in told
    assert "sample ddim-3: done" in told
    assert "sample ddim-5" not in told  # the experiment drew it
    assert "evaluate tiny: done" in told
    assert "Traceback" not in told


def test_the_second_run_answers_from_manifests(compared: Compared) -> None:
    runs = compared.workspace.folder / "runs"
    before = {path: path.stat().st_mtime_ns for path in runs.rglob("*")}
    again = compared.workspace.noisette("compare", "tiny.yaml", *ASKED, **DEAD)
    assert again.returncode == 0, again.stderr
    assert "4 samplings of 6 images: finished before, skipped" in again.stderr
    assert _table(again.stdout) == _table(compared.done.stdout)
    assert {path: path.stat().st_mtime_ns for path in runs.rglob("*")} == before


def _table(shown: str) -> list[str]:
    return [line for line in shown.splitlines() if not line.startswith(("charts", "report", " "))]


def test_control_another_length_does_ask_prefect(compared: Compared) -> None:
    done = compared.workspace.noisette("compare", "tiny.yaml", *ASKED, "--steps", "2", **DEAD)
    assert done.returncode == 2
    assert "Prefect's server at http://127.0.0.1:9/api does not answer" in done.stderr


def test_json_is_one_document_with_everything(compared: Compared) -> None:
    done = compared.workspace.noisette("compare", str(compared.run), *ASKED, "--json", **DEAD)
    document = json.loads(done.stdout)
    assert [walk["name"] for walk in document["walks"]] == [f"sample {label}" for label in WALKS]
    assert {walk["status"] for walk in document["walks"]} == {"skipped"}
    assert [row["series"] for row in document["rows"]] == [
        None,
        "ddim",
        "ddim",
        "ddpm variance=fixed-large",
        "ddpm variance=fixed-large",
        None,
    ]
    assert document["notes"][-1] == "50 steps are left out: the model was trained with 20"
    assert document["protocol"]["generated_count"] == 6
    marked = {column for row in document["rows"] for column in row["best"]}
    assert marked == set(document["charts"])
    for path in (*document["charts"].values(), document["report"], document["checkpoint"]):
        assert (compared.workspace.folder / path).exists()
    assert document["tracking"]["link"].startswith("http://127.0.0.1:5000/#/experiments/")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["nowhere"], "nowhere: there is no such file or folder; expected a checkpoint's directory"),
        (["home"], "expected a checkpoint (a directory with a MANIFEST.json) or a run"),
        (["tiny.yaml", "--set", "seed=4"], "is not trained: there is no checkpoint in"),
        (["tiny.yaml", "--samplers", "dimm"], "did you mean 'ddim'?"),
        (["tiny.yaml", "--samplers", "ddim:eta=7"], "samplers.0.eta: expected a number less than or equal to 1"),
        (["tiny.yaml", "--steps", "50,100"], "expected 1 to 20, the trained timesteps; got 50, 100"),
        (["tiny.yaml", "--steps", "five"], "expected numbers of steps, such as 5,10,50; got 'five'"),
        (["tiny.yaml", "--steps", "0"], "expected numbers of steps"),
        (["tiny.yaml", "--metrics", "frechett"], "did you mean 'frechet'?"),
        (["tiny.yaml", "--num-images", "0"], "--num-images"),
        ([], "CHECKPOINT"),
    ],
    ids=str,
)
def test_mistakes_end_in_2_with_one_message(compared: Compared, arguments: list[str], reason: str) -> None:
    done = compared.workspace.noisette("compare", *arguments, **DEAD)
    assert done.returncode == 2, done.stderr
    assert reason in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_without_prepared_images_it_says_what_prepares_them(compared: Compared, tmp_path: Path) -> None:
    alone = tmp_path / compared.run.name
    shutil.copytree(compared.run / "checkpoints", alone / "checkpoints")
    done = compared.workspace.noisette("compare", str(alone), *ASKED, **DEAD)
    assert done.returncode == 2
    assert f"run `noisette prepare CONFIG --output {tmp_path}`" in done.stderr


def _children(compared: Compared) -> tuple[Any, dict[str, Any]]:
    experiment = compared.client.get_experiment_by_name("tiny")
    assert experiment is not None
    runs = compared.client.search_runs([experiment.experiment_id])
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    return parent, {run.info.run_name: run for run in runs if run is not parent}


def test_mlflow_has_a_curve_for_each_sampler_and_no_run_for_each_walk(compared: Compared) -> None:
    _, children = _children(compared)
    assert set(children) == {"training", "ddim-5", "ddpm-4", "compare ddim", "compare ddpm variance=fixed-large"}
    assert {child.info.status for child in children.values()} == {"FINISHED"}
    sweep_result = _swept(compared)
    curve = children["compare ddim"]
    for column in sweep_result.report.columns:
        key = f"{column.removesuffix('_efficientnet-lite0')} efficientnet-lite0 by calls"
        history = compared.client.get_metric_history(curve.info.run_id, key)
        rows = [row for row in sweep_result.report.rows if row.label in ("ddim-3", "ddim-5")]
        assert [(point.step, point.value) for point in history] == [
            (row.network_calls, row.results[column].value) for row in rows
        ]
    assert curve.data.params["sampler"] == "ddim"
    assert "steps" not in curve.data.params


def test_mlflow_has_the_charts_and_the_table_on_the_parents_page(compared: Compared) -> None:
    parent, _ = _children(compared)
    client = compared.client
    images = {Path(file.path).name.split("+")[0] for file in client.list_artifacts(parent.info.run_id, "images")}
    assert {"compare~frechet efficientnet-lite0", "compare~kid efficientnet-lite0"} <= images
    files = {Path(file.path).name for file in client.list_artifacts(parent.info.run_id, "compare")}
    assert {"frechet_efficientnet-lite0.png", "frechet_efficientnet-lite0.svg", "table.md", "report.json"} <= files
    (table,) = [name for name in files if name.startswith("table-")]
    content = json.loads(Path(client.download_artifacts(parent.info.run_id, f"compare/{table}")).read_text())
    assert content["columns"][:4] == ["sampler", "steps", "network calls", "seconds per image"]
    assert [row[0] for row in content["data"]][1:-1] == ["ddim"] * 2 + ["ddpm variance=fixed-large"] * 2
    # the experiment's own comparison is still what the page of the run tells
    assert "| ddpm-4 |" in parent.data.tags["mlflow.note.content"]
    assert not [key for key in parent.data.metrics if "fixed-large" in key]


def test_a_lost_store_shows_the_sweep_again_and_still_no_walks(
    compared: Compared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / compared.run.name
    shutil.copytree(compared.run, run)
    (run / "mlflow.json").unlink()
    monkeypatch.chdir(tmp_path)
    store = Store.of(f"sqlite:///{tmp_path}/fresh.db")
    assert store is not None
    sweep = Sweep.of(compared.run, ["ddim"], (3,))
    for _ in range(2):
        Mirror(sweep.trained, run, store, {}).sync({"parent": "FINISHED"})
    client = MlflowClient(store.uri)
    (experiment,) = [one for one in client.search_experiments() if one.name == "tiny"]
    names = sorted(one.info.run_name for one in client.search_runs([experiment.experiment_id]))
    assert names == sorted([*_children(compared)[1], "12 steps eps linear"])


def test_prefect_names_the_flow_and_its_tasks(compared: Compared) -> None:
    with closing(sqlite3.connect(compared.workspace.folder / "prefect" / "prefect.db")) as database:
        flows = database.execute("select name, state_type from flow_run").fetchall()
        tasks = {name for (name,) in database.execute("select name from task_run")}
    called = "ddim,ddpm:variance=fixed-large steps=3,5,50 num_images=6"
    assert flows == [(f"{compared.run.name}: compare {called}", "COMPLETED")]
    assert {"sample ddim-3", "evaluate tiny", "chart tiny"} <= tasks
