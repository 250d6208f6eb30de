"""The disk is full, or a file may grow no more: one message, the last good state stays, nothing half-done."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.jobs import evaluate_job, file_limited_job, overwrite_job, prepare_job, sample_job, train_job, training
from support.reliability import Result
from support.trial import start_trial
from support.workspace import make_workspace

from noisette.checkpoint import Checkpoint, find_finished_checkpoint, find_latest_checkpoint
from noisette.journal import JOURNAL, read_journal
from noisette.layout import training_directory

Record = Callable[[Result], None]
SECTION = "Full disk"
STEPS = 20
"""Steps that were trained before the disk filled up."""
BUSY = ("training.log_every=1", "training.checkpoint_every=1000")


@dataclass(frozen=True)
class Case:
    """A stage that writes what there is no room for.

    Attributes:
        what: what it writes.
        job: runs it.
        largest: bytes that a file may have.
        message: what the one message says.
        overrides: of the config; %s is the folder of images.
    """

    what: str
    job: Callable[..., None]
    largest: int
    message: str
    overrides: tuple[str, ...] = ()


CASES = [
    Case("a checkpoint", train_job, 200_000, "step-00000022: cannot be written"),
    Case("the journal", train_job, 4000, f"{JOURNAL}: cannot be written", BUSY),
    Case("samples", sample_job, 3000, ": cannot be written", ("sampling.num_images=400", "training.steps=20")),
    Case("features", evaluate_job, 100_000, ": cannot be written", ("training.steps=20",)),
    Case(
        "prepared images",
        prepare_job,
        300_000,
        ": cannot be written",
        ("dataset={name: image-folder, path: %s}",),
    ),
]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, generator = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for number in range(400):
        Image.fromarray(generator.integers(0, 256, (48, 48), dtype=np.uint8)).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory, finished_root: Path) -> Path:
    """A results folder in which a training stands at step 20, and a shorter one is finished and sampled."""
    folder = tmp_path_factory.mktemp("begun")
    root = folder / "runs"
    shutil.copytree(finished_root, root)
    run = training_directory(training(), root)
    for directory in (run / "checkpoints").iterdir():
        if directory.name != f"step-{STEPS:08d}":
            shutil.rmtree(directory)
    for job in (train_job, evaluate_job):
        with start_trial(folder, job, root, ("training.steps=20",)) as trial:
            assert trial.end() == 0, trial.text
    for results in (*root.glob("tiny-*/evaluations"), root / "features"):
        shutil.rmtree(results)
    return root


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of four megabytes, where we may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small file system needs root; the limit on files is tested everywhere")
    yield folder
    subprocess.run(["umount", folder], check=True)


def fill(folder: Path, leave: int) -> Path:
    """Fill a file system but for some bytes; return the file that does it."""
    filler = folder / "filler"
    room = shutil.disk_usage(folder).free - leave
    filler.write_bytes(b"\1" * max(0, room))
    return filler


def state(root: Path) -> dict[str, object]:
    """Return everything that is finished, by content, and what else lies in a results folder."""
    run = training_directory(training(), root)
    newest = find_latest_checkpoint(run)
    return {
        "checkpoint": None if newest is None else (newest.step, newest.digest),
        "shorter": find_finished_checkpoint(training_directory(training("training.steps=20"), root), STEPS),
        "temporary": [path.name for path in root.rglob(".*") if path.name != ".owner"],
        "samples": sorted(path.name for path in root.glob("tiny-*/samples/*")),
        "data": sorted(path.name for path in root.glob("data/*")),
    }


def told(text: str, case: Case) -> bool:
    """Return whether what was said is one message, about the right thing."""
    lines = [line for line in text.splitlines() if line]
    return len(lines) == 1 and case.message in lines[0] and "nothing was changed" in lines[0]


def attempt(case: Case, root: Path, folder: Path, images: Path, largest: int | None) -> tuple[int, str]:
    overrides = tuple(override.replace("%s", str(images)) for override in case.overrides)
    job = (case.job, root, overrides) if largest is None else (file_limited_job, case.job, largest, root, overrides)
    with start_trial(folder, *job) as trial:
        return trial.end(), trial.text


def check(case: Case, root: Path, folder: Path, images: Path, largest: int | None, codes: set[int]) -> list[str]:
    """Try to write without room; add the exit code, and return what was not as it should be."""
    before = state(root)
    code, text = attempt(case, root, folder, images, largest)
    codes.add(code)
    wrong = [] if code == 2 else [f"exit code {code}"]
    wrong += [] if told(text, case) else [f"said {text!r}"]
    after = state(root)
    wrong += [f"{what}: {after[what]} instead of {before[what]}" for what in before if after[what] != before[what]]
    run = training_directory(training(), root)
    lines = (run / JOURNAL).read_text().splitlines()
    return wrong if len(lines) == len([*read_journal(run)]) else [*wrong, "the journal is cut in a line"]


def test_a_limit_on_the_size_of_files(begun: Path, tmp_path: Path, images: Path, record: Record) -> None:
    wrong: dict[str, list[str]] = {}
    codes: set[int] = set()
    with_room = 0
    for case in CASES:
        root = tmp_path / case.what / "runs"
        shutil.copytree(begun, root)
        wrong[case.what] = check(case, root, root.parent, images, case.largest, codes)
        with_room += attempt(case, root, root.parent / "again", images, None)[0] == 0
    held = sum(not faults for faults in wrong.values())
    seen = {
        "while writing": ", ".join(wrong),
        "exit code": ", ".join(map(str, codes)),
        "succeeds without the limit": f"{with_room} of {len(CASES)}",
    }
    record(Result(SECTION, "RLIMIT_FSIZE", len(CASES), held, seen, overwritten(tmp_path)))
    assert not any(wrong.values()), wrong
    assert with_room == len(CASES)


def overwritten(folder: Path) -> dict[str, str]:
    """The control: torch.save over the last good file, as many scripts do."""
    saved = folder / "last.pt"
    torch.save({"w": torch.zeros(1000)}, saved)
    with start_trial(folder / "control", file_limited_job, overwrite_job, 20_000, saved) as trial:
        trial.end()
    try:
        torch.load(saved, weights_only=True)
    except Exception:  # whatever torch says of half a file
        return {"after torch.save over the last good file": "no loadable file"}
    raise AssertionError("the control did not fail")


def test_a_full_disk(small_disk: Path, begun: Path, tmp_path: Path, images: Path, record: Record) -> None:
    wrong: dict[str, list[str]] = {}
    codes: set[int] = set()
    with_room = 0
    for case in CASES:
        root = small_disk / "runs"
        shutil.copytree(begun, root)
        filler = fill(small_disk, 0 if case.what in ("the journal", "samples") else 80_000)
        wrong[case.what] = check(case, root, tmp_path / case.what, images, None, codes)
        filler.unlink()
        overrides = (*case.overrides, "training.keep_checkpoints=1")
        again = Case(case.what, case.job, 0, "", overrides)
        with_room += attempt(again, root, tmp_path / f"{case.what} again", images, None)[0] == 0
        shutil.rmtree(root)
    held = sum(not faults for faults in wrong.values())
    seen = {
        "while writing": ", ".join(wrong),
        "exit code": ", ".join(map(str, codes)),
        "succeeds once there is space": f"{with_room} of {len(CASES)}",
    }
    record(Result(SECTION, "a full tmpfs of 4 MB", len(CASES), held, seen))
    assert not any(wrong.values()), wrong
    assert with_room == len(CASES)


def test_the_command_says_it_in_one_message_too(
    small_disk: Path, tmp_path: Path, full: bool, record: Record
) -> None:
    if not full:
        pytest.skip("the command under Prefect takes long: tried by make faults")
    workspace = make_workspace(tmp_path)
    often = ("training.checkpoint_every=1", "training.keep_checkpoints=100", "training.steps=100")
    settings = [word for one in often for word in ("--set", one)]
    done = workspace.noisette("run", "tiny.yaml", "--output", str(small_disk), *settings)
    run = next(path for path in small_disk.iterdir() if path.name.startswith("tiny-"))
    newest = find_latest_checkpoint(run)
    kept = newest is not None and Checkpoint.open(newest.directory).step > 0
    good = done.returncode == 2 and "No space left on device" in done.stderr and "Traceback" not in done.stderr
    seen = {"exit code": done.returncode, "last good checkpoint": newest.step if newest else "none"}
    record(Result(SECTION, "`noisette run` into a full tmpfs", 1, int(good and kept), seen))
    assert good, done.stderr
    assert kept
