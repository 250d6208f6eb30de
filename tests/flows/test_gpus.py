"""Flow runs of one machine do not share a GPU, whoever dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from noisette_flows.gpus import COUNT, GpuLock

HOLDER = """
import sys, time
from noisette_flows.gpus import GpuLock
lock = GpuLock(1, "the first")
print(lock.take(), flush=True)
time.sleep(600)
"""


@pytest.fixture(autouse=True)
def _machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with two GPUs, and a folder for temporary files of its own."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.delenv(COUNT, raising=False)


def test_each_holds_a_gpu_of_its_own_and_a_third_waits_for_the_first_that_is_given_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second, third = GpuLock(1, "first"), GpuLock(1, "second"), GpuLock(1, "third")
    assert first.take()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"
    assert second.take()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "1"
    assert not third.take()
    assert third.holders() == ["first", "second"]
    second.release()
    assert third.holders() == ["first"]
    assert third.take()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "1"


def test_a_training_on_several_gpus_takes_all_or_none() -> None:
    single, double, single_again = GpuLock(1, "single"), GpuLock(2, "double"), GpuLock(1, "single again")
    assert single.take()
    assert not double.take()
    assert single_again.take(), "the one that waits holds nothing"
    single.release()
    single_again.release()
    assert double.take()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,1"


@pytest.mark.parametrize(("gpus", "count", "at_once"), [("", "", 1), ("", "3", 3), ("0", "2", 2), ("0,1", "1", 1)])
def test_a_machine_without_a_gpu_counts_as_one_and_a_number_may_be_given(
    monkeypatch: pytest.MonkeyPatch, gpus: str, count: str, at_once: int
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", gpus)
    monkeypatch.setenv(COUNT, count)
    holds = [GpuLock(1, str(index)) for index in range(4)]
    assert [hold.take() for hold in holds] == [index < at_once for index in range(4)]
    assert os.environ["CUDA_VISIBLE_DEVICES"] == gpus.partition(",")[0]


def test_gpus_are_counted_from_nought_whatever_the_kernel_calls_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr("noisette_flows.gpus._DEVICES", tmp_path)
    for name in ("nvidia3", "nvidia5", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    assert GpuLock(4, "all of them").take()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,1"


def test_workers_with_a_gpu_each_do_not_wait_for_one_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    one = GpuLock(1, "one")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    other, third = GpuLock(1, "other"), GpuLock(1, "third")
    assert one.take()
    assert other.take()
    assert not third.take()


def test_a_gpu_is_free_when_its_holder_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(COUNT, "1")
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    job = subprocess.Popen([sys.executable, "-c", HOLDER], env=environment, stdout=subprocess.PIPE, text=True)
    assert job.stdout is not None
    try:
        assert job.stdout.readline().strip() == "True"
        waits = GpuLock(1, "the second")
        assert not waits.take()
        assert waits.holders() == ["the first"]
    finally:
        job.send_signal(signal.SIGKILL)
        job.wait()
    assert waits.take()


def test_what_holds_a_gpu_is_one_printable_line() -> None:
    first, second = GpuLock(2, "na\x1b[31mme\n\r of it"), GpuLock(1, "second")
    assert first.take()
    assert second.holders() == ["na[31mme of it"]
