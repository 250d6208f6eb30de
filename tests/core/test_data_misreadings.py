"""What the usual loader misreads in silence, seven times, and is read right here or rejected with its reason.

The control of each case is the usual loader itself, torchvision's ImageFolder, whose loader is
`Image.open(file).convert("RGB")`: it must give a wrong image without a word, or the case proves nothing.
"""

from __future__ import annotations

import json
import os
import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFile
from torchvision.datasets import ImageFolder

from noisette.config import Preparation
from noisette.data.folder import IngestedFolder, ingest_folder

Pixels = NDArray[np.uint8]

RAMP = np.arange(0, 240, 10, dtype=np.uint8).reshape(4, 6)
TALL = np.zeros((24, 16), dtype=np.uint8)
TALL[:8] = 240


def sixteen_bits(path: Path) -> Pixels:
    """Write 16 bits; a clipped reading is white nearly everywhere."""
    Image.fromarray(RAMP.astype(np.uint16) * 257).save(path.with_suffix(".tif"))
    return np.dstack([RAMP] * 3)


def floats(path: Path) -> Pixels:
    """Write floats in [0, 1]; read as bytes they are black."""
    Image.fromarray((RAMP / 255).astype(np.float32)).save(path.with_suffix(".tif"))
    return np.dstack([RAMP] * 3)


def transparent(path: Path) -> Pixels:
    """Write a red that nobody can see; dropping the transparency shows it."""
    pixels = np.zeros((4, 6, 4), dtype=np.uint8)
    pixels[..., 0] = 200
    pixels[2:, :, 3] = 255
    Image.fromarray(pixels).save(path.with_suffix(".png"))
    seen = np.full((4, 6, 3), 255, dtype=np.uint8)
    seen[2:] = (200, 0, 0)
    return seen


def transparent_palette(path: Path) -> Pixels:
    """Write a palette one of whose colours is clear."""
    image = Image.fromarray(np.array([[0, 1, 1, 0]], dtype=np.uint8), mode="P")
    image.putpalette([200, 0, 0, 0, 0, 200])
    image.save(path.with_suffix(".png"), transparency=0)
    return np.array([[[255] * 3, [0, 0, 200], [0, 0, 200], [255] * 3]], dtype=np.uint8)


def lying(path: Path) -> Pixels:
    """Write an upright image as cameras store it: on its side, with a tag."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.ascontiguousarray(np.rot90(TALL))).save(path.with_suffix(".png"), exif=exif)
    return np.dstack([TALL] * 3)


def twelve_bits(path: Path) -> Pixels:
    """Write 12 bits a pixel, two in three bytes, of which white is 4095."""
    levels = [0, 1024, 2048, 4095]
    data = b"".join(((a << 12) | b).to_bytes(3, "big") for a, b in zip(levels[::2], levels[1::2], strict=True))
    tags = [(256, 3, 4), (257, 3, 1), (258, 3, 12), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1), (278, 3, 1)]
    directory = struct.pack("<H", 9)
    for tag, kind, value in [*tags, (279, 4, len(data))]:
        directory += struct.pack("<HHII", tag, kind, 1, value)
    content = b"II*\0" + struct.pack("<I", 8 + len(data)) + data + directory + struct.pack("<I", 0)
    path.with_suffix(".tif").write_bytes(content)
    return np.array([[[0] * 3, [64] * 3, [128] * 3, [255] * 3]], dtype=np.uint8)


READ_RIGHT = [sixteen_bits, floats, transparent, transparent_palette, lying, twelve_bits]


def usually(folder: Path) -> list[Pixels]:
    """Return what the usual loader makes of a folder, in silence."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found = [np.asarray(image) for image, _ in ImageFolder(str(folder))]
    assert not told
    return found


def here(folder: Path, **preparation: object) -> IngestedFolder:
    return ingest_folder(folder, Preparation(**preparation), folder.with_name("runs"))


@pytest.mark.parametrize("write", READ_RIGHT, ids=lambda write: write.__name__)
def test_a_silent_misreading_of_the_usual_loader_is_read_right(
    tmp_path: Path, write: Callable[[Path], Pixels]
) -> None:
    folder = tmp_path / "images" / "class"
    folder.mkdir(parents=True)
    truth = write(folder / "a")
    [wrong] = usually(folder.parent)
    assert wrong.shape != truth.shape or np.abs(wrong.astype(int) - truth).max() > 50  # control
    [found] = here(folder.parent, channels=3).images
    assert np.abs(found.transpose(1, 2, 0).astype(int) - truth).max() <= 1


def test_the_seventh_a_circle_of_links_is_walked_once(tmp_path: Path) -> None:
    folder = tmp_path / "images" / "class"
    folder.mkdir(parents=True)
    Image.fromarray(RAMP).save(folder / "a.png")
    (folder / "again").symlink_to(folder.parent)
    assert len(usually(folder.parent)) > 30  # control: the same image, over and over
    taken = here(folder.parent)
    assert taken.counts == {"found": 2, "accepted": 1, "rejected": 1}
    assert "a link to" in rejections(taken)["class/again"]


def rejections(taken: IngestedFolder) -> dict[str, str]:
    lines = taken.rejections.read_text().splitlines()
    return {(told := json.loads(line))["source"]: told["reason"] for line in lines}


def bomb(side: int) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.fixture
def everything(tmp_path: Path) -> Path:
    """A folder with every kind of file that folders of images turn out to have."""
    there = tmp_path / "images"
    there.mkdir()
    for write in READ_RIGHT:
        write(there / write.__name__)
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8))
    noise.save(there / "whole.jpg")
    (there / "truncated.jpg").write_bytes((there / "whole.jpg").read_bytes()[:900])
    Image.new("CMYK", (9, 9), (0, 255, 255, 0)).save(there / "print.jpg")
    Image.new("L", (1, 1), 7).save(there / "one-pixel.png")
    frames = [Image.new("RGB", (8, 8), colour) for colour in ((250, 0, 0), (0, 0, 250))]
    frames[0].save(there / "moves.gif", save_all=True, append_images=frames[1:])
    (there / "bomb.png").write_bytes(bomb(20_000))
    Image.fromarray(np.array([[0, 255]], dtype=np.float32)).save(there / "floats-of-any-range.tif")
    Image.fromarray(np.array([[0, 70_000]], dtype=np.int32)).save(there / "counts.tif")
    (there / "notes.txt").write_text("no image")
    (there / "empty.png").touch()
    (there / "nowhere.png").symlink_to(there / "gone.png")
    (there / "circle").symlink_to(there)
    os.mkfifo(there / "pipe.png")
    (there / os.fsdecode(b"\xff\nodd name")).write_bytes((there / "whole.jpg").read_bytes())
    return there


def test_every_kind_of_file_is_converted_as_said_or_rejected_and_all_are_counted(
    everything: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)  # a setting that others make
    taken = here(everything, size=16, channels=3, fit="resize")
    reasons = rejections(taken)
    assert reasons.keys() == {
        "truncated.jpg",
        "bomb.png",
        "floats-of-any-range.tif",
        "counts.tif",
        "notes.txt",
        "empty.png",
        "nowhere.png",
        "circle",
        "pipe.png",
    }
    assert all(reasons.values())
    found = sum(1 for _ in everything.iterdir())
    assert taken.counts == {"found": found, "accepted": found - 9, "rejected": 9}
    assert len(taken.images) == found - 9
    assert "decompression bomb" in reasons["bomb.png"]
    assert "no regular file" in reasons["pipe.png"]


def test_a_file_that_may_not_be_read_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By refusal of the system, which root never meets otherwise."""
    there = tmp_path / "images"
    there.mkdir()
    for name in ("a.png", "b.png"):
        Image.fromarray(RAMP).save(there / name)
    opened = Path.open

    def refusing(self: Path, *arguments: Any, **options: Any) -> Any:
        if self.name == "b.png":
            raise PermissionError(13, "Permission denied", str(self))
        return opened(self, *arguments, **options)

    monkeypatch.setattr(Path, "open", refusing)
    assert rejections(here(there)) == {"b.png": "Permission denied"}
