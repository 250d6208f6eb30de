"""Any folder is taken in as a data set is: uniform images, and a reason for every file that is none."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from noisette import DataError, Events, hookimpl
from noisette.config import Preparation
from noisette.data.duplicates import count_duplicates
from noisette.data.files import hash_listing, iter_files
from noisette.data.folder import ingest_folder
from noisette.data.transform import MixedError
from noisette.storage import is_complete


def image(path: Path, size: tuple[int, int] = (6, 4), mode: str = "RGB", value: int = 7) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value if mode == "L" else (value, 2, 3)).save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three images, three files that are none, a hidden one, and a link in a circle."""
    there = tmp_path / "images"
    for index, name in enumerate(("img10.png", "img2.png", "deep/er/img1.png")):
        image(there / name, value=10 * (index + 1))
    (there / "notes.txt").write_text("not an image")
    (there / "cut.png").write_bytes((there / "img2.png").read_bytes()[:40])
    (there / ".hidden.png").write_text("left out")
    (there / "again").symlink_to(there)
    return there


def rejected(directory: Path) -> dict[str, str]:
    lines = (directory / "rejected.jsonl").read_text().splitlines()
    return {(line := json.loads(text))["source"]: line["reason"] for text in lines}


def test_accepted_and_rejected_are_all_that_was_found(folder: Path, tmp_path: Path) -> None:
    taken = ingest_folder(folder, Preparation(), tmp_path / "runs")
    assert taken.counts == {"found": 6, "accepted": 3, "rejected": 3}
    assert taken.images.shape == (3, 3, 4, 6)
    assert taken.images[:, 0, 0, 0].tolist() == [30, 20, 10]  # deep/er/img1, img2, img10: in natural order
    reasons = rejected(taken.directory)
    assert reasons.keys() == {"notes.txt", "cut.png", "again"}
    assert "no image in a format" in reasons["notes.txt"]
    assert "link to what is read already" in reasons["again"]
    assert taken.about["sizes"] == {"distinct": 1, "smallest": [6, 4], "largest": [6, 4]}
    assert (taken.about["grey"], taken.about["colour"]) == (0, 3)


def test_what_was_read_is_not_read_again_until_it_changes(folder: Path, tmp_path: Path) -> None:
    heard: list[str] = []

    class Listener:
        @hookimpl
        def on_run_end(self, run, status):
            heard.append(f"{run.stage} {run.name} {status}")

    def take() -> Path:
        return ingest_folder(folder, Preparation(), tmp_path / "runs", events=Events([Listener()])).directory

    assert take() == take()
    assert heard == [f"prepare {folder} finished"]
    image(folder / "img11.png")
    assert len(np.load(take() / "images.npy")) == 4
    shutil.copytree(folder, tmp_path / "copy", symlinks=True)
    assert ingest_folder(tmp_path / "copy", Preparation(), tmp_path / "runs").directory != take()


def test_images_that_differ_are_told_by_what_they_differ_in(folder: Path, tmp_path: Path) -> None:
    image(folder / "wide.png", (9, 4))
    with pytest.raises(MixedError, match=r"images differ in size: 6x4 RGB .* and 9x4 RGB \(wide.png\)") as told:
        ingest_folder(folder, Preparation(), tmp_path)
    assert told.value.what == "size"
    assert not list((tmp_path / "data").iterdir())
    same = ingest_folder(folder, Preparation(size=5, fit="resize"), tmp_path)
    assert same.images.shape == (4, 3, 5, 5)
    assert same.about["sizes"] == {"distinct": 2, "smallest": [6, 4], "largest": [9, 4]}
    image(folder / "wide.png", mode="L")
    with pytest.raises(MixedError, match="channels") as told:
        ingest_folder(folder, Preparation(), tmp_path)
    assert told.value.what == "channels"
    assert ingest_folder(folder, Preparation(channels=1), tmp_path).images.shape == (4, 1, 4, 6)


def test_folders_without_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere: expected a folder of images; there is none"):
        ingest_folder(tmp_path / "nowhere", Preparation(), tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty: expected images in the folder; there is none"):
        ingest_folder(tmp_path / "empty", Preparation(), tmp_path)
    (tmp_path / "empty" / "a.png").write_text("no")
    with pytest.raises(DataError, match=r"none of the 1 files of the folder is a usable image:\n  a.png: no image"):
        ingest_folder(tmp_path / "empty", Preparation(), tmp_path)


def test_a_name_of_any_bytes_is_told_and_stored(tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"\xff od\nd")
    image(odd / "a.png")
    (odd / os.fsdecode(b"\xfe.png")).write_text("no")
    taken = ingest_folder(odd, Preparation(), tmp_path / "runs")
    assert is_complete(taken.directory, "folder")
    assert taken.about["path"].endswith(r"\xff od\nd")
    assert list(rejected(taken.directory)) == ["\\xfe.png"]


def test_a_name_moves_no_cursor_and_forges_no_line(tmp_path: Path) -> None:
    there = tmp_path / "images"
    there.mkdir()
    for name in ("a\nERROR: forged.png", "b\rc.png", "\x1b[31mred.png"):
        (there / name).write_text("no")
    with pytest.raises(DataError) as refused:
        ingest_folder(there, Preparation(), tmp_path / "runs")
    first, *lines = str(refused.value).splitlines()
    assert len(lines) == 3
    assert all(line.isprintable() for line in (first, *lines))
    assert r"a\nERROR: forged.png" in str(refused.value)


def test_copies_are_taken_counted_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name, grey in (("a", 10), ("b", 20), ("c", 30)):
        path = tmp_path / "images" / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        Image.new("L", (4, 4), grey).save(path)
    alone = ingest_folder(tmp_path / "images", Preparation(), tmp_path / "runs")
    assert alone.about["duplicates"] == {"images": 0, "shared": 0}
    assert "exact copies" not in caplog.text  # control
    shutil.copy(tmp_path / "images" / "a.png", tmp_path / "images" / "copy.png")
    os.link(tmp_path / "images" / "b.png", tmp_path / "images" / "link.png")
    taken = ingest_folder(tmp_path / "images", Preparation(), tmp_path / "runs")
    assert taken.counts["accepted"] == 5
    assert taken.about["duplicates"] == {"images": 2, "shared": 0}
    assert taken.about["formats"] == {"images": {"PNG": 5}}
    assert "exact copies of others, and are all used: 2 in images" in caplog.text


def test_copies_of_training_images_among_held_out_ones_are_counted(tmp_path: Path) -> None:
    for name, values in (("train", [1, 2, 2, 3]), ("test", [2, 2, 4])):
        images = np.array(values, dtype=np.uint8).reshape(-1, 1, 1, 1)
        np.save(tmp_path / f"{name}.npy", images)
    files = {name: tmp_path / f"{name}.npy" for name in ("train", "test")}
    assert count_duplicates(files) == {"train": 1, "test": 1, "shared": 2}


def test_a_name_that_is_too_long_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected a folder of images; there is none"):
        ingest_folder(tmp_path / ("x" * 5000), Preparation(), tmp_path / "runs")


def test_a_file_that_goes_while_a_folder_is_listed_changes_the_listing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image(tmp_path / "a.png")
    image(tmp_path / "b.png")
    whole, found = hash_listing(tmp_path), list(iter_files(tmp_path))
    (tmp_path / "b.png").unlink()
    monkeypatch.setattr("noisette.data.files.iter_files", lambda root: found)  # looked at before the file went
    assert hash_listing(tmp_path) != whole
