"""Every kind of file has a defined conversion or a reason; the readings that loaders get wrong in silence."""

from __future__ import annotations

import os
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from noisette.data import decode
from noisette.data.decode import read_image

RAMP = np.arange(0, 240, 10, dtype=np.uint8).reshape(4, 6)
COLOUR = np.stack([RAMP, 255 - RAMP, np.full_like(RAMP, 40)], axis=-1)
SIXTEEN = np.linspace(0, 65535, 24).round().astype(np.uint16).reshape(4, 6)


def saved(image: Image.Image, path: Path, **options) -> Path:
    image.save(path, **options)
    return path


def values(path: Path) -> np.ndarray:
    """Return what was read as an array; fail if the file was rejected."""
    example = read_image(path)
    assert example.image is not None, example.rejected
    assert example.image.mode in ("L", "RGB")
    return np.asarray(example.image)


def reason(path: Path) -> str:
    example = read_image(path)
    assert example.image is None
    assert example.rejected
    assert "\n" not in example.rejected
    return example.rejected


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "webp", "ppm", "gif"])
def test_colour_is_read_exactly(tmp_path: Path, suffix: str):
    options = {"lossless": True} if suffix == "webp" else {}
    assert (values(saved(Image.fromarray(COLOUR), tmp_path / f"a.{suffix}", **options)) == COLOUR).all()


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "ppm"])
def test_grey_is_read_exactly_and_stays_grey(tmp_path: Path, suffix: str):
    assert (values(saved(Image.fromarray(RAMP), tmp_path / f"a.{suffix}")) == RAMP).all()


def test_source_is_the_path_and_there_is_no_label(tmp_path: Path):
    example = read_image(saved(Image.fromarray(RAMP), tmp_path / "a.png"))
    assert (example.source, example.label, example.rejected) == (str(tmp_path / "a.png"), None, "")


def test_one_bit_becomes_black_and_white(tmp_path: Path):
    path = saved(Image.fromarray(RAMP > 100), tmp_path / "a.png")
    assert Image.open(path).mode == "1"
    assert (values(path) == np.where(RAMP > 100, 255, 0)).all()


# Transparency is composed over white. A loader that drops it shows the colours that were hidden.


def over_white(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    a = alpha.astype(float) / 255
    a = a[..., None] if colour.ndim == 3 else a
    return colour * a + 255 * (1 - a)


@pytest.mark.parametrize("colour", [RAMP, COLOUR], ids=["LA", "RGBA"])
def test_transparency_is_composed_over_white(tmp_path: Path, colour: np.ndarray):
    alpha = np.full_like(RAMP, 255)
    alpha[0], alpha[1] = 0, 100
    path = saved(Image.fromarray(np.dstack([colour, alpha])), tmp_path / "a.png")
    found = values(path)
    assert found.shape == colour.shape
    assert np.abs(found - over_white(colour, alpha)).max() <= 1
    assert (found[0] == 255).all()
    assert (found[2:] == colour[2:]).all()
    assert (np.asarray(Image.open(path).convert("RGB"))[0] != 255).any()  # control: the usual loader


def test_premultiplied_alpha_of_a_tiff_is_composed_over_white(tmp_path: Path):
    alpha = np.full_like(RAMP, 128)
    premultiplied = np.dstack([COLOUR // 2, alpha])
    path = saved(Image.fromarray(premultiplied), tmp_path / "a.tif")
    content = path.read_bytes()
    tag = struct.pack("<HHI", 338, 3, 1)
    assert content.count(tag + struct.pack("<H", 2)) == 1
    path.write_bytes(content.replace(tag + struct.pack("<H", 2), tag + struct.pack("<H", 1)))
    assert np.abs(values(path) - (COLOUR // 2 + 255 * (127 / 255))).max() <= 2


def test_a_palette_is_looked_up_and_its_transparent_entry_is_white(tmp_path: Path):
    image = Image.fromarray(np.array([[0, 1], [2, 1]], dtype=np.uint8), mode="P")
    image.putpalette([200, 0, 0, 0, 200, 0, 0, 0, 200])
    opaque = values(saved(image, tmp_path / "opaque.png"))
    assert opaque.tolist() == [[[200, 0, 0], [0, 200, 0]], [[0, 0, 200], [0, 200, 0]]]
    path = saved(image, tmp_path / "clear.png", transparency=bytes([255, 0, 255]))
    assert Image.open(path).mode == "P"
    assert values(path).tolist() == [[[200, 0, 0], [255] * 3], [[0, 0, 200], [255] * 3]]


def test_a_transparent_colour_of_grey_and_colour_is_white(tmp_path: Path):
    grey = values(saved(Image.fromarray(RAMP), tmp_path / "grey.png", transparency=20))
    assert (grey == np.where(RAMP == 20, 255, RAMP)).all()
    key = tuple(int(v) for v in COLOUR[1, 1])
    colour = values(saved(Image.fromarray(COLOUR), tmp_path / "colour.png", transparency=key))
    assert (colour[1, 1] == 255).all()
    assert (np.delete(colour.reshape(-1, 3), 7, axis=0) == np.delete(COLOUR.reshape(-1, 3), 7, axis=0)).all()
    deep = values(saved(Image.fromarray(SIXTEEN), tmp_path / "deep.png", transparency=int(SIXTEEN[0, 1])))
    assert deep[0, 1] == 255
    assert deep[0, 2] < 255


def test_a_palette_with_an_alpha_channel(tmp_path: Path):
    image = Image.fromarray(np.array([[0, 1]], dtype=np.uint8), mode="P")
    image.putpalette([200, 0, 0, 0, 200, 0])
    alpha = image.convert("PA")
    alpha.putalpha(Image.fromarray(np.array([[255, 0]], dtype=np.uint8)))
    assert values(saved(alpha, tmp_path / "a.tif")).tolist() == [[[200, 0, 0], [255] * 3]]


# Deep images are scaled. A loader that clips shows them white.


def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path):
    expected = (SIXTEEN / 257).round()
    for suffix in ("png", "tif", "jp2"):
        path = saved(Image.fromarray(SIXTEEN), tmp_path / f"a.{suffix}")
        assert Image.open(path).mode.startswith("I;16")
        assert (values(path) == expected).all(), suffix
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        clipped = np.asarray(Image.open(tmp_path / "a.tif").convert("I").convert("L"))
    assert (clipped == 255).mean() > 0.9  # control: the usual loader


def test_a_dark_sixteen_bit_image_stays_dark(tmp_path: Path):
    assert values(saved(Image.fromarray(SIXTEEN // 257), tmp_path / "a.png")).max() == 1


def test_big_endian_tiff_and_pgm_of_ten_bits(tmp_path: Path):
    tags = ImageFileDirectory_v2()
    path = tmp_path / "a.tif"
    Image.frombytes("I;16B", (6, 4), SIXTEEN.astype(">u2").tobytes()).save(path, tiffinfo=tags)
    assert (values(path) == (SIXTEEN / 257).round()).all()
    ten = np.linspace(0, 1023, 24).round().astype(">u2")
    (tmp_path / "a.pgm").write_bytes(b"P5 6 4 1023\n" + ten.tobytes())
    assert np.abs(values(tmp_path / "a.pgm").ravel() - ten / 1023 * 255).max() <= 1


def twelve_bit_tiff(path: Path, pixels: list[int], photometric: int = 1) -> Path:
    """Write one row of 12-bit pixels, two in three bytes."""
    pairs = zip(pixels[::2], pixels[1::2], strict=True)
    data = b"".join(((a << 12) | b).to_bytes(3, "big") for a, b in pairs)
    return tiff(path, len(pixels), 12, data, photometric)


def tiff(path: Path, width: int, bits: int, data: bytes, photometric: int) -> Path:
    tags = [(256, 3, width), (257, 3, 1), (258, 3, bits), (259, 3, 1), (262, 3, photometric)]
    tags += [(273, 4, 8), (277, 3, 1), (278, 3, 1), (279, 4, len(data))]
    data += b"\0" * (len(data) % 2)
    directory = struct.pack("<H", len(tags))
    directory += b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in sorted(tags))
    path.write_bytes(b"II*\0" + struct.pack("<I", 8 + len(data)) + data + directory + struct.pack("<I", 0))
    return path


def test_twelve_bits_reach_white(tmp_path: Path):
    assert values(twelve_bit_tiff(tmp_path / "a.tif", [0, 2048, 4095, 16])).tolist() == [[0, 128, 255, 1]]


def test_a_sixteen_bit_negative_is_turned(tmp_path: Path):
    data = np.array([0, 65535, 32768], dtype="<u2").tobytes()
    assert values(tiff(tmp_path / "a.tif", 3, 16, data, photometric=0)).tolist() == [[255, 0, 127]]
    assert values(tiff(tmp_path / "b.tif", 3, 16, data, photometric=1)).tolist() == [[0, 255, 128]]


def png_of_sixteen_bits(path: Path, pixels: np.ndarray, kind: int) -> Path:
    """Write a 16-bit PNG of a colour type that Pillow itself does not write."""
    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )
    return path


def test_sixteen_bit_colour_keeps_its_high_byte(tmp_path: Path):
    pixels = np.dstack([SIXTEEN, 65535 - SIXTEEN, SIXTEEN // 2])
    assert (values(png_of_sixteen_bits(tmp_path / "a.png", pixels, 2)) == pixels >> 8).all()
    clear = np.dstack([pixels, np.zeros_like(SIXTEEN)])
    assert (values(png_of_sixteen_bits(tmp_path / "b.png", clear, 6)) == 255).all()


def test_floats_in_the_unit_interval_are_scaled(tmp_path: Path):
    unit = np.linspace(0, 1, 24, dtype=np.float32).reshape(4, 6)
    assert (values(saved(Image.fromarray(unit), tmp_path / "a.tif")) == np.floor(unit * 255 + 0.5)).all()


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.array([[0, 255]], dtype=np.float32), "float values in [0, 1]; they go from 0 to 255"),
        (np.array([[-0.5, 0.5]], dtype=np.float32), "float values in [0, 1]; they go from -0.5 to 0.5"),
        (np.array([[0, np.nan]], dtype=np.float32), "not finite"),
        (np.array([[0, 70000]], dtype=np.int32), "signed integers have no defined conversion"),
    ],
)
def test_values_of_unknown_range_are_rejected(tmp_path: Path, array: np.ndarray, expected: str):
    assert expected in reason(saved(Image.fromarray(array), tmp_path / "a.tif"))


# Colour spaces.


def test_cmyk_becomes_rgb(tmp_path: Path):
    ink = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    for suffix in ("jpg", "tif"):
        path = saved(ink, tmp_path / f"a.{suffix}")
        assert Image.open(path).mode == "CMYK"
        red = values(path)[8, 8]
        assert red[0] > 250, suffix
        assert red[1:].max() < 5, suffix


def test_ycbcr_becomes_rgb_and_lab_is_rejected(tmp_path: Path):
    red = Image.new("RGB", (8, 8), (255, 0, 0))
    found = values(saved(red.convert("YCbCr"), tmp_path / "a.tif"))
    assert np.abs(found[4, 4].astype(int) - [255, 0, 0]).max() <= 3
    assert "LAB" in reason(saved(Image.new("LAB", (4, 4)), tmp_path / "b.tif"))


# Orientation and frames.


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_comes_upright(tmp_path: Path, suffix: str, orientation: int):
    upright = np.zeros((32, 48), dtype=np.uint8)
    upright[:16, :16] = 255
    stored = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: np.transpose,
        6: lambda a: np.rot90(a, 1),
        7: lambda a: np.rot90(a, 2).T,
        8: lambda a: np.rot90(a, 3),
    }[orientation](upright)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(Image.fromarray(np.ascontiguousarray(stored)), tmp_path / f"a.{suffix}", exif=exif)
    found = values(path)
    grey = found if found.ndim == 2 else found[..., 0]
    assert grey.shape == upright.shape
    assert np.abs(grey.astype(int) - upright).max() < 30


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "tif"])
def test_of_animations_and_pages_the_first_frame_is_taken(tmp_path: Path, suffix: str):
    first, second = Image.new("RGB", (8, 8), (250, 0, 0)), Image.new("RGB", (8, 8), (0, 0, 250))
    options = {"lossless": True} if suffix == "webp" else {}
    path = saved(first, tmp_path / f"a.{suffix}", save_all=True, append_images=[second], **options)
    assert Image.open(path).n_frames == 2
    assert values(path)[4, 4].tolist() == [250, 0, 0]


def test_one_pixel_is_a_image(tmp_path: Path):
    assert values(saved(Image.new("L", (1, 1), 7), tmp_path / "a.png")).tolist() == [[7]]


# Damage.


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "tif", "webp", "ppm", "jp2", "avif"])
def test_truncated_files_are_rejected(tmp_path: Path, suffix: str):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = saved(Image.fromarray(noise), tmp_path / f"a.{suffix}")
    assert values(path).shape == (64, 64, 3)  # control
    content = path.read_bytes()
    for share in (0.1, 0.5, 0.9):
        path.write_bytes(content[: int(len(content) * share)])
        assert reason(path)


def test_a_lenient_setting_of_others_does_not_let_damage_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = saved(
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)), tmp_path / "a.bmp"
    )
    path.write_bytes(path.read_bytes()[:2000])
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    Image.open(path).load()  # control: the setting lets it in
    assert "truncated" in reason(path)
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True


def test_a_flipped_bit_in_a_png_is_noticed(tmp_path: Path):
    path = saved(Image.fromarray(COLOUR), tmp_path / "a.png")
    content = bytearray(path.read_bytes())
    content[content.index(b"IDAT") + 8] ^= 1
    path.write_bytes(content)
    assert reason(path)


def bomb(path: Path, side: int) -> Path:
    """Write a PNG that says it is `side` pixels wide and high."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    )
    return path


@pytest.mark.parametrize("side", [9_500, 20_000, 2**30])
def test_decompression_bombs_are_rejected_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, side: int):
    path = bomb(tmp_path / "a.png", side)
    assert "decompression bomb" in reason(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert f"more than {decode.MAX_PIXELS} pixels" in reason(path)


def test_what_is_no_image_is_rejected_with_the_reason(tmp_path: Path):
    text = tmp_path / "text.png"
    text.write_text("this is no image")
    assert reason(text).startswith("no image in a format that is read (PNG, JPEG")
    (tmp_path / "empty.jpg").touch()
    assert reason(tmp_path / "empty.jpg").startswith("no image")
    (tmp_path / "script.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\nshowpage\n")
    assert reason(tmp_path / "script.eps").startswith("no image")
    assert reason(tmp_path / "gone.png") == "No such file or directory"
    assert reason(tmp_path) == "no regular file"
    os.mkfifo(tmp_path / "pipe.png")  # opening one waits for a writer, for ever
    assert reason(tmp_path / "pipe.png") == "no regular file"


def test_names_do_not_matter(tmp_path: Path):
    plain = saved(Image.fromarray(RAMP), tmp_path / "a.png")
    names = ["image", "ü ñ 漢.jpeg", "new\nline", b"\xff\xfe.png", "-rf", "a.png.txt"]
    for name in names:
        odd = tmp_path / (name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else name)
        odd.write_bytes(plain.read_bytes())
        assert (values(odd) == RAMP).all()
        read_image(odd).source.encode("utf-8")


def test_reading_changes_no_global_state(tmp_path: Path):
    path = saved(Image.fromarray(RAMP), tmp_path / "a.png")
    before = list(warnings.filters), ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS
    read_image(path)
    read_image(bomb(path, 20_000))
    assert before == (list(warnings.filters), ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS)
