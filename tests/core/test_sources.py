from __future__ import annotations

import os
from pathlib import Path

import pytest

from noisette import DataError
from noisette.sources import fingerprint, resolve_source


def test_files_are_where_they_are_and_packages_where_they_are_installed(tmp_path: Path) -> None:
    assert resolve_source(str(tmp_path / "a.png")) == tmp_path / "a.png"
    assert resolve_source("~/a.png") == Path.home() / "a.png"
    found = resolve_source("package:sklearn/datasets/images/china.jpg")
    assert found.is_file()
    assert found.name == "china.jpg"


@pytest.mark.parametrize("name", ["package:no_such_package/a.png", "package:../etc/passwd", "package:os.path/a"])
def test_a_package_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(DataError, match="expected an installed package"):
        resolve_source(name)


def test_a_file_of_that_name_is_meant_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "package:sklearn").mkdir()
    (tmp_path / "package:sklearn" / "a.png").write_bytes(b"mine")
    assert resolve_source("package:sklearn/a.png").read_bytes() == b"mine"


def test_a_fingerprint_is_that_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"one")
    (tmp_path / "b").write_bytes(b"one")
    assert fingerprint(str(tmp_path / "a")) == fingerprint(str(tmp_path / "b"))
    (tmp_path / "b").write_bytes(b"two")
    assert fingerprint(str(tmp_path / "a")) != fingerprint(str(tmp_path / "b"))
    assert fingerprint("test:3") == fingerprint("package:no_such_package/a") == fingerprint("some/hub-name") == ""


def test_a_folders_is_that_of_its_listing(tmp_path: Path) -> None:
    folder = tmp_path / "pipeline"
    (folder / "unet").mkdir(parents=True)
    (folder / "unet" / "weights").write_bytes(b"1234")
    before = fingerprint(str(folder))
    assert fingerprint(str(folder)) == before
    os.utime(folder / "unet" / "weights", (1, 1))
    assert fingerprint(str(folder)) != before
