"""What MLflow has after a run, and that MLflow can never cost a result."""

from __future__ import annotations

import json
import shutil
import socket
import sys
from importlib.metadata import version
from pathlib import Path
from uuid import UUID

import pytest
import yaml
from mlflow import MlflowClient
from support.mlflow_store import empty_store, runs_of, snapshot_runs
from support.workspace import FinishedRun

from noisette import Experiment, Prepared, Samples, evaluate
from noisette.checkpoint import Checkpoint
from noisette.evaluation import Report
from noisette.journal import read_journal
from noisette_flows.tracking import Mirror, SyncState, is_behind
from noisette_flows.tracking.provenance import collect_provenance

pytestmark = pytest.mark.slow

CURVES = {"train/loss", "train/lr", "train/grad_norm", "train/images_per_second"}
HERE = {"noisette.host": "here"}
CURVES |= {f"train/loss_q{quarter}" for quarter in range(4)}


@pytest.fixture(scope="module")
def client(finished: FinishedRun) -> MlflowClient:
    return MlflowClient(f"sqlite:///{finished.workspace.folder}/mlflow.db")


def test_a_parent_with_a_child_for_training_and_each_sampler(client: MlflowClient) -> None:
    parent, children = runs_of(client)
    assert set(children) == {"training", "ddim-5", "ddpm-4"}
    assert {run.info.status for run in (parent, *children.values())} == {"FINISHED"}
    assert parent.info.run_name == "12 steps eps linear"


def test_few_telling_parameters_and_the_whole_config_beside_them(
    client: MlflowClient, finished: FinishedRun
) -> None:
    parent, children = runs_of(client)
    assert parent.data.params == {
        "dataset": "digits",
        "schedule": "linear",
        "objective": "eps",
        "backbone": "unet",
        "seed": "0",
        "steps": "12",
        "lr": "0.001",
        "batch_size": "8",
        "precision": "fp32",
        "Mparams": parent.data.params["Mparams"],
    }
    assert float(parent.data.params["Mparams"]) > 0
    assert children["training"].data.params == parent.data.params, "no more, or they push its images off their card"
    config = yaml.safe_load(Path(client.download_artifacts(parent.info.run_id, "config.yaml")).read_text())
    assert Experiment.parse(config) == Experiment.load(finished.workspace.folder / "tiny.yaml")
    assert parent.data.tags["noisette.backbone"].startswith("unet (noisette ")
    assert children["ddim-5"].data.tags["noisette.sampler"].startswith("ddim (noisette ")


def test_a_sampler_says_which_model_it_sampled(client: MlflowClient) -> None:
    parent, children = runs_of(client)
    told = children["ddpm-4"].data.params
    model = parent.data.params
    assert told.items() >= {**model, "steps": "4", "training.steps": model["steps"]}.items()
    assert (told["sampler"], told["steps"], told["network_calls"]) == ("ddpm", "4", "4")
    assert told["model"] == parent.info.run_name


def test_the_best_sampler_stands_on_the_run_of_its_model(client: MlflowClient) -> None:
    parent, children = runs_of(client)
    samplers = {name: run for name, run in children.items() if name != "training"}
    for result in ("frechet efficientnet-lite0", "kid efficientnet-lite0"):
        values = {name: run.data.metrics[result] for name, run in samplers.items()}
        assert parent.data.metrics[f"best/{result}"] == min(values.values())
    first = {name: run.data.metrics["kid efficientnet-lite0"] for name, run in samplers.items()}
    assert parent.data.tags["best_sampler"] in first


def test_the_run_says_where_it_comes_from(client: MlflowClient) -> None:
    parent, _ = runs_of(client)
    tags = parent.data.tags
    assert tags["noisette.host"] == socket.gethostname()
    assert "run tiny.yaml" in tags["noisette.command"]
    assert UUID(tags["noisette.flow_run"])
    assert tags["noisette.torch"] == version("torch")
    text = Path(client.download_artifacts(parent.info.run_id, "environment.txt")).read_text()
    assert f"torch=={version('torch')}" in text.splitlines()


def test_a_command_is_told_without_its_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["noisette", "run", "--tracking-uri", "http://ann:s3cret@127.0.0.1:5000"])
    monkeypatch.setenv("PREFECT_API_URL", "http://ann:s3cret@127.0.0.1:4200/api")
    told = collect_provenance("an-id")
    assert "s3cret" not in str(told)
    assert told["noisette.flow_run.url"] == "http://127.0.0.1:4200/runs/flow-run/an-id"


def test_an_experiment_is_of_the_kind_that_has_models(client: MlflowClient) -> None:
    found = client.get_experiment_by_name("tiny")
    assert found is not None
    assert found.tags["mlflow.experimentKind"] == "custom_model_development"


def test_what_training_chose_for_its_machine_is_told(client: MlflowClient, finished: FinishedRun) -> None:
    _, children = runs_of(client)
    told = {name: value for name, value in children["training"].data.tags.items() if ".machine." in name}
    about = Checkpoint.open(next(finished.run.glob("checkpoints/*"))).about
    assert told["noisette.machine.threads"] == str(about["machine"]["threads"])
    assert told["noisette.machine.memory_format"] == "channels_last"
    assert told["noisette.machine.precision"] == "fp32"
    assert told["noisette.machine.processes"] == "1"


def test_data_sets_are_inputs_with_their_counts(client: MlflowClient, finished: FinishedRun) -> None:
    parent, children = runs_of(client)
    (data,) = (finished.run.parent / "data").iterdir()
    counts = Prepared.open(data).about["counts"]
    for run in (parent, children["training"]):
        inputs = {given.dataset.name: given for given in run.inputs.dataset_inputs}
        assert set(inputs) == {"digits train", "digits test"}
        for split, context in (("train", "training"), ("test", "evaluation")):
            given = inputs[f"digits {split}"]
            assert json.loads(given.dataset.profile)["num_rows"] == counts[split]["accepted"]
            assert Prepared.open(data).digest.startswith(given.dataset.digest)
            assert given.tags[0].value == context


def test_the_curves_are_those_of_the_journal(client: MlflowClient, finished: FinishedRun) -> None:
    journal = [entry for entry in read_journal(finished.run) if entry["stage"] == "train"]
    assert len(journal) == 3
    parent, children = runs_of(client)
    for run in (parent, children["training"]):
        assert set(run.data.metrics) >= CURVES
        history = client.get_metric_history(run.info.run_id, "train/loss")
        assert [(point.step, point.value) for point in history] == [
            (entry["step"], entry["metrics"]["loss"]) for entry in journal
        ]


def test_results_are_on_the_sampler_and_on_the_parent(client: MlflowClient, finished: FinishedRun) -> None:
    (directory,) = (finished.run / "evaluations").iterdir()
    report = Report.open(directory)
    parent, children = runs_of(client)
    for row in report.rows:
        kid = row.results["kid_efficientnet-lite0"]
        assert parent.data.metrics[f"kid/{row.label} efficientnet-lite0"] == kid.value
        if row.kind == "sampler":
            assert children[row.label].data.metrics["kid efficientnet-lite0"] == kid.value
            assert children[row.label].data.metrics["kid efficientnet-lite0 stderr"] == kid.stderr
    assert not [key for key in parent.data.metrics if "fid" in key]


def test_images_table_and_report_are_there(client: MlflowClient) -> None:
    parent, children = runs_of(client)
    tables = json.loads(parent.data.tags["mlflow.loggedArtifacts"])
    assert all(table["type"] == "table" for table in tables)
    samplers, results = (table["path"] for table in tables)
    assert (samplers, results.startswith("eval/results-")) == ("eval/samplers.json", True)
    table = json.loads(Path(client.download_artifacts(parent.info.run_id, "eval/samplers.json")).read_text())
    assert table["columns"] == ["sampler", "samples"]
    assert [row[0] for row in table["data"]] == ["ddim-5", "ddpm-4"]
    assert {"report.json", "table.md", "samplers.json", Path(results).name} == {
        Path(file.path).name for file in client.list_artifacts(parent.info.run_id, "eval")
    }
    keys = {Path(file.path).name.split("+")[0] for file in client.list_artifacts(parent.info.run_id, "images")}
    assert keys == {"examples~ddim-5", "examples~ddpm-4"}
    assert client.list_artifacts(children["ddim-5"].info.run_id, "images")
    assert "| ddim-5 | 5 | 5 |" in parent.data.tags["mlflow.note.content"]


def test_files_lie_beside_the_store_and_not_in_a_temporary_folder(
    client: MlflowClient, finished: FinishedRun
) -> None:
    parent, _ = runs_of(client)
    assert parent.info.artifact_uri.startswith(f"file://{finished.workspace.folder}/mlartifacts/tiny/")


@pytest.fixture
def copy(finished: FinishedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Mirror, Path]:
    """A copy of the finished run that no store has seen, and a mirror of it in a fresh store."""
    directory = tmp_path / "run"
    shutil.copytree(finished.run, directory)
    shutil.copytree(finished.run.parent / "data", tmp_path / "data")
    (directory / "mlflow.json").unlink()
    experiment = Experiment.load(finished.workspace.folder / "tiny.yaml")
    monkeypatch.chdir(tmp_path)
    return Mirror(experiment, directory, empty_store(tmp_path / "fresh.db"), {}, HERE), tmp_path


def test_a_lost_store_is_made_again_from_the_run_directory(client: MlflowClient, copy: tuple[Mirror, Path]) -> None:
    mirror, folder = copy
    assert is_behind(mirror.directory, mirror.store)
    mirror.sync({"parent": "FINISHED"})
    assert not is_behind(mirror.directory, mirror.store)
    assert snapshot_runs(MlflowClient(f"sqlite:///{folder}/fresh.db")) == snapshot_runs(client)
    (folder / "fresh.db").unlink()
    assert is_behind(mirror.directory, mirror.store)


def test_what_was_sent_is_not_sent_again_even_if_the_memory_is_half_lost(copy: tuple[Mirror, Path]) -> None:
    mirror, _ = copy
    mirror.sync({"parent": "FINISHED"})
    once = snapshot_runs(MlflowClient(mirror.store.uri))
    again = Mirror(mirror.experiment, mirror.directory, mirror.store, {})
    again.sync({"parent": "FINISHED"})
    assert snapshot_runs(MlflowClient(mirror.store.uri)) == once
    memory = SyncState.load(mirror.directory, mirror.store)
    memory.lines = 0  # killed after sending, before remembering
    memory.save(mirror.directory)
    Mirror(mirror.experiment, mirror.directory, mirror.store, {}).sync({"parent": "FINISHED"})
    assert snapshot_runs(MlflowClient(mirror.store.uri)) == once


def test_a_sync_that_breaks_off_anywhere_is_completed_by_the_next(
    copy: tuple[Mirror, Path], monkeypatch: pytest.MonkeyPatch, client: MlflowClient
) -> None:
    mirror, _ = copy
    failures = 0
    for method in ("log_dict", "log_inputs", "log_batch", "log_image", "log_artifact", "set_tag", "set_terminated"):
        with monkeypatch.context() as patch:
            patch.setattr(MlflowClient, method, _refuse)
            with pytest.raises(ConnectionError):
                Mirror(mirror.experiment, mirror.directory, mirror.store, {}, HERE).sync({"parent": "FINISHED"})
            failures += 1
        assert is_behind(mirror.directory, mirror.store)
    assert failures == 7
    Mirror(mirror.experiment, mirror.directory, mirror.store, {}, HERE).sync({"parent": "FINISHED"})
    assert snapshot_runs(MlflowClient(mirror.store.uri)) == snapshot_runs(client)


def _refuse(*_: object, **__: object) -> None:
    raise ConnectionError("the server is gone")


def test_a_run_deleted_in_mlflow_is_made_again(copy: tuple[Mirror, Path]) -> None:
    mirror, _ = copy
    mirror.sync({"parent": "FINISHED"})
    store = MlflowClient(mirror.store.uri)
    once = snapshot_runs(store)
    _, children = runs_of(store)
    store.delete_run(children["ddim-5"].info.run_id)
    store.delete_run(children["training"].info.run_id)
    assert snapshot_runs(store) != once
    Mirror(mirror.experiment, mirror.directory, mirror.store, {}).sync({"parent": "FINISHED"})
    assert {"training", "ddim-5", "ddpm-4"} == set(runs_of(store)[1])


def test_what_was_found_of_the_model_stands_on_the_parent_with_its_curves(
    copy: tuple[Mirror, Path], finished: FinishedRun
) -> None:
    mirror, _ = copy
    metrics = ["kid", "nearest", {"name": "held-out-loss", "terms": 4, "count": 6}]
    judging = Experiment.load(finished.workspace.folder / "tiny.yaml", {"evaluation.metrics": metrics})
    samples = [Samples.open(directory) for directory in sorted((mirror.directory / "samples").iterdir())]
    report = evaluate(judging, samples, finished.workspace.folder / "runs", run=mirror.directory)
    mirror.sync({})
    client = MlflowClient(mirror.store.uri)
    parent, _ = runs_of(client)
    assert parent.data.metrics["model/held_out_loss"] == report.model["held_out_loss"].value
    history = client.get_metric_history(parent.info.run_id, "model/held_out_loss_by_step")
    curve = report.curves["held_out_loss_by_step"]
    assert [(metric.step, metric.value) for metric in history] == [(int(x), found.value) for x, found in curve]
    assert "eval/curves.png" in {artifact.path for artifact in client.list_artifacts(parent.info.run_id, "eval")}
    beside = {artifact.path for artifact in client.list_artifacts(parent.info.run_id, "eval/nearest")}
    assert beside == {f"eval/nearest/nearest-{label}.png" for label in ("held-out", "ddim-5", "ddpm-4")}


def test_every_result_carries_its_protocol(client: MlflowClient) -> None:
    parent, children = runs_of(client)
    drawn = [run for name, run in children.items() if name != "training"]
    assert drawn
    for run in (parent, *drawn):
        told = {
            key.removeprefix("noisette.protocol."): value
            for key, value in run.data.tags.items()
            if key.startswith("noisette.protocol.")
        }
        assert len(told["weights_sha256"]) == 64
        assert {
            "features",
            "resize",
            "precision",
            "reference_split",
            "reference_count",
            "generated_count",
        } <= told.keys()
        assert {"heldout_count", "ema", "seed", "checkpoint", "noisette", "torch"} <= told.keys()
        assert "ddim steps=5" in told["samplers"]
