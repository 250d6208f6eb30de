"""Folders of images: order, labels, held-out share, links, and a folder of everything that goes wrong."""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from noisette import DataError, Example, Experiment, Prepared, prepare
from noisette.config import Preparation
from noisette.layout import data_directory
from noisette_plugins.datasets import ImageFolder


def experiment_of(dataset: ImageFolder, **preparation) -> Experiment:
    return Experiment.model_construct(name="x", dataset=dataset, preparation=Preparation(**preparation))


def prepared(dataset: ImageFolder, tmp_path: Path, **preparation) -> Prepared:
    return prepare(experiment_of(dataset, **preparation), tmp_path / "runs")


def grey(path: Path, value: int = 0, size: tuple[int, int] = (4, 4)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, value).save(path, "PNG")
    return path


def examples(dataset: ImageFolder) -> dict[str, list[Example]]:
    return {split: list(dataset.examples(split, Path("unused"))) for split in ("train", "test")}


def found(dataset: ImageFolder) -> list[Example]:
    """Return the examples of both splits, in the order of their names in each."""
    return [example for split in examples(dataset).values() for example in split]


def sources(dataset: ImageFolder) -> set[str]:
    return {example.source for example in found(dataset)}


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """A folder of 60 images, the value of each its number."""
    for number in range(60):
        grey(tmp_path / "many" / f"img{number}.png", number)
    return tmp_path / "many"


# Order and the held-out share.


def test_both_splits_together_have_every_file_once(many: Path):
    parts = examples(ImageFolder(path=many, held_out=0.25))
    assert 5 <= len(parts["test"]) <= 25
    names = [example.source for part in parts.values() for example in part]
    assert sorted(names) == sorted(f"img{number}.png" for number in range(60))


def test_the_order_is_natural_and_goes_through_folders(tmp_path: Path):
    for name in ("b/x.png", "img10.png", "img9.png", "img09.png", "B/2.png", "img2/1.png", "a.png", "img2.png"):
        grey(tmp_path / "images" / name)
    parts = examples(ImageFolder(path=tmp_path / "images", held_out=0.3))
    order = ["B/2.png", "a.png", "b/x.png", "img2/1.png", "img2.png", "img09.png", "img9.png", "img10.png"]
    for part in parts.values():
        names = [example.source for example in part]
        assert names == [name for name in order if name in names]
    assert {example.source for part in parts.values() for example in part} == set(order)


def test_new_files_do_not_move_old_ones(many: Path):
    before = {example.source for example in examples(ImageFolder(path=many))["test"]}
    for number in range(100, 160):
        grey(many / f"aaa{number}.png")
    after = {example.source for example in examples(ImageFolder(path=many))["test"]}
    assert {name for name in after if name.startswith("img")} == before
    assert after > before


def test_the_share_is_that_of_the_names_alone(many: Path, tmp_path: Path):
    before = {example.source for example in examples(ImageFolder(path=many))["test"]}
    many.rename(tmp_path / "moved")
    assert {example.source for example in examples(ImageFolder(path=tmp_path / "moved"))["test"]} == before
    smaller = {example.source for example in examples(ImageFolder(path=tmp_path / "moved", held_out=0.05))["test"]}
    assert smaller < before


def test_a_share_that_takes_nothing_is_an_error(tmp_path: Path):
    grey(tmp_path / "images" / "a.png")
    with pytest.raises(DataError, match=r"none of the 1 files .* the test split; .*held_out, which is 0\.001"):
        prepared(ImageFolder(path=tmp_path / "images", held_out=0.001), tmp_path)


@pytest.mark.parametrize("share", [1, -0.1, 1.5])
def test_a_share_of_all_or_less_than_nothing_is_refused(share: float):
    with pytest.raises(ValueError, match="held_out"):
        ImageFolder(path="x", held_out=share)


def test_a_missing_folder_and_a_file_are_named(tmp_path: Path):
    for path in (tmp_path / "none", grey(tmp_path / "a.png")):
        with pytest.raises(DataError, match=f"image-folder: expected a folder at {path}; there is none"):
            prepared(ImageFolder(path=path), tmp_path)


def test_an_empty_folder_is_an_error(tmp_path: Path):
    (tmp_path / "images" / "empty").mkdir(parents=True)
    with pytest.raises(DataError, match=r"none of the 0 files in .* falls into the train split; add"):
        prepared(ImageFolder(path=tmp_path / "images"), tmp_path)


def test_home_is_understood(many: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(many.parent))
    assert len(found(ImageFolder(path="~/many"))) == 60


# Labels.


def test_labels_are_the_names_of_the_first_folders(tmp_path: Path):
    for name in ("class10/a.png", "class2/b.png", "class2/deep/c.png", "Ärger/d.png", "loose.png"):
        grey(tmp_path / "images" / name)
    (tmp_path / "images" / "empty").mkdir()
    dataset = ImageFolder(path=tmp_path / "images", labels=True)
    assert dataset.classes() == ("class2", "class10", "Ärger")
    labels = {example.source: example.label for example in found(dataset)}
    assert labels == {
        "class10/a.png": 1,
        "class2/b.png": 0,
        "class2/deep/c.png": 0,
        "Ärger/d.png": 2,
        "loose.png": None,
    }
    (loose,) = (example for example in found(dataset) if example.source == "loose.png")
    assert loose.image is None
    assert "no folder" in loose.rejected
    without = ImageFolder(path=tmp_path / "images")
    assert without.classes() == ()
    assert {example.label for example in found(without)} == {None}


def test_labels_need_folders(many: Path, tmp_path: Path):
    with pytest.raises(DataError, match="needs a folder for each class"):
        prepared(ImageFolder(path=many, labels=True), tmp_path)


def test_labels_are_prepared(tmp_path: Path):
    for number in range(40):
        grey(tmp_path / "images" / ("odd" if number % 2 else "even") / f"{number}.png", number)
    data = prepared(ImageFolder(path=tmp_path / "images", labels=True, held_out=0.2), tmp_path)
    for split in ("train", "test"):
        assert (data.labels(split) == data.images(split)[:, 0, 0, 0] % 2).all()
    assert data.classes == ("even", "odd")


# What the key of the prepared images depends on.


def test_the_fingerprint_sees_every_change(many: Path, tmp_path: Path):
    dataset = ImageFolder(path=many)

    def key() -> Path:
        return data_directory(experiment_of(dataset), tmp_path)

    seen = [key()]
    assert key() == seen[0]

    def change(action: Callable[[], object]) -> None:
        action()
        seen.append(key())

    change(lambda: grey(many / "new.png"))
    change(lambda: (many / "new.png").rename(many / "newer.png"))
    change(lambda: os.utime(many / "newer.png", ns=(1, 1)))
    change(lambda: (many / "newer.png").write_bytes(b"other"))
    change(lambda: (many / "newer.png").unlink())
    assert len(set(seen)) == 5
    assert seen[-1] == seen[0]
    (many / ".hidden").touch()
    assert key() == seen[0]


# Links.


def test_links_that_loop_or_double_are_rejected_and_end(tmp_path: Path):
    root = tmp_path / "images"
    grey(root / "a" / "one.png")
    grey(root / "a" / "deep" / "two.png")
    (root / "a" / "deep" / "up").symlink_to(root)
    (root / "again").symlink_to(root / "a")
    (root / "b.png").symlink_to(root / "a" / "one.png")
    (root / "self").symlink_to(root / "self")
    (root / "nowhere.png").symlink_to(root / "gone.png")
    (root / "above").symlink_to(tmp_path)
    result = {example.source: example.rejected for example in found(ImageFolder(path=root, held_out=0.4))}
    assert result == {
        "a/one.png": "",
        "a/deep/two.png": "",
        "a/deep/up": "a link to what is read already",
        "again": "a link to what is read already",
        "b.png": "a link to what is read already",
        "self": "a link that leads nowhere",
        "nowhere.png": "a link that leads nowhere",
        "above": "a link to a folder that holds what is read already",
    }


def test_links_that_lead_out_are_followed_once(tmp_path: Path):
    root, outside = tmp_path / "images", tmp_path / "outside"
    grey(root / "a.png")
    for number in range(8):
        grey(outside / f"{number}.png")
    (outside / "back").symlink_to(outside)
    (root / "there").symlink_to(outside)
    (root / "twice").symlink_to(outside)
    single = grey(tmp_path / "single.png")
    (root / "link1.png").symlink_to(single)
    (root / "link2.png").symlink_to(single)
    result = {example.source: example.rejected for example in found(ImageFolder(path=root, held_out=0.3))}
    accepted = {name for name, rejected in result.items() if not rejected}
    assert accepted == {"a.png", "link1.png", *(f"there/{number}.png" for number in range(8))}
    assert set(result) - accepted == {"link2.png", "there/back", "twice"}


def test_a_folder_reached_by_a_link_is_the_same_folder(many: Path, tmp_path: Path):
    (tmp_path / "link").symlink_to(many)
    assert sources(ImageFolder(path=tmp_path / "link")) == sources(ImageFolder(path=many))


# Everything that goes wrong, at once.

NOISE = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)


def png(width: int, height: int) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + data


def good_images(root: Path) -> set[str]:
    """Write an image of every kind that has a conversion; return their names."""
    image = Image.fromarray(NOISE)
    sixteen = Image.fromarray(np.linspace(0, 65535, 1200).astype(np.uint16).reshape(40, 30))
    unit = Image.fromarray(np.linspace(0, 1, 1200, dtype=np.float32).reshape(40, 30))
    turned = Image.Exif()
    turned[0x0112] = 6
    palette = image.quantize(16)
    saves = {
        "plain.png": lambda path: image.save(path),
        "sixteen.png": lambda path: sixteen.save(path),
        "cmyk.jpg": lambda path: image.convert("CMYK").save(path),
        "palette.png": lambda path: palette.save(path, transparency=3),
        "la.png": lambda path: image.convert("LA").save(path),
        "rgba.webp": lambda path: image.convert("RGBA").save(path),
        "float.tif": lambda path: unit.save(path),
        "rotated.jpg": lambda path: image.save(path, exif=turned),
        "animated.gif": lambda path: image.save(path, save_all=True, append_images=[image.rotate(90)]),
        "one-pixel.png": lambda path: Image.new("RGB", (1, 1), "red").save(path),
        "bilevel.bmp": lambda path: image.convert("1").save(path),
        "ycbcr.tif": lambda path: image.convert("YCbCr").save(path),
        "no suffix": lambda path: image.save(path, "PNG"),
        "wrong suffix.jpg": lambda path: image.save(path, "PNG"),
        "ü ñ 漢 'quote\" .png": lambda path: image.save(path),
        "new\nline.png": lambda path: image.save(path),
        os.fsdecode(b"\xff\xfe not utf-8.png"): lambda path: image.save(path, "PNG"),
        "-rf.png": lambda path: image.save(path),
        "deep/er/down.png": lambda path: image.save(path),
    }
    for name, save in saves.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        save(root / name)
    return {os.fsencode(name).decode("utf-8", "backslashreplace") for name in saves}


def bad_files(root: Path) -> dict[str, str]:
    """Write a file of every kind that has none; return their names with a word of the reason."""
    Image.fromarray(NOISE).save(root / "whole.png")
    content = (root / "whole.png").read_bytes()
    (root / "whole.png").unlink()
    files = {
        "truncated.png": (content[: len(content) // 2], "truncated"),
        "text.png": (b"this is no image", "no image in a format"),
        "empty.jpg": (b"", "no image in a format"),
        "bomb.png": (png(30_000, 30_000), "bomb"),
        "small-bomb.png": (png(9_500, 9_500), "bomb"),
        "notes.txt": (b"notes", "no image in a format"),
        "script.eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n", "no image in a format"),
    }
    for name, (data, _) in files.items():
        (root / name).write_bytes(data)
    Image.fromarray(np.array([[0, 300]], dtype=np.float32)).save(root / "wide-float.tif")
    Image.fromarray(np.array([[0, 70000]], dtype=np.int32)).save(root / "thirty-two-bits.tif")
    (root / "loop").symlink_to(root)
    os.mkfifo(root / "pipe.png")
    (root / "empty").mkdir()
    (root / ".hidden.png").write_bytes(b"not looked at")
    others = {
        "wide-float.tif": "[0, 1]",
        "thirty-two-bits.tif": "signed integers",
        "loop": "link",
        "pipe.png": "regular file",
    }
    return {name: reason for name, (_, reason) in files.items()} | others


def test_an_odd_folder_is_accounted_for_to_the_last_file(tmp_path: Path):
    root = tmp_path / "odd"
    good, bad = good_images(root), bad_files(root)
    dataset = ImageFolder(path=root, held_out=0.3)
    data = prepared(dataset, tmp_path, size=16, channels=3)
    counts = Counter()
    for split in ("train", "test"):
        counts.update(data.about["counts"][split])
        assert len(data.images(split)) == data.about["counts"][split]["accepted"]
    assert counts == {"found": len(good) + len(bad), "accepted": len(good), "rejected": len(bad)}
    lines = [json.loads(line) for line in (data.directory / "rejected.jsonl").read_text().splitlines()]
    assert {line["source"] for line in lines} == set(bad)
    for line in lines:
        assert bad[line["source"]] in line["reason"], line
    assert {example.source for example in found(dataset) if example.image} == {
        name.replace("\n", r"\n") for name in good
    }
    assert prepared(dataset, tmp_path / "elsewhere", size=16, channels=3).digest == data.digest


def test_the_kinds_of_one_image_look_alike(tmp_path: Path):
    """What holds the same image gives nearly the same pixels, however it was stored."""
    root = tmp_path / "odd"
    good_images(root)
    read = {example.source: example.image for example in found(ImageFolder(path=root, held_out=0.3))}
    plain = NOISE.astype(float)
    for name in ("no suffix", "wrong suffix.jpg", r"new\nline.png", "-rf.png", "deep/er/down.png"):
        assert (np.asarray(read[name]) == NOISE).all()
    assert np.abs(np.asarray(read["ycbcr.tif"]) - plain).mean() < 2
    assert read["rotated.jpg"].size == (40, 30)
    for name in ("sixteen.png", "float.tif"):
        assert np.asarray(read[name]).mean() == pytest.approx(127.5, abs=1)
    assert read["la.png"].mode == "L"


def test_differing_sizes_name_the_files(tmp_path: Path):
    for number in range(20):
        grey(tmp_path / "images" / f"{number}.png", size=(4, 4) if number < 19 else (6, 3))
    with pytest.raises(
        DataError, match=r"differ in size: 4x4 grey \(\d+\.png\) and 6x3 grey \(19\.png\); set prep"
    ):
        prepared(ImageFolder(path=tmp_path / "images", held_out=0.3), tmp_path)
    assert prepared(ImageFolder(path=tmp_path / "images", held_out=0.3), tmp_path, size=4).shape == (1, 4, 4)
