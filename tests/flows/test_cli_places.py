"""Folders of results that cannot be used: one message that names the place, exit code 2, no traceback."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.workspace import FinishedRun, Workspace


@pytest.fixture
def read_only(served: Workspace, finished: FinishedRun) -> Iterator[Path]:
    """A results folder with everything finished, on a file system that takes nothing more."""
    runs = served.folder / "runs"
    runs.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", runs], capture_output=True).returncode:
        pytest.skip("mounting a file system needs root")
    try:
        shutil.copytree(finished.workspace.folder / "runs", runs, dirs_exist_ok=True)
        assert served.noisette("run", "tiny.yaml").returncode == 0  # it is in MLflow, too
        subprocess.run(["mount", "-o", "remount,ro", runs], check=True)
        yield runs
    finally:
        subprocess.run(["umount", "-l", runs], check=True)


def test_a_read_only_folder_still_shows_what_is_finished_and_refuses_the_rest(
    served: Workspace, read_only: Path
) -> None:
    again = served.noisette("run", "tiny.yaml")
    assert again.returncode == 0
    assert "ddim-5" in again.stdout
    for more in (
        ["run", "tiny.yaml", "--set", "seed=1"],
        ["compare", "tiny.yaml", "--steps", "3", "--num-images", "4"],
    ):
        done = served.noisette(*more)
        assert done.returncode == 2
        assert "Read-only file system" in done.stderr
        assert "Traceback" not in done.stderr
    elsewhere = served.noisette("prepare", "tiny.yaml", "--output", "elsewhere")
    assert elsewhere.returncode == 0  # the control


@pytest.mark.parametrize("kind", ["a link to nowhere", "a file"])
def test_a_results_folder_that_is_none_is_one_message(served: Workspace, kind: str) -> None:
    runs = served.folder / "runs"
    if kind == "a file":
        runs.touch()
    else:
        runs.symlink_to("nowhere")
    done = served.noisette("prepare", "tiny.yaml")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("runs")
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_damaged_settings_of_prefect_are_one_message(workspace: Workspace) -> None:
    home = workspace.folder / "prefect"
    home.mkdir(exist_ok=True)
    (home / "profiles.toml").write_text("[[[")
    done = workspace.noisette("prepare", "tiny.yaml")
    assert done.returncode == 2
    assert f"correct or remove {home}/profiles.toml" in done.stderr
    assert "Traceback" not in done.stderr
