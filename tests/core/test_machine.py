from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from support.environment import bytecode

from noisette import NoisetteError, machine
from noisette.machine import Machine, device_type

GIVEN_BACK = """
import sys, torch
from noisette.machine import keep_freed_memory
print(keep_freed_memory() if sys.argv[1] == "kept" else False)
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 >> 20
blocks = [torch.ones(3 << 20) for _ in range(4)]
held = resident()
del blocks
print(held - resident())
"""


def told(*arguments: str, **environment: str) -> tuple[bool, int]:
    """Return whether freed memory is kept, and how much of 48 MiB was given back to the kernel, in MiB."""
    call = [sys.executable, "-c", GIVEN_BACK, *arguments]
    said = subprocess.run(
        call, env={**bytecode(), **environment}, capture_output=True, text=True, check=True
    ).stdout.split()
    return said[0] == "True", int(said[1])


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mallopt is glibc's")
def test_freed_memory_is_kept_unless_the_environment_says_otherwise() -> None:
    kept, given_back = told("kept")
    if not kept:
        pytest.skip("the C library is not glibc")
    assert given_back < 4
    plain, given_back = told("plain")
    assert not plain
    assert given_back > 32
    assert told("kept", MALLOC_TRIM_THRESHOLD_="131072")[0] is False
    assert told("kept", GLIBC_TUNABLES="glibc.malloc.trim_threshold=131072")[0] is False


@pytest.mark.parametrize(
    ("precision", "multiplies", "expected"),
    [
        ("auto", True, "bf16"),
        ("auto", False, "fp32"),
        ("bf16", False, "bf16"),
        ("fp32", True, "fp32"),
        ("fp16", True, "fp32"),
    ],
)
def test_precision_is_chosen_by_the_machine(
    monkeypatch: pytest.MonkeyPatch, precision: machine.Precision, multiplies: bool, expected: str
) -> None:
    monkeypatch.setattr(machine, "_has_fast_bf16", lambda device: multiplies)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    here = Machine.detect(precision)
    assert here.precision == expected
    assert here.channels_last


@pytest.mark.parametrize(
    ("asked", "has_gpu", "chosen"),
    [("", True, "cuda"), ("", False, "cpu"), ("cpu", True, "cpu"), ("cpu", False, "cpu"), ("cuda", True, "cuda")],
)
def test_the_environment_chooses_the_device(
    monkeypatch: pytest.MonkeyPatch, asked: str, has_gpu: bool, chosen: str
) -> None:
    monkeypatch.setenv("NOISETTE_DEVICE", asked)
    monkeypatch.setattr("torch.cuda.is_available", lambda: has_gpu)
    assert device_type() == chosen


@pytest.mark.parametrize(("asked", "message"), [("cuda", "finds no usable GPU"), ("tpu", "expected cpu or cuda")])
def test_a_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch, asked: str, message: str) -> None:
    monkeypatch.setenv("NOISETTE_DEVICE", asked)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(NoisetteError, match=message):
        Machine.detect()
