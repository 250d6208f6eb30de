"""The list of trained runs, and their removal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.tiny import tiny
from typer.testing import CliRunner

from noisette import StorageError
from noisette.checkpoint import checkpoint_path
from noisette.errors import OwnedError
from noisette.layout import training_directory
from noisette.plugins import registry
from noisette.runs import remove_run, trained_runs
from noisette.storage import committed, owned
from noisette_flows.cli import app

LR = ("training.lr=0.01",)


def write(root: Path, *overrides: str, step: int = 12) -> Path:
    """Write what a training leaves after a step, but for its weights."""
    experiment = tiny(*overrides)
    run = training_directory(experiment, root)
    plugins = registry().origins_of([experiment.schedule, experiment.objective, experiment.backbone])
    about = {"step": step, "experiment": experiment.options(), "plugins": plugins, "data": "d", "classes": []}
    with committed(checkpoint_path(run, step), "checkpoint", {**about, "shape": [1, 8, 8]}) as staging:
        (staging / "network.safetensors").write_bytes(b"w" * 1000)
    return run


def test_runs_are_listed_with_what_differs_and_their_state(tmp_path: Path) -> None:
    first, second = write(tmp_path), write(tmp_path, *LR, step=7)
    (tmp_path / "data").mkdir()
    found = {run.directory: run for run in trained_runs(tmp_path)}
    assert set(found) == {first, second}
    assert (found[first].differs, found[second].differs) == ("lr=0.001", "lr=0.01")
    assert (found[first].state, found[first].step, found[first].steps) == ("finished", 12, 12)
    assert (found[second].state, found[second].step, found[second].steps) == ("stopped", 7, 12)
    assert found[first].bytes > 1000
    assert found[first].changed.startswith("20")


def test_a_run_at_work_is_said_to_be_and_is_not_removed(tmp_path: Path) -> None:
    run = write(tmp_path, step=7)
    with owned(run):
        assert trained_runs(tmp_path)[0].state == "training"
        with pytest.raises(OwnedError, match="a process is working in it"):
            remove_run(run)
        assert run.is_dir()
    remove_run(run)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_run_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    with pytest.raises(StorageError, match="expected a run directory"):
        remove_run(tmp_path / "precious")
    assert (tmp_path / "precious").is_dir()


def test_a_run_whose_plugin_is_gone_is_listed_all_the_same(tmp_path: Path) -> None:
    run = write(tmp_path)
    manifest = checkpoint_path(run, 12) / "MANIFEST.json"
    about = json.loads(manifest.read_text())["about"]
    about["experiment"]["backbone"]["name"] = "gone"
    with committed(checkpoint_path(run, 12), "checkpoint", about) as staging:
        (staging / "network.safetensors").write_bytes(b"w")
    assert [(one.directory, one.differs, one.state) for one in trained_runs(tmp_path)] == [(run, "", "finished")]


def command(*words: str, says: str = "") -> tuple[int, str]:
    done = CliRunner().invoke(app, ["runs", *words], input=says)
    return done.exit_code, done.output


def test_the_command_lists_asks_and_removes(tmp_path: Path) -> None:
    first, second = write(tmp_path), write(tmp_path, *LR, step=7)
    code, output = command("--output", str(tmp_path), "--json")
    assert code == 0
    assert {run["directory"] for run in json.loads(output)["runs"]} == {str(first), str(second)}
    assert second.name in command("--output", str(tmp_path))[1]
    remove = ("remove", second.name, "--output", str(tmp_path))
    code, output = command(*remove, says="n\n")
    assert (code, second.is_dir()) == (1, True)
    assert "Remove 1 of 2 runs?" in output
    assert command(*remove, says="")[0] == 1  # nobody answers
    assert second.is_dir()
    assert command(*remove, says="y\n")[0] == 0
    assert (second.is_dir(), first.is_dir()) == (False, True)
    assert command("remove", str(first), "--yes", "--output", str(tmp_path))[0] == 0
    assert not first.is_dir()
    assert command("--output", str(tmp_path))[1] == f"{tmp_path}: no trained runs\n"


def test_a_run_elsewhere_of_the_same_name_is_not_meant(tmp_path: Path) -> None:
    here = write(tmp_path / "here")
    done = CliRunner().invoke(
        app, ["runs", "remove", f"{tmp_path}/there/{here.name}", "-y", "-o", f"{tmp_path}/here"]
    )
    assert isinstance(done.exception, StorageError)
    assert here.is_dir()
