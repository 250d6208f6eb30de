"""The one line for pytest, in a pytest of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from noisette import PluginError
from noisette.testing import checks_for, parametrize_with_checks
from noisette_plugins.backbones import UNet
from noisette_plugins.samplers import DDIM
from noisette_plugins.schedules import Cosine, Linear

SUITE = '''
from typing import ClassVar
from noisette.testing import parametrize_with_checks
from noisette_plugins.schedules import Linear

class Bright(Linear):
    """Ends too early."""

    def betas(self, timesteps):
        return super().betas(timesteps) / 10

@parametrize_with_checks([Bright])
def test_plain(plugin, check):
    check(plugin)

@parametrize_with_checks([Bright(scaled=True)], {"final-signal-is-small": "on purpose"})
def test_expected(plugin, check):
    check(plugin)

@parametrize_with_checks([Linear()], {"snr-decreases": "I thought so"})
def test_not_as_expected(plugin, check):
    check(plugin)
'''


def ids(mark: pytest.MarkDecorator) -> list[str]:
    return [str(parameter.id) for parameter in mark.args[1]]


def test_names_are_readable() -> None:
    names = ids(parametrize_with_checks([DDIM(steps=20, eta=1.0), Cosine]))
    assert "DDIM(steps=20, eta=1.0)-last-step-adds-no-noise" in names
    assert "Cosine()-snr-decreases" in names
    assert len(names) == len(checks_for(DDIM)) + len(checks_for(Cosine))


def test_slow_checks_are_left_out_unless_asked_for() -> None:
    plugin = UNet(channels=8, multipliers=(1,), attention=(), groups=4)
    assert not [name for name in ids(parametrize_with_checks([plugin])) if name.endswith("compiled-agrees")]
    assert [name for name in ids(parametrize_with_checks([plugin], slow=True)) if name.endswith("compiled-agrees")]


def test_a_misspelt_expectation_is_refused_at_once() -> None:
    with pytest.raises(PluginError, match="did you mean 'snr-decreases'"):
        parametrize_with_checks([Linear()], {"snr-decrease": "typing"})


@pytest.mark.slow
def test_a_suite_of_a_stranger(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(SUITE)
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", "test_mine.py"]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "COLUMNS": "400"}, capture_output=True, text=True, check=False
    )
    said, checks = done.stdout, len(checks_for(Linear))
    for failed in ("final-signal-is-small", "options-keep-final-signal-small", "betas-match-the-paper"):
        assert f"FAILED test_mine.py::test_plain[Bright()-{failed}]" in said
    assert "Bright(): alpha²" in said
    assert "FAILED test_mine.py::test_not_as_expected[Linear()-snr-decreases]" in said
    assert "XFAIL test_mine.py::test_expected[Bright(scaled=True)-final-signal-is-small] - on purpose" in said
    assert "test_mine uses noisette.testing itself" in said, "a plugin inside a test file is not blamed for the kit"
    assert f"6 failed, {3 * checks - 9} passed, 2 skipped, 1 xfailed" in said.strip().splitlines()[-1], said
