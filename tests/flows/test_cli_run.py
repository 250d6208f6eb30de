"""The whole way, once: prepare, train, sample and evaluate a tiny experiment through the command."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from support.workspace import FinishedRun, Workspace

from noisette.contracts import Estimate
from noisette.evaluation import Report

pytestmark = pytest.mark.slow

COUNT_READS = """
import sys
from noisette_flows.cli import main

reads = []
sys.addaudithook(lambda event, values: event == "open" and reads.append(str(values[0])))
sys.argv = ["noisette", "prepare", "tiny.yaml"]
try:
    main()
finally:
    print("read", sum(path.endswith("tiny.yaml") for path in reads))
"""


def test_the_first_run_goes_through_and_shows_the_comparison(finished: FinishedRun) -> None:
    assert finished.first.returncode == 0, finished.first.stderr
    shown = finished.first.stdout
    lines = [line.split() for line in shown.splitlines()]
    assert [words for words in lines if words[:3] == ["ddim-5", "5", "5"]]
    assert [words for words in lines if words[:3] == ["ddpm-4", "4", "4"]]
    assert any(words[:3] == ["real,", "held", "out"] for words in lines)
    assert any(words[:2] == ["pure", "noise"] for words in lines)
    assert "Frechet ↓" in shown
    assert "over efficientnet-lite0 (sha256 57934424" in shown
    assert "mlflow ui --backend-store-uri sqlite:///mlflow.db" in shown


def test_progress_is_told_stage_by_stage_in_lines(finished: FinishedRun) -> None:
    told = finished.first.stderr
    for stage in ("prepare digits", "train tiny", "sample ddim-5", "sample ddpm-4", "evaluate tiny"):
        assert f"{stage}: started" in told
        assert f"{stage}: done" in told
    assert "\x1b" not in told
    assert "train tiny: done, 12/12 steps" in told


def test_neither_prefect_nor_mlflow_talk_in_between(finished: FinishedRun) -> None:
    both = finished.first.stdout + finished.first.stderr
    for word in ("prefect", "alembic", "Traceback", "WARNING", "Downloading"):
        assert word not in both


def test_the_numbers_shown_are_those_of_the_report(finished: FinishedRun) -> None:
    (directory,) = (finished.run / "evaluations").iterdir()
    report = Report.open(directory)
    (row,) = [row for row in report.rows if row.label == "ddim-5"]
    (line,) = [
        line for line in finished.first.stdout.splitlines() if line.split()[:1] == ["ddim-5"] and "±" in line
    ]
    frechet, kid = row.results["frechet_efficientnet-lite0"], row.results["kid_efficientnet-lite0"]
    shown = [float(word) for word in line.split()[4:10] if word != "±"]
    for value, stderr, found in ((*shown[:2], frechet), (*shown[2:], kid)):
        assert found.stderr is not None
        assert value == pytest.approx(found.value, abs=found.stderr)
        assert stderr == pytest.approx(found.stderr, rel=0.2)


def test_the_second_run_answers_from_manifests_at_once(finished: FinishedRun) -> None:
    before = {path: path.stat().st_mtime_ns for path in (finished.workspace.folder / "runs").rglob("*")}
    # a Prefect that cannot start, and an MLflow that does not answer: neither is asked
    dead = {"PREFECT_API_URL": "http://127.0.0.1:9/api"}
    again = finished.workspace.noisette("run", "tiny.yaml", **dead)
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("finished before, skipped") == 5
    assert "started" not in again.stderr
    assert again.stdout == finished.first.stdout
    assert {path: path.stat().st_mtime_ns for path in (finished.workspace.folder / "runs").rglob("*")} == before


def test_json_is_one_document_with_everything(finished: FinishedRun) -> None:
    done = finished.workspace.noisette("run", "tiny.yaml", "--json")
    document = json.loads(done.stdout)
    assert document["experiment"] == "tiny"
    assert [stage["status"] for stage in document["stages"]] == ["skipped"] * 5
    assert [row["kind"] for row in document["rows"]] == ["floor", "sampler", "sampler", "noise"]
    kid = document["rows"][1]["results"]["kid_efficientnet-lite0"]
    (directory,) = (finished.run / "evaluations").iterdir()
    assert Estimate(**kid) == Report.open(directory).rows[1].results["kid_efficientnet-lite0"]
    assert document["protocol"]["generated_count"] == 6
    for path in (*document["grids"].values(), document["report"]):
        assert (finished.workspace.folder / path).is_file()
    assert document["tracking"]["uri"].startswith("sqlite:///")
    assert document["tracking"]["link"].startswith("http://127.0.0.1:5000/#/experiments/")


def test_single_stages_say_that_they_are_finished(finished: FinishedRun) -> None:
    for stage in ("prepare", "train", "sample"):
        done = finished.workspace.noisette(stage, "tiny.yaml", "--json")
        told = json.loads(done.stdout)["stages"]
        assert {one["status"] for one in told} == {"skipped"}
        assert all(one["name"].startswith(stage) for one in told)
    assert "ddim-5" in finished.workspace.noisette("evaluate", "tiny.yaml").stdout


@pytest.mark.parametrize("stage", ["train", "sample", "evaluate"])
def test_a_damaged_result_is_not_taken_for_finished(finished: FinishedRun, stage: str) -> None:
    """Only looked at: the stage would be run again."""
    from noisette import Experiment
    from noisette.stages import plan_stages

    experiment = Experiment.load(finished.workspace.folder / "tiny.yaml")
    root = finished.workspace.folder / "runs"
    chosen = next(one for one in plan_stages(experiment, root) if one.name.startswith(stage))
    assert chosen.finished
    assert chosen.directory is not None
    manifest = next(chosen.directory.rglob("MANIFEST.json"))
    content = manifest.read_bytes()
    try:
        manifest.write_bytes(content[:-20])
        assert not next(one for one in plan_stages(experiment, root) if one.name.startswith(stage)).finished
    finally:
        manifest.write_bytes(content)


def test_a_config_is_read_once(served: Workspace) -> None:
    command = [sys.executable, "-c", COUNT_READS]
    done = subprocess.run(
        command, cwd=served.folder, env=served.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "read 1"
