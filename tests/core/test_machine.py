from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from noisette import machine
from noisette.machine import Machine

FAULTS = """
import resource, sys, torch
from noisette.allocator import keep_freed_memory
print(keep_freed_memory() if sys.argv[1] == "kept" else False)
def work():
    blocks = [torch.ones(3 << 20) for _ in range(4)]
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
work()
before = faults()
for _ in range(20):
    work()
print(faults() - before)
"""


def told(*arguments: str, **environment: str) -> tuple[str, int]:
    """Return whether freed memory was kept, and the page faults of allocating and freeing again and again."""
    call = [sys.executable, "-c", FAULTS, *arguments]
    said = subprocess.run(call, env=environment, capture_output=True, text=True, check=True).stdout.split()
    return said[0], int(said[1])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mallopt is glibc's")
def test_freed_memory_is_kept_unless_the_environment_says_otherwise() -> None:
    kept, faults = told("kept")
    if kept == "False":
        pytest.skip("the C library is not glibc")
    plain, many = told("plain")
    assert plain == "False"
    assert faults * 10 < many
    assert told("kept", MALLOC_TRIM_THRESHOLD_="131072")[0] == "False"
    assert told("kept", GLIBC_TUNABLES="glibc.malloc.trim_threshold=131072")[0] == "False"


@pytest.mark.parametrize(
    ("precision", "multiplies", "expected"),
    [("auto", True, "bf16"), ("auto", False, "fp32"), ("bf16", False, "bf16"), ("fp32", True, "fp32")],
)
def test_precision_is_chosen_by_the_machine(
    monkeypatch: pytest.MonkeyPatch, precision: machine.Precision, multiplies: bool, expected: str
) -> None:
    monkeypatch.setattr(machine, "_multiplies_bf16", lambda device: multiplies)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    here = Machine.here(precision)
    assert here.precision == expected
    assert here.channels_last == (expected == "bf16")
