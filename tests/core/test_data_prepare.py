"""Preparation: what is written, what is refused, and that nothing is ever half done."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

from noisette import (
    DataError,
    Dataset,
    Events,
    Example,
    Experiment,
    PluginError,
    Prepared,
    StorageError,
    hookimpl,
    prepare,
)
from noisette.config import Preparation
from noisette.data import ingest
from noisette.layout import data_directory
from noisette.plugins import registry
from noisette.storage import cache_directory


class Numbered(Dataset):
    """Images whose pixels are their number; the test images count from 100."""

    name: ClassVar[str] = "numbered"
    licence: ClassVar[str] = "free"
    source: ClassVar[str] = "arithmetic"
    _reads: ClassVar[list[str]] = []

    train: int = 30
    test: int = 10
    side: int = 6

    def classes(self) -> tuple[str, ...]:
        return ("even", "odd")

    def examples(self, split, cache: Path) -> Iterator[Example]:
        self._reads.append(split)
        first, count = (0, self.train) if split == "train" else (100, self.test)
        for number in range(first, first + count):
            yield self.example(number)

    def example(self, number: int) -> Example:
        return Example(Image.new("L", (self.side, self.side), number), number % 2, f"number {number}")


def experiment_of(dataset: Dataset, **preparation) -> Experiment:
    return Experiment.model_construct(name="test", dataset=dataset, preparation=Preparation(**preparation))


def changed(change: Callable[[Example, int], Example], **options) -> Dataset:
    """Return numbered images with a change made to each."""

    class Changed(Numbered):
        def example(self, number: int) -> Example:
            return change(super().example(number), number)

    return Changed(**options)


def refused(dataset: Dataset, root: Path, **preparation) -> str:
    """Prepare in vain; return the message, and check that nothing is left."""
    experiment = experiment_of(dataset, **preparation)
    with pytest.raises(DataError) as error:
        prepare(experiment, root)
    assert list((root / "data").iterdir()) == []
    return str(error.value)


def rejecting(*numbers: int) -> Dataset:
    return changed(
        lambda example, number: (
            Example(None, source=example.source, rejected="odd\nreason \udcff") if number in numbers else example
        )
    )


def test_images_labels_and_facts_are_written(tmp_path: Path):
    experiment = experiment_of(Numbered(), size=None)
    data = prepare(experiment, tmp_path)
    assert data.directory == data_directory(experiment, tmp_path)
    train, test = data.images("train"), data.images("test")
    assert isinstance(train, np.memmap)
    assert (train.dtype, train.shape, test.shape) == (np.uint8, (30, 1, 6, 6), (10, 1, 6, 6))
    assert train[:, 0, 0, 0].tolist() == list(range(30))
    assert test[:, 0, 5, 5].tolist() == list(range(100, 110))
    assert data.labels("train").dtype == np.int64
    assert data.labels("test").tolist() == [0, 1] * 5
    assert (data.shape, data.classes, data.count("train")) == ((1, 6, 6), ("even", "odd"), 30)
    about = data.about
    assert about["dataset"] == {"name": "numbered", "train": 30, "test": 10, "side": 6}
    assert about["preparation"] == experiment.preparation.model_dump(mode="json")
    assert about["class_counts"] == {"train": [15, 15], "test": [5, 5]}
    assert (about["licence"], about["source"]) == ("free", "arithmetic")
    assert about["plugin"] == registry().origin_of(Numbered())
    assert set(data.manifest.files) == {
        "train.npy", "test.npy", "train_labels.npy", "test_labels.npy", "rejected.jsonl"
    }  # fmt: skip


def test_a_set_without_classes_has_no_labels(tmp_path: Path):
    class Unlabelled(Numbered):
        def classes(self) -> tuple[str, ...]:
            return ()

        def example(self, number: int) -> Example:
            return super().example(number)._replace(label=None)

    data = prepare(experiment_of(Unlabelled()), tmp_path)
    assert data.labels("train") is None
    assert data.classes == ()
    assert set(data.manifest.files) == {"train.npy", "test.npy", "rejected.jsonl"}


def test_finished_images_are_returned_without_work(tmp_path: Path):
    Numbered._reads.clear()
    first = prepare(experiment_of(Numbered()), tmp_path)
    assert Numbered._reads == ["train", "test"]
    again = prepare(experiment_of(Numbered()), tmp_path, events=Events([Listener(seen := [])], installed=False))
    assert again == first
    assert Numbered._reads == ["train", "test"]
    assert seen == []
    prepare(experiment_of(Numbered(side=7)), tmp_path)  # control: other options are other images
    assert len(Numbered._reads) == 4


def test_the_same_recipe_gives_the_same_digest_anywhere(tmp_path: Path):
    one = prepare(experiment_of(Numbered(), size=9), tmp_path / "one")
    two = prepare(experiment_of(Numbered(), size=9), tmp_path / "two")
    other = prepare(experiment_of(Numbered(train=31), size=9), tmp_path / "one")
    assert one.digest == two.digest
    assert one.digest != other.digest


def test_the_preparation_is_applied_and_limits(tmp_path: Path):
    data = prepare(experiment_of(Numbered(), size=8, channels=3, limit=4), tmp_path)
    assert data.shape == (3, 8, 8)
    assert data.images("train")[:, 2, 4, 4].tolist() == [0, 1, 2, 3]
    assert data.about["counts"]["test"] == {"found": 4, "accepted": 4, "rejected": 0}


# Rejections.


def test_accepted_and_rejected_make_found(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    data = prepare(experiment_of(rejecting(0, 7, 29, 105)), tmp_path)
    counts = data.about["counts"]
    assert counts["train"] == {"found": 30, "accepted": 27, "rejected": 3}
    assert counts["test"] == {"found": 10, "accepted": 9, "rejected": 1}
    for split in ("train", "test"):
        assert len(data.images(split)) == len(data.labels(split)) == counts[split]["accepted"]
    assert data.images("train")[:3, 0, 0, 0].tolist() == [1, 2, 3]
    lines = [json.loads(line) for line in (data.directory / "rejected.jsonl").read_text().splitlines()]
    assert [line["source"] for line in lines] == ["number 0", "number 7", "number 29", "number 105"]
    assert lines[3] == {"split": "test", "source": "number 105", "reason": "odd\nreason \udcff"}
    assert f"4 of 40 files are left out; the reasons are in {data.directory / 'rejected.jsonl'}" in caplog.text


def test_the_limit_counts_accepted_images(tmp_path: Path):
    data = prepare(experiment_of(rejecting(0, 2), limit=3), tmp_path)
    assert data.about["counts"]["train"] == {"found": 5, "accepted": 3, "rejected": 2}


def test_a_class_without_training_images_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    prepare(experiment_of(Numbered(), limit=2), tmp_path)
    assert caplog.text == ""
    prepare(experiment_of(Numbered(), limit=1), tmp_path)
    assert "no training images of the classes odd" in caplog.text


def test_nothing_but_rejections_is_an_error_with_the_first_reasons(tmp_path: Path):
    message = refused(rejecting(*range(100, 110)), tmp_path)
    assert "none of the 10 files of the test split is a usable image" in message
    assert "number 102: odd" in message
    assert "number 103" not in message


@pytest.mark.parametrize("split", ["train", "test"])
def test_an_empty_split_is_an_error(tmp_path: Path, split: str):
    assert (
        refused(Numbered(**{split: 0}), tmp_path)
        == f"numbered: expected images in the {split} split; there is none"
    )


# Images that do not belong together.


def odd_one_out(image: Image.Image) -> Dataset:
    return changed(lambda example, number: example._replace(image=image) if number == 103 else example)


def test_differing_sizes_need_a_size(tmp_path: Path):
    dataset = odd_one_out(Image.new("L", (9, 7)))
    message = refused(dataset, tmp_path)
    assert message == (
        "numbered: images differ in size: 6x6 grey (number 0) and 9x7 grey (number 103); set preparation.size"
    )
    assert prepare(experiment_of(dataset, size=5), tmp_path).shape == (1, 5, 5)


def test_differing_channels_need_channels(tmp_path: Path):
    dataset = odd_one_out(Image.new("RGB", (6, 6)))
    message = refused(dataset, tmp_path)
    assert message.startswith("numbered: images differ in channels: 6x6 grey (number 0) and 6x6 RGB (number 103)")
    assert message.endswith("set preparation.channels")
    assert prepare(experiment_of(dataset, channels=1), tmp_path).shape == (1, 6, 6)


@pytest.mark.parametrize("label", [2, -1, None])
def test_labels_out_of_range_are_refused(tmp_path: Path, label: int | None):
    dataset = changed(lambda example, number: example._replace(label=label) if number == 5 else example)
    assert refused(dataset, tmp_path) == f"numbered: number 5: expected a label from 0 to 1; got {label}"


def test_labels_without_classes_are_refused(tmp_path: Path):
    class Nameless(Numbered):
        def classes(self) -> tuple[str, ...]:
            return ()

    assert "expected no label, as the set has no classes; got 0" in refused(Nameless(), tmp_path)


def test_a_plugin_that_breaks_its_contract_is_named(tmp_path: Path):
    with pytest.raises(PluginError, match=r"'numbered'.*mode L or RGB; got RGBA \(number 103\)"):
        prepare(experiment_of(odd_one_out(Image.new("RGBA", (6, 6)))), tmp_path)


# Failure leaves nothing behind.


def test_data_that_cannot_be_read_is_no_fault_of_the_disk(tmp_path: Path):
    def unreadable(example: Example, number: int) -> Example:
        raise PermissionError(13, "Permission denied", "/data/secret")

    assert refused(changed(unreadable), tmp_path).startswith(
        "numbered: cannot be read: [Errno 13] Permission denied"
    )


def test_a_full_disk_is_reported_and_leaves_nothing(tmp_path: Path):
    experiment = experiment_of(Numbered(side=100))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(StorageError, match=r"cannot be written: File too large .*nothing was changed"):
            prepare(experiment, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list((tmp_path / "data").iterdir()) == []
    assert prepare(experiment, tmp_path).count("train") == 30


def test_data_that_change_while_they_are_read_are_refused(tmp_path: Path):
    class Restless(Numbered):
        moments: ClassVar[list[str]] = []

        def fingerprint(self) -> str:
            return str(len(self.moments))

        def example(self, number: int) -> Example:
            if number == 105:
                self.moments.append("changed")
            return super().example(number)

    assert "changed while it was read" in refused(Restless(), tmp_path)
    assert prepare(experiment_of(Restless(test=3)), tmp_path).count("test") == 3  # control


class Listener:
    """Writes down what it is told; may raise at a step."""

    def __init__(self, seen: list, interrupt_at: int = -1) -> None:
        self.seen, self.interrupt_at = seen, interrupt_at

    @hookimpl
    def on_run_start(self, run):
        self.seen.append(("start", run.stage, run.name, run.total))

    @hookimpl
    def on_step(self, run, step, metrics):
        self.seen.append((step, dict(metrics)))
        if step == self.interrupt_at:
            raise KeyboardInterrupt

    @hookimpl
    def on_run_end(self, run, status):
        self.seen.append(("end", status))


def test_listeners_hear_of_the_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ingest, "_REPORT_EVERY", 12)
    events = Events([Listener(seen := [])], installed=False)
    prepare(experiment_of(rejecting(15)), tmp_path, events=events)
    steps = [(12, {"rejected": 0}), (24, {"rejected": 1}), (36, {"rejected": 1}), (40, {"rejected": 1})]
    assert seen == [("start", "prepare", "numbered", 0), *steps, ("end", "finished")]


def test_an_interrupt_leaves_nothing_finished_and_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ingest, "_REPORT_EVERY", 12)
    events = Events([Listener(seen := [], interrupt_at=24)], installed=False)
    with pytest.raises(KeyboardInterrupt):
        prepare(experiment_of(Numbered()), tmp_path, events=events)
    assert seen[-1] == ("end", "stopped")
    assert {path.name[:9] for path in (tmp_path / "data").iterdir()} == {".partial-"}  # to go on with


SCRIPT = """
import sys
from pathlib import Path
from typing import ClassVar
from noisette import Dataset, Example, Experiment, prepare
from noisette.config import Preparation

class Slow(Dataset):
    name: ClassVar[str] = "slow"

    def examples(self, split, cache):
        from PIL import Image
        for number in range(200):
            if split == "test" and number == 100 and sys.argv[2] == "pause":
                print("halfway", flush=True)
                sys.stdin.readline()
            yield Example(Image.new("L", (64, 64), number), source=str(number))

experiment = Experiment.model_construct(name="test", dataset=Slow(), preparation=Preparation())
data = prepare(experiment, Path(sys.argv[1]))
print(data.digest, *sorted({"numpy", "PIL", "torch"} & set(sys.modules)))
"""


def run_script(root: Path, mode: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(root), mode], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_a_kill_leaves_nothing_finished_and_the_next_start_cleans_up(tmp_path: Path):
    killed = run_script(tmp_path, "pause")
    assert killed.stdout.readline() == "halfway\n"
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    (left,) = (tmp_path / "data").iterdir()
    assert left.name.startswith(".partial-slow-")
    output, _ = run_script(tmp_path, "go").communicate()
    control, _ = run_script(tmp_path / "control", "go").communicate()
    assert output.split()[0] == control.split()[0]
    (finished,) = (tmp_path / "data").iterdir()
    assert Prepared.open(finished).count("test") == 200


def test_a_finished_stage_needs_no_heavy_import(tmp_path: Path):
    first, _ = run_script(tmp_path, "go").communicate()
    again, _ = run_script(tmp_path, "go").communicate()
    assert first.split()[1:] == ["PIL", "numpy"]  # control: the work itself needs them, and no torch
    assert again.split() == [first.split()[0]]


def test_memory_does_not_grow_with_the_number_of_images(tmp_path: Path):
    experiment = experiment_of(
        changed(lambda example, number: example._replace(label=0), train=2000, test=200, side=96)
    )
    prepare(experiment_of(Numbered()), tmp_path)  # imports and caches
    tracemalloc.start()
    data = prepare(experiment, tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    size = (data.directory / "train.npy").stat().st_size
    assert size > 18_000_000
    assert peak < size / 10


# What was prepared.


def test_damage_is_found(tmp_path: Path):
    data = prepare(experiment_of(Numbered()), tmp_path)
    assert Prepared.open(data.directory) == Prepared.finished(data.directory) == data
    path = data.directory / "train.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(StorageError, match=r"train\.npy"):
        Prepared.open(data.directory)
    os.truncate(path, 1000)
    assert Prepared.finished(data.directory) is None
    assert prepare(experiment_of(Numbered()), tmp_path).digest == data.digest  # it is made anew


def test_the_cache_is_where_the_user_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("NOISETTE_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    assert cache_directory() == tmp_path / "home" / ".cache" / "noisette"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_directory() == tmp_path / "xdg" / "noisette"
    monkeypatch.setenv("NOISETTE_CACHE", "~/mine")
    assert cache_directory() == tmp_path / "home" / "mine"


def test_data_sets_are_given_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    class Curious(Numbered):
        caches: ClassVar[set[Path]] = set()

        def examples(self, split, cache: Path) -> Iterator[Example]:
            self.caches.add(cache)
            return super().examples(split, cache)

    monkeypatch.setenv("NOISETTE_CACHE", str(tmp_path / "own"))
    prepare(experiment_of(Curious()), tmp_path)
    prepare(experiment_of(Curious(side=3)), tmp_path, cache=tmp_path / "given")
    assert Curious.caches == {tmp_path / "own", tmp_path / "given"}
