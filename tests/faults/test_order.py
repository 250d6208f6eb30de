"""What is written reaches the disk before its name does: seen in the calls that a process makes."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.jobs import job_without_fsync, prepare_job, sample_job, train_job, waiting_job
from support.reliability import Result
from support.trial import start_trial

Record = Callable[[Result], None]
SECTION = "Write order"
CALLS = "fsync,rename,renameat,renameat2,write,pwrite64,writev,ftruncate"
CALL = re.compile(r"^(\d+) +(?:<\.\.\. )?(\w+)(?: resumed>|\()(.*)$")
PATH = re.compile(r"<(/[^>]*)>|\"(/[^\"]*)\"")


@dataclass(frozen=True)
class Call:
    """One call of the system with the paths it was given."""

    name: str
    paths: tuple[Path, ...]


def traced(folder: Path, *job: Any) -> list[Call]:
    """Return the calls of a job, in the order in which they were finished."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed (apt-get install strace)")
    with start_trial(folder, waiting_job, *job) as trial:
        out = folder / "calls"
        command = ["strace", "-f", "-y", "-s", "4096", "-e", f"trace={CALLS}", "-o", out, "-p", str(trial.pid)]
        watcher = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert watcher.stderr is not None
        said = watcher.stderr.readline()
        if "attached" not in said:
            pytest.skip(f"strace may not watch a process here: {said.strip()}")
        (folder / "go").touch()
        assert trial.end() == 0, trial.text
        watcher.wait(60)
    return parsed(out.read_text(errors="replace"))


def parsed(text: str) -> list[Call]:
    calls, begun = [], dict[str, str]()
    for line in text.splitlines():
        found = CALL.match(line)
        if found is None:
            continue
        thread, name, rest = found.groups()
        if "<unfinished ...>" in rest:
            begun[thread] = rest
            continue
        rest = begun.pop(thread, "") + rest if "resumed>" in line else rest
        paths = tuple(Path(one or other) for one, other in PATH.findall(rest))
        if rest.rstrip().endswith("= 0") or name.startswith(("write", "pwrite")):
            calls.append(Call(name, paths))
    return calls


def commits(calls: list[Call]) -> list[int]:
    """Return where directories get their names."""
    return [
        place
        for place, call in enumerate(calls)
        if call.name.startswith("rename") and call.paths[0].name.startswith((".staging-", ".partial-"))
    ]


def faults(calls: list[Call], at: int) -> list[str]:
    """Return what is wrong about the way to one rename and on from it."""
    staging, target = calls[at].paths
    flushed = {call.paths[0]: place for place, call in enumerate(calls[:at]) if call.name == "fsync" and call.paths}
    written: dict[Path, int] = {}
    for place, call in enumerate(calls[:at]):
        if call.name in ("write", "pwrite64", "writev", "ftruncate") and call.paths:
            written[call.paths[0]] = place
    files = [path for path in target.iterdir() if not path.name.startswith(".")]
    wrong = [f"{file.name} was not flushed" for file in files if staging / file.name not in flushed]
    wrong += [
        f"{file.name} was written to after it was flushed"
        for file in files
        if written.get(staging / file.name, -1) > flushed.get(staging / file.name, at)
    ]
    last = max((flushed.get(staging / file.name, -1) for file in files), default=-1)
    if flushed.get(staging, -1) < last or staging not in flushed:
        wrong.append("the directory was not flushed after its files")
    if flushed.get(staging / "MANIFEST.json", -1) < last:
        wrong.append("the manifest was not the last file")
    if not any(call.name == "fsync" and call.paths == (target.parent,) for call in calls[at:]):
        wrong.append("the folder of the new name was not flushed")
    return wrong


def test_files_then_directory_then_name_then_folder(finished_root: Path, tmp_path: Path, record: Record) -> None:
    wrong: list[str] = []
    count = 0
    for job, overrides in (
        (train_job, ("training.steps=46",)),
        (sample_job, ()),
        (prepare_job, ("preparation.limit=50",)),
    ):
        folder = tmp_path / job.__name__
        shutil.copytree(finished_root, folder / "runs")
        calls = traced(folder, job, folder / "runs", overrides)
        assert commits(calls), "there was something to see"
        count += len(commits(calls))
        wrong += [fault for place in commits(calls) for fault in faults(calls, place)]
    shutil.copytree(finished_root, tmp_path / "control" / "runs")
    control_job = (job_without_fsync, prepare_job, tmp_path / "control" / "runs", ("preparation.limit=50",))
    calls = traced(tmp_path / "control", *control_job)
    blind = [fault for place in commits(calls) for fault in faults(calls, place)]
    seen = {"in order": "files, directory, rename, parent folder"}
    control = {"found by the same check without fsync": f"{len(blind)} faults"}
    record(
        Result(SECTION, "strace of training, sampling and preparation", count, count - len(wrong), seen, control)
    )
    assert wrong == []
    assert blind
