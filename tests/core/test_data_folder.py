"""Any folder is taken in as a data set is: uniform pictures, and a reason for every file that is none."""

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
from noisette.data.folder import take_in_folder
from noisette.data.mixed import MixedError
from noisette.storage import is_complete


def picture(path: Path, size: tuple[int, int] = (6, 4), mode: str = "RGB", value: int = 7) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value if mode == "L" else (value, 2, 3)).save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures, three files that are none, a hidden one, and a link in a circle."""
    there = tmp_path / "pictures"
    for index, name in enumerate(("img10.png", "img2.png", "deep/er/img1.png")):
        picture(there / name, value=10 * (index + 1))
    (there / "notes.txt").write_text("not a picture")
    (there / "cut.png").write_bytes((there / "img2.png").read_bytes()[:40])
    (there / ".hidden.png").write_text("left out")
    (there / "again").symlink_to(there)
    return there


def rejected(directory: Path) -> dict[str, str]:
    lines = (directory / "rejected.jsonl").read_text().splitlines()
    return {(line := json.loads(text))["source"]: line["reason"] for text in lines}


def test_accepted_and_rejected_are_all_that_was_found(folder: Path, tmp_path: Path) -> None:
    taken = take_in_folder(folder, Preparation(), tmp_path / "runs")
    assert taken.counts == {"found": 6, "accepted": 3, "rejected": 3}
    assert taken.pictures.shape == (3, 3, 4, 6)
    assert taken.pictures[:, 0, 0, 0].tolist() == [30, 20, 10]  # deep/er/img1, img2, img10: in natural order
    reasons = rejected(taken.directory)
    assert reasons.keys() == {"notes.txt", "cut.png", "again"}
    assert "no picture in a format" in reasons["notes.txt"]
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
        return take_in_folder(folder, Preparation(), tmp_path / "runs", events=Events([Listener()])).directory

    assert take() == take()
    assert heard == [f"prepare {folder} finished"]
    picture(folder / "img11.png")
    assert len(np.load(take() / "pictures.npy")) == 4
    shutil.copytree(folder, tmp_path / "copy", symlinks=True)
    assert take_in_folder(tmp_path / "copy", Preparation(), tmp_path / "runs").directory != take()


def test_pictures_that_differ_are_told_by_what_they_differ_in(folder: Path, tmp_path: Path) -> None:
    picture(folder / "wide.png", (9, 4))
    with pytest.raises(MixedError, match=r"pictures differ in size: 6x4 RGB .* and 9x4 RGB \(wide.png\)") as told:
        take_in_folder(folder, Preparation(), tmp_path)
    assert told.value.what == "size"
    assert not list((tmp_path / "data").iterdir())
    same = take_in_folder(folder, Preparation(size=5, fit="resize"), tmp_path)
    assert same.pictures.shape == (4, 3, 5, 5)
    assert same.about["sizes"] == {"distinct": 2, "smallest": [6, 4], "largest": [9, 4]}
    picture(folder / "wide.png", mode="L")
    with pytest.raises(MixedError, match="channels") as told:
        take_in_folder(folder, Preparation(), tmp_path)
    assert told.value.what == "channels"
    assert take_in_folder(folder, Preparation(channels=1), tmp_path).pictures.shape == (4, 1, 4, 6)


def test_folders_without_pictures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere: expected a folder of pictures; there is none"):
        take_in_folder(tmp_path / "nowhere", Preparation(), tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty: expected pictures in the folder; there is none"):
        take_in_folder(tmp_path / "empty", Preparation(), tmp_path)
    (tmp_path / "empty" / "a.png").write_text("no")
    with pytest.raises(
        DataError, match=r"none of the 1 files of the folder is a usable picture:\n  a.png: no picture"
    ):
        take_in_folder(tmp_path / "empty", Preparation(), tmp_path)


def test_a_name_of_any_bytes_is_told_and_stored(tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"\xff od\nd")
    picture(odd / "a.png")
    (odd / os.fsdecode(b"\xfe.png")).write_text("no")
    taken = take_in_folder(odd, Preparation(), tmp_path / "runs")
    assert is_complete(taken.directory, "folder")
    assert taken.about["path"].endswith("\\xff od\nd")
    assert list(rejected(taken.directory)) == ["\\xfe.png"]
