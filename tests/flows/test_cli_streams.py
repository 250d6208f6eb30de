"""What reads a command's output may go away, and its terminal may close: the work goes on or is saved."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from support.processes import wait_until
from support.workspace import COMMAND, FinishedRun, Workspace, patient

from noisette.checkpoint import find_finished_checkpoint, find_latest_checkpoint
from noisette_flows.cli.streams import LossyFile, lossy_streams

LONG = ("--set", "training.steps=100000", "--set", "training.checkpoint_every=100000")


def test_a_training_outlives_the_reader_of_its_progress(served: Workspace) -> None:
    with served.start("run", "tiny.yaml") as process:
        assert process.stderr is not None
        assert process.stderr.readline()
        process.stderr.close()
        assert process.stdout is not None
        table = process.stdout.read()
        assert process.wait(600) == 0
    assert "ddim-5" in table
    assert find_finished_checkpoint(served.runs[0], 12) is not None


def test_a_reader_of_the_table_may_have_seen_enough(finished: FinishedRun) -> None:
    command = f"{COMMAND} run tiny.yaml | head -c 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=finished.workspace.folder,
        env=finished.workspace.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split()[-1][-1:] == "0"
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_a_table_that_cannot_be_written_is_one_message(workspace: Workspace) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [COMMAND, "plugins", "list"],
            cwd=workspace.folder,
            env=workspace.environment,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr == (
        "standard output: cannot be written: No space left on device; the results themselves are saved\n"
    )


def test_a_lossy_file_drops_what_an_ordinary_one_cannot_write() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with pytest.raises(BrokenPipeError):  # the control
        os.write(writer, b"lost")
    file = LossyFile(writer)
    assert file.write(b"lost") == 4
    assert isinstance(file.failure, BrokenPipeError)
    os.close(writer)


def test_streams_are_what_they_were_behind_the_block(capfd: pytest.CaptureFixture[str]) -> None:
    with lossy_streams() as output:
        assert output is not None
        print("written")
        assert output.loss() == ""
    assert capfd.readouterr().out == "written\n"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_a_closed_terminal_or_many_ctrl_cs_leave_a_checkpoint(workspace: Workspace, number: int) -> None:
    with patient(workspace).start("run", "tiny.yaml", *LONG) as process:
        wait_until(lambda: _trains(workspace), "no training began")
        while process.poll() is None:
            os.killpg(process.pid, number)
            time.sleep(0.1)
        assert process.returncode == 128 + number
    checkpoint = find_latest_checkpoint(workspace.runs[0])
    assert checkpoint is not None
    assert checkpoint.step > 0


def _trains(workspace: Workspace) -> bool:
    """Return whether a step is in the journal, by when signals are held back until a step is saved."""
    return (workspace.folder / "runs").exists() and any(
        path.stat().st_size > 0 for run in workspace.runs for path in run.glob("metrics.jsonl")
    )
