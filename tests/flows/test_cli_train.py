from __future__ import annotations

import pytest
from support.workspace import Workspace

from noisette.checkpoint import find_latest_checkpoint


@pytest.mark.slow
def test_two_processes_train_what_the_command_says(served: Workspace) -> None:
    assert served.noisette("prepare", "tiny.yaml").returncode == 0
    done = served.noisette("train", "tiny.yaml", "--nproc", "2", "--tracking-uri", "off")
    assert done.returncode == 0, done.stderr
    assert "12/12 steps" in done.stderr
    (run,) = served.runs
    checkpoint = find_latest_checkpoint(run)
    assert checkpoint is not None
    assert (checkpoint.step, checkpoint.about["machine"]["processes"]) == (12, 2)

    again = served.noisette("train", "tiny.yaml", "--tracking-uri", "off")
    assert "finished before" in again.stderr  # how many processes trained it makes no other run


def test_too_many_processes_are_refused(workspace: Workspace) -> None:
    done = workspace.noisette("train", "tiny.yaml", "--nproc", "9")
    assert done.returncode == 2
    assert "training.processes: expected at most training.batch_size, 8" in done.stderr
