"""A preparation that was stopped or killed goes on, and ends in the bits of one that was not."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

from noisette import Dataset, Example, Experiment, Prepared, StorageError, prepare
from noisette.config import Preparation
from noisette.data import ingest
from noisette.data.npy import NpyWriter
from noisette.storage import owned


class Counted(Dataset):
    """Images of their number, every seventh no image; reading is interrupted at number `stop_at`."""

    name: ClassVar[str] = "counted"
    licence: ClassVar[str] = "free"
    source: ClassVar[str] = "arithmetic"
    stop_at: ClassVar[int | None] = None
    read: ClassVar[list[int]] = []

    labelled: bool = True

    def classes(self) -> tuple[str, ...]:
        return ("even", "odd") if self.labelled else ()

    def examples(self, split, cache: Path) -> Iterator[Example]:
        return self.examples_from(split, cache, 0)

    def examples_from(self, split, cache: Path, start: int) -> Iterator[Example]:
        first = 0 if split == "train" else 100
        for number in range(first + start, first + 50):
            if number == type(self).stop_at:
                raise KeyboardInterrupt
            self.read.append(number)
            yield self.example(number)

    def example(self, number: int) -> Example:
        if number % 7 == 0:
            return Example(None, source=f"number {number}", rejected="a multiple of seven")
        label = number % 2 if self.labelled else None
        return Example(Image.new("L", (6, 6), number), label, f"number {number}")


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "_SAVE_EVERY", 8)
    monkeypatch.setattr(Counted, "read", [])


def experiment(**options) -> Experiment:
    limit = options.pop("limit", None)
    return Experiment.model_construct(name="x", dataset=Counted(**options), preparation=Preparation(limit=limit))


def interrupted(root: Path, at: int, monkeypatch: pytest.MonkeyPatch, **options) -> Path:
    """Interrupt a preparation; return the folder that it leaves behind."""
    monkeypatch.setattr(Counted, "stop_at", at)
    with pytest.raises(KeyboardInterrupt):
        prepare(experiment(**options), root)
    monkeypatch.setattr(Counted, "stop_at", None)
    Counted.read.clear()
    (left,) = (path for path in (root / "data").iterdir() if path.is_dir())
    return left


def hashes(data: Prepared) -> dict[str, str]:
    return {name: record.sha256 for name, record in data.manifest.files.items()}


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize(("at", "kept"), [(3, 0), (8, 8), (23, 16), (49, 48), (100, 100), (101, 100), (130, 124)])
def test_it_goes_on_behind_what_was_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, kept: int, labelled: bool
):
    whole = prepare(experiment(labelled=labelled), tmp_path / "whole")
    interrupted(tmp_path / "runs", at, monkeypatch, labelled=labelled)
    data = prepare(experiment(labelled=labelled), tmp_path / "runs")
    assert hashes(data) == hashes(whole)
    assert data.about == whole.about
    assert Counted.read[0] == kept
    assert len(Counted.read) == 100 - (kept if kept < 100 else kept - 50)
    assert [path.name for path in data.directory.iterdir() if path.name.startswith(".")] == []


def test_it_may_be_interrupted_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    whole = prepare(experiment(), tmp_path / "whole")
    for at in (10, 20, 45, 110, 149):
        interrupted(tmp_path / "runs", at, monkeypatch)
    assert hashes(prepare(experiment(), tmp_path / "runs")) == hashes(whole)
    assert Counted.read == list(range(148, 150))


def test_a_limit_holds_over_interruptions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    whole = prepare(experiment(limit=20), tmp_path / "whole")
    interrupted(tmp_path / "runs", 20, monkeypatch, limit=20)
    data = prepare(experiment(limit=20), tmp_path / "runs")
    assert hashes(data) == hashes(whole)
    assert data.count("train") == 20


def unreadable(left: Path) -> None:
    (left / ".intake.json").write_text("{")


def other_version(left: Path) -> None:
    kept = json.loads((left / ".intake.json").read_text())
    kept["identity"]["versions"]["pillow"] = "1.0"
    (left / ".intake.json").write_text(json.dumps(kept))


def no_state(left: Path) -> None:
    (left / ".intake.json").unlink()


@pytest.mark.parametrize("change", [unreadable, other_version, no_state])
def test_what_cannot_be_trusted_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None]
):
    whole = prepare(experiment(), tmp_path / "whole")
    change(interrupted(tmp_path / "runs", 30, monkeypatch))
    assert hashes(prepare(experiment(), tmp_path / "runs")) == hashes(whole)
    assert Counted.read[0] == 0


def test_an_array_that_lost_rows_is_said_and_the_next_start_is_clean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    whole = prepare(experiment(), tmp_path / "whole")
    left = interrupted(tmp_path / "runs", 30, monkeypatch)
    (left / "train.npy").write_bytes((left / "train.npy").read_bytes()[:400])
    with pytest.raises(StorageError, match=r"train\.npy: expected at least 848 bytes; it is damaged: start again"):
        prepare(experiment(), tmp_path / "runs")
    assert hashes(prepare(experiment(), tmp_path / "runs")) == hashes(whole)


def test_an_array_goes_on_behind_its_rows_and_cuts_off_the_rest(tmp_path: Path):
    rows = np.arange(24, dtype=np.uint8).reshape(6, 4)
    with NpyWriter(tmp_path / "whole.npy", np.uint8, (4,)) as array:
        for row in rows:
            array.append(row)
    with NpyWriter(tmp_path / "again.npy", np.uint8, (4,)) as array:
        for row in rows[::-1]:
            array.append(row)
    with NpyWriter(tmp_path / "again.npy", np.uint8, (4,), count=2) as array:
        for row in rows[:3]:
            array.append(row)
        array.flush()
    assert np.load(tmp_path / "again.npy").tolist() == [*rows[::-1][:2].tolist(), *rows[:3].tolist()]
    with NpyWriter(tmp_path / "whole.npy", np.uint8, (4,), count=6):
        pass
    assert np.load(tmp_path / "whole.npy").tolist() == rows.tolist()


def test_by_default_examples_are_passed_over(tmp_path: Path):
    class Plain(Counted):
        def examples(self, split, cache):
            yield from map(self.example, range(5))

        examples_from = Dataset.examples_from

    found = [example.source for example in Plain().examples_from("train", tmp_path, 2)]
    assert found == [example.source for example in islice(Plain().examples("train", tmp_path), 2, None)]
    assert Plain().length("train") is None


def test_the_bar_knows_its_length_where_the_data_set_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from noisette import Events, hookimpl

    totals = []

    class Listener:
        @hookimpl
        def on_run_start(self, run) -> None:
            totals.append(run.total)

    events = Events([Listener()], installed=False)
    prepare(experiment(), tmp_path / "unknown", events=events)
    monkeypatch.setattr(Counted, "length", lambda self, split: {"train": 50, "test": 50}[split])
    prepare(experiment(), tmp_path / "known", events=events)
    prepare(experiment(limit=20), tmp_path / "limited", events=events)
    assert totals == [0, 100, 40]


def test_the_second_of_two_waits_for_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog):
    whole = prepare(experiment(), tmp_path / "whole")
    monkeypatch.setattr("noisette.data.engine._POLL_SECONDS", 0.01)
    caplog.set_level("INFO")
    left = interrupted(tmp_path / "runs", 20, monkeypatch)
    with ThreadPoolExecutor(1) as pool:
        with owned(left):
            second = pool.submit(prepare, experiment(), tmp_path / "runs")
            while "waiting: " not in caplog.text:
                assert not second.done()
            assert Counted.read == []  # nothing is read, let alone written, beside the first
        assert hashes(second.result(60)) == hashes(whole)
    assert caplog.text.count(f"process {os.getpid()} is working in it") == 1
