"""`noisette plugins check`: what it prints, for people and for programs, and its exit codes."""

from __future__ import annotations

import json
import subprocess

import pytest
from support.packages import install
from support.workspace import Workspace

from noisette.plugins import registry
from noisette.testing import checks_for

pytestmark = pytest.mark.slow

SOFT = '''
from typing import ClassVar
from noisette import Schedule, hookimpl
from pydantic import Field

class Soft(Schedule):
    """A signal that dies exponentially."""
    name: ClassVar[str] = "soft"
    depth: float = Field(10.0, gt=0, description="alpha squared ends at exp(-depth)")

    def betas(self, timesteps):
        import torch
        t = torch.arange(timesteps + 1, dtype=torch.float64) / timesteps
        return -torch.expm1((-self.depth * t**2).diff())

@hookimpl
def plugins():
    yield Soft
'''
RETURN = "        return -torch.expm1"
ROUNDED = SOFT.replace(".diff())", ".diff()).float().double()")
TALKATIVE = SOFT.replace(RETURN, '        print("{not json", timesteps)\n' + RETURN)
LEAVING = SOFT.replace(RETURN, "        raise SystemExit(0)\n" + RETURN)
PAPER = "betas-match-the-paper"  # of no paper that the check knows
ASSERTING = SOFT.replace(RETURN, "        assert timesteps == 1000\n" + RETURN)


def check(workspace: Workspace, source: str, *words: str) -> subprocess.CompletedProcess[str]:
    install(workspace.folder, "noisette-soft", source)
    return workspace.noisette("plugins", "check", *words, PYTHONPATH=str(workspace.folder))


def test_a_right_plugin_passes_with_a_line_for_each_check(workspace: Workspace) -> None:
    done = check(workspace, SOFT, "soft")
    assert done.returncode == 0, done.stderr
    first, *lines, counts = done.stdout.splitlines()[:-1]
    assert first == "schedule soft  noisette-soft 1.5"
    names = [one.name for one in checks_for(registry().find("schedule", "linear").plugin())]
    told = [line.split()[:2] for line in lines if not line.startswith("          ")]
    assert told == [["skipped" if name == PAPER else "passed", name] for name in names]
    assert counts == f"{len(names) - 1} passed, 1 skipped"


def test_a_wrong_one_fails_and_says_what_was_expected_and_what_came(workspace: Workspace) -> None:
    done = check(workspace, ROUNDED, "schedule", "soft")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    failed = lines.index(" failed   computed-in-float64")
    assert lines[failed + 1] == (
        "          Soft(): precision of the betas: expected float64; got float32: every beta is a float32 number"
    )
    assert lines[-2].endswith(", 1 failed, 1 skipped")


def test_a_failure_that_is_expected_is_none(workspace: Workspace) -> None:
    done = check(workspace, ROUNDED, "soft", "--expected-failed", "computed-in-float64=my GPU has none")
    assert done.returncode == 0
    assert " failed as expected computed-in-float64\n          my GPU has none: Soft(): precision" in done.stdout
    assert done.stdout.splitlines()[-2].endswith(" passed, 1 skipped, 1 failed as expected")


def test_an_expected_failure_that_passes_is_one(workspace: Workspace) -> None:
    done = check(workspace, SOFT, "soft", "--expected-failed", "computed-in-float64=my GPU has none")
    assert done.returncode == 1
    assert "was expected to fail (my GPU has none) but passed" in done.stdout


def test_programs_get_one_document_whatever_a_plugin_prints(workspace: Workspace) -> None:
    done = check(workspace, TALKATIVE, "soft", "--json", "--expected-failed", "computed-in-float64=x")
    assert done.returncode == 1
    (told,) = json.loads(done.stdout)
    assert "{not json" in done.stderr
    assert (told["kind"], told["name"], told["distribution"], told["version"]) == (
        "schedule",
        "soft",
        "noisette-soft",
        "1.5",
    )
    outcomes = [one["outcome"] for one in told["checks"]]
    assert told["counts"] == {kind: outcomes.count(kind) for kind in ("passed", "failed", "skipped", "expected")}
    (wrong,) = (one for one in told["checks"] if one["outcome"] == "failed")
    assert set(wrong) == {"check", "outcome", "message", "seconds", "cause"}
    assert (wrong["check"], wrong["seconds"] >= 0) == ("computed-in-float64", True)


def test_options_are_checked_as_they_are_set(workspace: Workspace) -> None:
    done = check(workspace, SOFT, "soft", "--set", "depth=3")
    assert done.returncode == 1
    assert "Soft(depth=3.0): alpha² at the last of 1000 timesteps: expected at most 1e-3; got 0.0498" in done.stdout


def test_what_cannot_be_checked_here_is_skipped_with_its_reason_once(workspace: Workspace) -> None:
    missing = str(workspace.folder / "nothing")
    done = workspace.noisette("plugins", "check", "image-folder", "--set", f"path={missing}")
    assert done.returncode == 0, done.stdout
    assert done.stdout.count(f"expected a folder at {missing}; there is none") == 1
    assert " skipped  has-images\n          ImageFolder(" in done.stdout
    assert " (for the same reason as " in done.stdout


@pytest.mark.parametrize(("source", "came"), [(LEAVING, "SystemExit: 0 ("), (ASSERTING, "AssertionError (")])
def test_a_plugin_that_leaves_or_asserts_fails_and_is_told_where(
    workspace: Workspace, source: str, came: str
) -> None:
    done = check(workspace, source, "soft")
    assert done.returncode == 1
    assert f"expected no error; got {came}" in done.stdout
    assert "noisette_soft.py:" in done.stdout
    assert done.stdout.splitlines()[-2].endswith(" failed, 1 skipped")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["sotf"], "did you mean 'soft'?"),
        (["sampler", "soft"], "no sampler 'soft'"),
        (["scheduel", "soft"], "did you mean 'schedule'?"),
        (["soft", "--expected-failed", "computed-in-float46=x"], "did you mean 'computed-in-float64'?"),
        (["soft", "--expected-failed", "computed-in-float64"], "expected CHECK=REASON"),
        (["soft", "--expected-failed", "computed-in-float64= "], "expected CHECK=REASON"),
        (["soft", "--set", "dept=3"], "dept: unknown key; known are depth (did you mean 'depth'?)"),
        (["soft", "--set", "depth=-3"], "depth: expected a number greater than 0; got -3"),
        (["soft", "--set", "depth"], "expected PATH=VALUE"),
        (["image-folder"], "path: is required (give it with --set path=VALUE)"),
    ],
    ids=" ".join,
)
def test_a_wrong_request_ends_in_2_before_any_check(workspace: Workspace, words: list[str], reason: str) -> None:
    done = check(workspace, SOFT, *words)
    assert done.returncode == 2
    assert done.stdout == ""
    assert reason in " ".join(done.stderr.replace("│", " ").split())
    assert "Traceback" not in done.stderr


def test_a_broken_package_is_quoted_where_its_plugin_is_missed(workspace: Workspace) -> None:
    done = check(workspace, SOFT.replace("from typing", "import no_such_module\nfrom typing"), "soft")
    assert done.returncode == 2
    assert "noisette-soft 1.5, entry point 'main'" in done.stderr
    assert "no_such_module" in done.stderr
