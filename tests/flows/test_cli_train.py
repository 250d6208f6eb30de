from __future__ import annotations

import pytest
from support.workshop import Workshop

from noisette.checkpoint import latest


@pytest.mark.slow
def test_two_processes_train_what_the_command_says(served: Workshop) -> None:
    assert served.noisette("prepare", "tiny.yaml").returncode == 0
    done = served.noisette("train", "tiny.yaml", "--nproc", "2", "--tracking-uri", "off")
    assert done.returncode == 0, done.stderr
    assert "12/12 steps" in done.stderr
    (run,) = served.runs
    checkpoint = latest(run)
    assert checkpoint is not None
    assert (checkpoint.step, checkpoint.about["machine"]["processes"]) == (12, 2)

    again = served.noisette("train", "tiny.yaml", "--tracking-uri", "off")
    assert "finished before" in again.stderr  # how many processes trained it makes no other run


def test_too_many_processes_are_refused(workshop: Workshop) -> None:
    done = workshop.noisette("train", "tiny.yaml", "--nproc", "9")
    assert done.returncode == 2
    assert "training.processes: expected at most training.batch_size, 8" in done.stderr
