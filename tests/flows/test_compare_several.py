"""`noisette compare A B`: two models side by side, through the command, with what differs told, kept and logged."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from support.workspace import FinishedRun, Workspace, make_workspace, with_databases

pytestmark = pytest.mark.slow

ASKED = ["--num-images", "8", "--samplers", "ddim", "--steps", "3,5", "--metrics", "kid:size=4"]
DEAD = {"PREFECT_API_URL": "http://127.0.0.1:9/api"}  # a Prefect that cannot be asked


@dataclass(frozen=True)
class Compared:
    workspace: Workspace
    asked: list[str]
    done: CompletedProcess[str]


@pytest.fixture(scope="module")
def compared(finished: FinishedRun, prefect: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Compared:
    workspace = with_databases(make_workspace(tmp_path_factory.mktemp("several"), prefect))
    shutil.copytree(finished.workspace.folder / "runs", workspace.folder / "runs")
    [first] = workspace.runs
    trained = workspace.noisette("train", "tiny.yaml", "--set", "training.lr=0.01", "--tracking-uri", "off")
    assert trained.returncode == 0, trained.stderr
    [second] = [run for run in workspace.runs if run != first]
    asked = ["compare", str(first), str(second), *ASKED]
    return Compared(workspace, asked, workspace.noisette(*asked))


def test_the_table_shows_both_and_says_what_differs(compared: Compared) -> None:
    assert compared.done.returncode == 0, compared.done.stderr
    text = " ".join(compared.done.stdout.split())
    for told in (
        "lr=0.001: ddim-3",
        "lr=0.01: ddim-5",
        "real, held out",
        "KID: best lr=",
        "two-sided z test on the standard errors, less what the results share of the reference, p values corrected",
        "kid_efficientnet-lite0.png",
        "mlflow ui --backend-store-uri",
    ):
        assert told in text
    assert "lr=0.01: 2 samplings of 8 images" in compared.done.stderr


def test_the_second_time_nothing_is_done_and_json_says_the_same(compared: Compared) -> None:
    again = compared.workspace.noisette(*compared.asked, "--json", **DEAD)
    assert again.returncode == 0, again.stderr
    facts = json.loads(again.stdout)
    assert again.stderr.count("finished before, skipped") == 2
    assert [row["model"] for row in facts["rows"]] == [None, "lr=0.001", "lr=0.001", "lr=0.01", "lr=0.01", None]
    assert len(facts["differences"]) == 6
    assert all(Path(chart).is_file() for chart in facts["charts"].values())
    assert set(facts["models"]) == {"lr=0.001", "lr=0.01"}


def test_mlflow_has_one_run_with_the_pairs_and_the_chart(compared: Compared) -> None:
    compared.workspace.noisette(*compared.asked, **DEAD)
    with closing(sqlite3.connect(compared.workspace.folder / "mlflow.db")) as database:
        runs = database.execute("select run_uuid, status from runs where name = 'compare lr=0.001, lr=0.01'")
        [(run, status)] = runs.fetchall()
        keys = {key for (key,) in database.execute("select key from metrics where run_uuid = ?", (run,))}
        tags = dict(database.execute("select key, value from tags where run_uuid = ?", (run,)).fetchall())
    assert status == "FINISHED"
    assert "kid/lr_0.01: ddim-5 efficientnet-lite0" in keys
    assert len(tags["noisette.protocol.weights_sha256"]) == 64
    [files] = (compared.workspace.folder / "mlartifacts" / "tiny").glob(f"{run}/artifacts/compare")
    names = {path.name for path in files.iterdir()}
    assert {"differences.json", "table.md", "report.json", "kid_efficientnet-lite0.svg"} <= names
