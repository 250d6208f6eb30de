"""A project that was moved or copied: nothing is doubled, and nothing is written into the place where it was."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.tracking._tracking_service import utils
from support.workspace import FinishedRun

from noisette import Experiment
from noisette_flows.liveness import find_killed_flow_runs, hold_liveness_lock
from noisette_flows.tracking import Mirror, Store, SyncState, is_behind
from noisette_flows.tracking.sync_state import RunLock, find_killed

pytestmark = pytest.mark.slow


class Project:
    """A folder with a finished run and its store."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.store = folder, Store.in_file(folder / "mlflow.db")
        (self.run,) = (path.parent for path in folder.glob("runs/*/mlflow.json"))

    def mirror(self, run: Path | None = None) -> Mirror:
        return Mirror(Experiment.load(self.folder / "tiny.yaml"), run or self.run, self.store, {})

    def runs(self) -> list[Run]:
        client = MlflowClient(self.store.for_client())
        experiment = client.get_experiment_by_name("tiny")
        assert experiment is not None
        return list(client.search_runs([experiment.experiment_id]))

    def files(self) -> dict[Path, tuple[int, int]]:
        """Return size and time of every file."""
        found = {path: path.stat() for path in self.folder.rglob("*") if path.is_file()}
        return {path: (stat.st_size, stat.st_mtime_ns) for path, stat in found.items()}


@pytest.fixture(autouse=True)
def _as_in_a_new_process() -> None:
    """Have MLflow forget where the files of each run are, as the runs of a copy have the same ids."""
    utils._artifact_repos_cache.clear()


@pytest.fixture
def original(finished: FinishedRun, tmp_path: Path) -> Project:
    """A project that was copied from elsewhere, and has been at home here since."""
    folder = tmp_path / "original"
    shutil.copytree(finished.workspace.folder, folder, ignore=shutil.ignore_patterns("prefect", "features"))
    project = Project(folder)
    project.store.prepare()
    return project


@pytest.mark.parametrize("name", ["copy", "per cent%20 #hash"])
def test_a_copy_goes_on_on_its_own(original: Project, tmp_path: Path, name: str) -> None:
    shutil.copytree(original.folder, tmp_path / name)
    copy, before = Project(tmp_path / name), original.files()
    assert is_behind(copy.run, copy.store)
    grid = copy.run / "grids" / "step-999999.png"
    grid.parent.mkdir(exist_ok=True)
    shutil.copy(next(copy.run.glob("samples/*/grid.png")), grid)
    copy.mirror().sync({"parent": "FINISHED"})
    assert not is_behind(copy.run, copy.store)
    assert {run.info.run_id for run in copy.runs()} == {run.info.run_id for run in original.runs()}
    place = (copy.folder / "mlartifacts").as_uri()
    assert all(run.info.artifact_uri.startswith(f"{place}/") for run in copy.runs())
    (parent,) = [run for run in copy.runs() if "mlflow.parentRunId" not in run.data.tags]
    assert parent.data.tags["noisette.directory"] == str(copy.run)
    assert list((copy.folder / "mlartifacts").rglob("*999999*"))
    assert original.files() == before, "nothing was written there"
    control = [run.info.artifact_uri for run in original.runs()]
    assert all(str(original.folder) in place for place in control), "which is what the copy had before"


def test_a_moved_project_is_at_home_in_its_new_place(original: Project, tmp_path: Path) -> None:
    once = {run.info.run_id for run in original.runs()}
    moved = Project(original.folder.rename(tmp_path / "moved"))
    moved.mirror().sync({"parent": "FINISHED"})
    assert {run.info.run_id for run in moved.runs()} == once
    assert not original.folder.exists()
    (parent,) = [run for run in moved.runs() if "mlflow.parentRunId" not in run.data.tags]
    client = MlflowClient(moved.store.for_client())
    assert "tiny" in Path(client.download_artifacts(parent.info.run_id, "config.yaml")).read_text()


def test_a_moved_run_keeps_its_mlflow_runs_and_a_copied_one_gets_its_own(original: Project) -> None:
    once = {run.info.run_id for run in original.runs()}
    moved = original.run.rename(original.run.with_name("tiny-moved"))
    original.mirror(moved).sync({"parent": "FINISHED"})
    assert {run.info.run_id for run in original.runs()} == once
    copied = Path(shutil.copytree(moved, moved.with_name("tiny-copied")))
    original.mirror(copied).sync({"parent": "FINISHED"})
    assert len(original.runs()) == 2 * len(once)
    directories = {run.data.tags.get("noisette.directory") for run in original.runs()} - {None}
    assert directories == {str(moved), str(copied)}
    assert SyncState.load(copied, original.store).runs.keys() == SyncState.load(moved, original.store).runs.keys()


def test_a_store_of_which_only_the_database_was_moved_keeps_its_files(original: Project, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    store = Store.in_file((original.folder / "mlflow.db").rename(tmp_path / "elsewhere" / "mlflow.db"))
    store.prepare()
    client = MlflowClient(store.for_client())
    experiment = client.get_experiment_by_name("tiny")
    assert experiment is not None
    assert experiment.artifact_location == (tmp_path / "elsewhere" / "mlartifacts" / "tiny").as_uri()
    runs = client.search_runs([experiment.experiment_id])
    places = [place for place in (original.folder / "mlartifacts").glob("tiny/*/artifacts") if place.is_dir()]
    assert len(places) >= 3
    assert {place.as_uri() for place in places} <= {run.info.artifact_uri for run in runs}


SERVER = Store("http://127.0.0.1:1", None)
"""A store that is never asked."""


def test_a_copy_of_a_living_run_says_nothing_of_its_process(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "tiny"
    run.mkdir(parents=True)
    run_lock = RunLock.take(run)
    assert run_lock is not None
    memory = SyncState.load(run, SERVER)
    memory.statuses = {"train": "RUNNING"}
    memory.save(run)
    with pytest.raises(KeyboardInterrupt), hold_liveness_lock(run, "an-id"):
        copy = Path(shutil.copytree(tmp_path / "runs", tmp_path / "copy"))
        assert list(find_killed_flow_runs(copy)) == list(find_killed_flow_runs(run.parent)) == []
        raise KeyboardInterrupt
    assert list(find_killed(copy, SERVER)) == list(find_killed(run.parent, SERVER)) == []
    run_lock.release()
    assert list(find_killed(run.parent, SERVER)) == [run], "the control: it is dead, and is no copy"
    assert [identity for identity, _ in find_killed_flow_runs(run.parent)] == ["an-id"]
    assert list(find_killed(copy, SERVER)) == list(find_killed_flow_runs(copy)) == []
    moved = run.parent.rename(tmp_path / "moved")
    assert list(find_killed(moved, SERVER)) == [moved / "tiny"]
