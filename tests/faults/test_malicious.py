"""Checkpoints made by an attacker are refused, and nothing in them runs.

Each of them has a manifest that holds: whoever makes a checkpoint can make its hashes.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from support.jobs import training
from support.reliability import Result

from noisette import CheckpointError, Model, train
from noisette.checkpoint import Checkpoint, find_finished_checkpoint
from noisette.layout import training_directory
from noisette.storage import MANIFEST
from noisette.storage.manifest import FileRecord, Manifest, sha256_of, write_manifest

Record = Callable[[Result], None]
SECTION = "Malicious files"


class Evil:
    """A pickle that leaves a file where it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


def pickled(mark: Path) -> bytes:
    return pickle.dumps(Evil(mark))


def as_torch(directory: Path, mark: Path) -> None:
    torch.save({"state_dict": Evil(mark)}, directory / "network.safetensors")


def as_pickle(directory: Path, mark: Path) -> None:
    for name in ("network", "ema", "optimizer"):
        (directory / f"{name}.safetensors").write_bytes(pickled(mark))


def beside(directory: Path, mark: Path) -> None:
    for name in ("network.pt", "network.bin", "network.pkl", "data.pkl", "__init__.py", "network.npy"):
        (directory / name).write_bytes(pickled(mark))
    (directory / "network.safetensors").unlink()


def giant_header(directory: Path, mark: Path) -> None:
    (directory / "network.safetensors").write_bytes(struct.pack("<Q", 2**62) + b"{}")


def header_of_90_megabytes(directory: Path, mark: Path) -> None:
    text = b'{"__metadata__":{"a":"' + b"x" * 90_000_000
    (directory / "network.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)


def offsets_outside(directory: Path, mark: Path) -> None:
    header = {"w": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}
    text = json.dumps(header).encode()
    (directory / "network.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)


def other_tensors(directory: Path, mark: Path) -> None:
    for name in ("network", "ema", "optimizer"):
        save_file({"0.step": torch.zeros(3), "other": torch.zeros(2)}, directory / f"{name}.safetensors")


def linked(directory: Path, mark: Path) -> None:
    outside = mark.parent / "outside"
    shutil.move(directory / "network.safetensors", outside)
    (directory / "network.safetensors").symlink_to(outside)


Content = Callable[[Path, Path], None]
CONTENTS: dict[str, Content] = {
    "a file of torch.save": as_torch,
    "a bare pickle": as_pickle,
    "pickles under other names next to it": beside,
    "a header of 2^62 bytes": giant_header,
    "a header of 90 megabytes": header_of_90_megabytes,
    "tensors beyond the end": offsets_outside,
    "other tensors": other_tensors,
    "a link to a file outside": linked,
}
FILES: dict[str, Any] = {
    "path traversal": {"../../../outside": FileRecord(bytes=0, sha256="")},
    "an absolute path": {"/etc/hostname": FileRecord(bytes=0, sha256="")},
    "a path with a null byte": {"network\0.safetensors": FileRecord(bytes=0, sha256="")},
}
ABOUT: dict[str, dict[str, Any]] = {
    "an invalid step": {"step": "../../x"},
    "a negative step": {"step": -1},
    "images of a billion pixels": {"shape": [1, 10**9, 10**9]},
    "no experiment": {"experiment": None},
    "plugins without names": {"plugins": [{}]},
    "a plugin of another package": {"plugins": [{"kind": "schedule", "name": "os", "distribution": "os"}]},
    "an experiment of text": {"experiment": {"schedule": "__import__('os').mkdir('x')"}},
}


@pytest.fixture
def checkpoint(finished_root: Path, tmp_path: Path) -> Checkpoint:
    """The only checkpoint of a run, as it was trained."""
    shutil.copytree(finished_root, tmp_path / "runs")
    run = training_directory(training(), tmp_path / "runs")
    for directory in sorted((run / "checkpoints").iterdir())[:-1]:
        shutil.rmtree(directory)
    found = find_finished_checkpoint(run, training().training.steps)
    assert found is not None
    return found


def seal(checkpoint: Checkpoint, files: dict[str, Any] | None = None, **about: Any) -> None:
    """Give a checkpoint a manifest that holds for what lies in it now."""
    there = {
        path.name: FileRecord(bytes=path.stat().st_size, sha256=sha256_of(path))
        for path in sorted(checkpoint.directory.iterdir())
        if path.name != MANIFEST
    }
    manifest = Manifest.model_construct(
        format=1, kind="checkpoint", about={**checkpoint.about, **about}, files=there | (files or {})
    )
    write_manifest(checkpoint.directory, manifest)


def uses(checkpoint: Checkpoint) -> dict[str, Callable[[], object]]:
    """Return what a person does with a checkpoint: sample from it, and train on."""
    longer = training("training.steps=42")
    return {
        "sampling": lambda: (Model.load(checkpoint, ema=False), Model.load(checkpoint)),
        "opening": lambda: Checkpoint.open(checkpoint.directory).described(),
        "training": lambda: train(longer, checkpoint.directory.parents[2]),
    }


def refusals(checkpoint: Checkpoint) -> dict[str, str]:
    """Return what is said where a checkpoint is refused."""
    said = {}
    for use, attempt in uses(checkpoint).items():
        try:
            attempt()
        except CheckpointError as error:
            said[use] = str(error)
    return said


def test_control_the_checkpoint_as_it_was_is_used_and_the_pickle_would_run(
    checkpoint: Checkpoint, tmp_path: Path, record: Record
) -> None:
    seal(checkpoint)
    refused, mark = refusals(checkpoint), tmp_path / "mark"
    pickle.loads(pickled(mark))
    seen = {
        "refused although valid": len(refused),
        "the pickle runs in a reader that unpickles": mark.is_dir(),
    }
    record(
        Result(SECTION, "control: a valid checkpoint; an unpickling reader", 2, (not refused) + mark.is_dir(), seen)
    )
    assert not refused
    assert mark.is_dir()


def test_what_an_attacker_puts_into_a_file_is_refused(
    checkpoint: Checkpoint, tmp_path: Path, record: Record
) -> None:
    mark, run = tmp_path / "mark", checkpoint.directory.parents[1]
    told = {}
    for what, content in CONTENTS.items():
        shutil.copytree(run, tmp_path / "kept")
        content(checkpoint.directory, mark)
        seal(checkpoint)
        told[what] = refusals(checkpoint)
        shutil.rmtree(run)
        shutil.move(tmp_path / "kept", run)
    keep(record, "a replaced checkpoint file with a matching hash", told, mark)
    assert all("sampling" in said for said in told.values()), told
    assert all("\n" not in text for said in told.values() for text in said.values()), told
    assert not mark.exists()


def test_what_an_attacker_writes_into_a_manifest_is_refused(
    checkpoint: Checkpoint, tmp_path: Path, record: Record
) -> None:
    mark, told = tmp_path / "mark", {}
    (tmp_path / "outside").touch()
    for what, files in FILES.items():
        seal(checkpoint, files)
        told[what] = refusals(checkpoint)
    for what, about in ABOUT.items():
        seal(checkpoint, **about)
        told[what] = refusals(checkpoint)
    (checkpoint.directory / MANIFEST).write_text('{"about": ' + "[" * 10_000_000)
    told["ten million brackets"] = refusals(checkpoint)
    os.truncate(checkpoint.directory / MANIFEST, 10 * 2**30)
    told["ten gigabytes"] = refusals(checkpoint)
    keep(record, "a changed manifest with a matching seal", told, mark)
    assert all("sampling" in said for said in told.values()), told
    assert all("\n" not in text for said in told.values() for text in said.values()), told


def keep(record: Record, fault: str, told: dict[str, dict[str, str]], mark: Path) -> None:
    seen = {"tried": ", ".join(told), "ran": int(mark.exists())}
    record(Result(SECTION, fault, len(told), sum("sampling" in said for said in told.values()), seen))
