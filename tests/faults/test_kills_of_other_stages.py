"""Preparation, sampling and evaluation are killed, and end in the bits of a run that was not."""

from __future__ import annotations

import json
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.jobs import (
    evaluate_job,
    in_place_prepare_job,
    prepare_job,
    sample_job,
    unverified_evaluate_job,
    unverified_sample_job,
)
from support.reliability import Result
from support.trial import start_trial

from noisette.storage import verify

Record = Callable[[Result], None]
Times = Callable[[int, int], int]
SECTION = "Kills"
DRAWN = ("sampling.num_images=96", "sampling.batch_size=4")


def files(root: Path, pattern: str, kind: str) -> dict[str, str]:
    """Return the hashes of the files of the one finished directory."""
    (directory,) = root.glob(pattern)
    return {name: record.sha256 for name, record in verify(directory, kind).files.items()}


@dataclass
class Stage:
    """A stage that is killed in copies of a results folder.

    Attributes:
        job: runs it.
        root: the folder, in which the stages before it are finished.
        pattern: where its results lie.
        kind: what they are.
        overrides: of the config.
    """

    job: Callable[..., None]
    root: Path
    pattern: str
    kind: str
    overrides: tuple[str, ...] = ()

    def run(self, root: Path, folder: Path, job: Callable[..., None] | None = None) -> dict[str, str]:
        with start_trial(folder, job or self.job, root, self.overrides) as trial:
            assert trial.end() == 0, trial.text
        return files(root, self.pattern, self.kind)

    def whole(self, folder: Path) -> tuple[dict[str, str], float]:
        """Return the bits of a run that is left alone, and the seconds it works."""
        shutil.copytree(self.root, folder / "runs")
        with start_trial(folder, self.job, folder / "runs", self.overrides) as trial:
            start = trial.wait_until_working()
            assert trial.end() == 0, trial.text
            took = time.monotonic() - start
        return files(folder / "runs", self.pattern, self.kind), took

    def killed(
        self, folder: Path, took: float, count: int, job: Callable[..., None] | None = None
    ) -> Iterator[Path]:
        """Yield so many results folders in which the stage was killed at a random time."""
        moments, number = random.Random(7), 0
        while number < count:
            root = folder / f"{(job or self.job).__name__}-{number}" / "runs"
            shutil.rmtree(root.parent, ignore_errors=True)
            shutil.copytree(self.root, root)
            with start_trial(root.parent, job or self.job, root, self.overrides) as trial:
                trial.send(signal.SIGKILL, moments.uniform(0.1, 0.95) * took)
                if trial.end() == 0:
                    continue
            number += 1
            yield root


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """The preparation of a folder of images."""
    folder, generator = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for number in range(400):
        Image.fromarray(generator.integers(0, 256, (48, 48), dtype=np.uint8)).save(folder / f"{number}.png")
    overrides = (f"dataset={{name: image-folder, path: {folder}}}",)
    return Stage(prepare_job, tmp_path_factory.mktemp("empty"), "data/image-folder-*", "prepared", overrides)


def test_kills_of_preparation(images: Stage, tmp_path: Path, times: Times, record: Record) -> None:
    expected, took = images.whole(tmp_path / "whole")
    left, began, same = 0, 0, []
    for root in images.killed(tmp_path, took, times(2, 10)):
        assert not [*root.glob(images.pattern)], "nothing half-done looks finished"
        left += bool([*root.glob("data/.partial-*")])
        began += bool([*root.glob("data/.partial-*/.intake.json")])
        same.append(images.run(root, root.parent / "again") == expected)
        assert not [*root.glob("data/.*")]
    broken = sum(map(unreadable, images.killed(tmp_path, took, times(2, 10), in_place_prepare_job)))
    seen = {"left a partial directory": left, "resumed from it": began}
    control = {"truncated images if written in place": f"{broken} of {len(same)}"}
    record(Result(SECTION, "SIGKILL while preparing", len(same), sum(same), seen, control))
    assert all(same)
    assert broken


def unreadable(root: Path) -> bool:
    """Return whether the images at the place of the results are fewer than there should be, or none at all."""
    (directory,) = root.glob("data/image-folder-*")
    try:
        found = [len(np.load(directory / f"{split}.npy", allow_pickle=False)) for split in ("train", "test")]
    except (OSError, ValueError, EOFError):
        return True
    return sum(found) < 400


@pytest.fixture
def drawing(finished_root: Path) -> Stage:
    return Stage(sample_job, finished_root, "tiny-*/samples/[!.]*", "samples", DRAWN)


def kept(root: Path) -> int:
    """Return how many batches a kill left."""
    lines = [line for file in root.glob("tiny-*/samples/.partial-*/.batches.jsonl") for line in file.open()]
    return max(0, len(lines) - 1)


def damage(root: Path, pattern: str) -> None:
    """Flip a high bit of the first value behind an array's header."""
    for path in root.glob(pattern):
        content = bytearray(path.read_bytes())
        content[131] ^= 0x40
        path.write_bytes(content)


def test_kills_of_sampling(drawing: Stage, tmp_path: Path, times: Times, record: Record) -> None:
    expected, took = drawing.whole(tmp_path / "whole")
    batches, same, repaired, trusted = [], [], [], []
    for root in drawing.killed(tmp_path, took, times(2, 10)):
        assert not [*root.glob(drawing.pattern)], "nothing half-done looks finished"
        batches.append(kept(root))
        if batches[-1] > 1:
            for job, found in ((sample_job, repaired), (unverified_sample_job, trusted)):
                copy = root.parent / job.__name__
                shutil.copytree(root, copy)
                damage(copy, "tiny-*/samples/.partial-*/images.npy")
                found.append(drawing.run(copy, root.parent / "copy", job) == expected)
        same.append(drawing.run(root, root.parent / "again") == expected)
        assert not [*root.glob("tiny-*/samples/.*")]
    seen = {
        "resumed after stored batches": sum(number > 0 for number in batches),
        "mean stored batches, of 24": f"{np.mean(batches):.1f}",
        "flipped bit in a stored batch found and sampled again": f"{sum(repaired)} of {len(repaired)}",
    }
    control = {"flipped bit missed without hashes": f"{len(trusted) - sum(trusted)} of {len(trusted)}"}
    record(Result(SECTION, "SIGKILL while sampling", len(same), sum(same), seen, control))
    assert all(same)
    assert all(repaired)
    assert trusted
    assert not any(trusted)


@pytest.fixture(scope="module")
def drawn_root(finished_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with finished samples, not yet compared."""
    folder = tmp_path_factory.mktemp("drawn")
    shutil.copytree(finished_root, folder / "runs")
    with start_trial(folder, evaluate_job, folder / "runs") as trial:
        assert trial.end() == 0, trial.text
    for directory in (*folder.glob("runs/tiny-*/evaluations"), folder / "runs" / "features"):
        shutil.rmtree(directory)
    return folder / "runs"


def test_kills_of_evaluation(drawn_root: Path, tmp_path: Path, times: Times, record: Record) -> None:
    stage = Stage(evaluate_job, drawn_root, "tiny-*/evaluations/[!.]*", "evaluation")
    expected, took = stage.whole(tmp_path / "whole")
    features, same = [], []
    for root in stage.killed(tmp_path, took, times(2, 10)):
        assert not [*root.glob(stage.pattern)], "nothing half-done looks finished"
        features.append(len([*root.glob("features/[!.]*")]))
        same.append(stage.run(root, root.parent / "again") == expected)
    results: dict[str, Any] = {}
    for job in (evaluate_job, unverified_evaluate_job):
        copy = tmp_path / f"damaged-{job.__name__}"
        shutil.copytree(tmp_path / "whole" / "runs", copy)
        shutil.rmtree(next(copy.glob("tiny-*/evaluations")))
        damage(copy, "features/[!.]*/features.npy")
        stage.run(copy, tmp_path / "damaged", job)
        results[job.__name__] = report(copy)
    healed = results["evaluate_job"] == report(tmp_path / "whole" / "runs")
    differs = results["unverified_evaluate_job"] != report(tmp_path / "whole" / "runs")
    seen = {
        "resumed with stored features": sum(number > 0 for number in features),
        "flipped bit in stored features found and computed again": f"{healed:d} of 1",
    }
    control = {"result changed by the flipped bit without hashes": f"{differs:d} of 1"}
    record(Result(SECTION, "SIGKILL while evaluating", len(same), sum(same), seen, control))
    assert all(same)
    assert healed
    assert differs


def report(root: Path) -> list[Any]:
    (file,) = root.glob("tiny-*/evaluations/[!.]*/report.json")
    rows: list[Any] = json.loads(file.read_text())["rows"]
    return rows
