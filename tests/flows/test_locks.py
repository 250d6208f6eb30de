"""Locks that another process holds, and file systems without locks, are told apart."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from noisette_flows.gpus import GpuLock
from noisette_flows.liveness import find_killed_flow_runs
from noisette_flows.locks import lock_or_close, sign
from noisette_flows.tracking.sync_state import RunLock


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run directory with a file of a flow run that was killed; GPU locks lie beside it."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    run = tmp_path / "runs" / "a-run"
    run.mkdir(parents=True)
    handle = os.open(run / ".flow-an-id", os.O_RDWR | os.O_CREAT)
    sign(handle)
    os.close(handle)
    return run


TAKE: dict[str, Callable[[Path], object]] = {
    "gpu": lambda run: GpuLock(1, "a flow run").take(),
    "mlflow": lambda run: RunLock.take(run) is not None,
    "flow run": lambda run: [identity for identity, _ in find_killed_flow_runs(run.parent)] == ["an-id"],
}


def refuse(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def flock(handle: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)


@pytest.mark.parametrize("kind", TAKE)
def test_only_a_held_lock_counts_as_held(run: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    with monkeypatch.context() as patch:
        refuse(patch, errno.EWOULDBLOCK)
        assert not TAKE[kind](run)
    with monkeypatch.context() as patch:
        refuse(patch, errno.ENOLCK)
        with pytest.raises(OSError, match=os.strerror(errno.ENOLCK)):
            TAKE[kind](run)
    assert TAKE[kind](run), "control: it can be locked"


@pytest.mark.parametrize("number", [errno.EWOULDBLOCK, errno.ENOLCK])
def test_a_file_that_is_not_locked_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    handle = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    refuse(monkeypatch, number)
    try:
        assert not lock_or_close(handle)
    except OSError as error:
        assert error.errno == errno.ENOLCK  # noqa: PT017
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(handle)
