"""Damaged files that Pillow reads without a word are rejected; the same files undamaged are read exactly.

The control of each fault is Pillow itself, which accepts the damaged file with other pixels.
"""

from __future__ import annotations

import random
import struct
import warnings
from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from support.image_files import encode_image, photograph, png, png_chunk, tiff

from noisette.data.decode import decode_image

Pixels = NDArray[np.uint8]

JPEGS = {
    "plain": {},
    "fine": {"quality": 95, "subsampling": 0},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_rows": 1},
}


def read(content: bytes) -> Pixels:
    """Return the pixels; fail if the file was rejected."""
    example = decode_image(content, "a file")
    assert example.image is not None, example.rejected
    return np.asarray(example.image)


def reason(content: bytes) -> str:
    example = decode_image(content, "a file")
    assert example.image is None
    assert example.rejected
    return example.rejected


def pillow(content: bytes) -> Pixels | None:
    """Return what Pillow reads, or None if it finds the damage itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return np.asarray(Image.open(BytesIO(content)).convert("RGB"))
        except (OSError, SyntaxError, ValueError):
            return None


def misread(damaged: bytes, whole: Pixels) -> bool:
    """Return whether Pillow accepts a damaged file with other pixels."""
    found = pillow(damaged)
    return found is not None and (found.shape != whole.shape or bool((found != whole).any()))


# PNG: checksums, one header, an end.


def test_a_png_whose_second_half_is_zeros_is_rejected():
    misread_by_pillow = 0
    for seed in range(10):
        image = photograph(seed)
        content = encode_image(image, "PNG")
        assert (read(content) == np.asarray(image)).all()
        damaged = content[: len(content) // 2] + bytes(len(content) - len(content) // 2)
        misread_by_pillow += misread(damaged, np.asarray(image))
        assert reason(damaged)
    assert misread_by_pillow > 5


def test_a_flipped_bit_anywhere_in_a_png_is_noticed():
    image = photograph(0, 24, 16)
    content, chosen, misread_by_pillow = encode_image(image, "PNG"), random.Random(0), 0
    for _ in range(400):
        damaged = bytearray(content)
        damaged[chosen.randrange(len(content))] ^= 1 << chosen.randrange(8)
        assert reason(bytes(damaged))
        misread_by_pillow += misread(bytes(damaged), np.asarray(image))
    assert misread_by_pillow


def test_a_png_of_two_headers_is_rejected():
    rows = [bytes(range(row, row + 6)) for row in range(4)]
    lower = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 6, 2, 8, 0, 0, 0, 0))
    assert read(png(rows, 6, 8, 0)).tolist() == [list(row) for row in rows]
    assert pillow(png(rows, 6, 8, 0, before=lower)).shape == (2, 6, 3)
    assert "expected one header" in reason(png(rows, 6, 8, 0, before=lower))


@pytest.mark.parametrize(("bits", "clear", "expected"), [(2, 1, [0, 255, 170, 255]), (4, 5, [0, 17, 34, 51])])
def test_a_transparent_grey_of_few_bits_is_white(bits: int, clear: int, expected: list[int]):
    row = {2: bytes([0b00011011]), 4: bytes([0x01, 0x23])}[bits]
    content = png([row], 4, bits, 0, before=png_chunk(b"tRNS", struct.pack(">H", clear)))
    assert read(content).tolist() == [expected]
    if bits == 4:
        row = bytes([0x05, 0x5F])
        content = png([row], 4, bits, 0, before=png_chunk(b"tRNS", struct.pack(">H", clear)))
        assert read(content).tolist() == [[0, 255, 255, 255]]


def test_a_transparent_colour_of_sixteen_bits_is_rejected():
    row = struct.pack(">6H", 0x1234, 0x1234, 0x1234, 0x3400, 0x3400, 0x3400)
    clear = png_chunk(b"tRNS", struct.pack(">3H", 0x1234, 0x1234, 0x1234))
    assert read(png([row], 2, 16, 2)).tolist() == [[[0x12] * 3, [0x34] * 3]]
    assert "16 bits a channel" in reason(png([row], 2, 16, 2, before=clear))


def test_a_pixel_of_a_colour_that_the_palette_lacks_is_rejected():
    def content(highest: int) -> bytes:
        return png([bytes([0, 1, highest])], 3, 8, 3, before=png_chunk(b"PLTE", bytes([9, 9, 9, 200, 0, 0])))

    assert read(content(1)).tolist() == [[[9, 9, 9], [200, 0, 0], [200, 0, 0]]]
    assert pillow(content(2)) is not None
    assert "a pixel of colour 2; the palette has 2" in reason(content(2))


@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP", "TIFF"])
def test_palettes_are_read_whatever_the_format(kind: str):
    image = Image.fromarray(np.array([[0, 1, 2]], dtype=np.uint8), mode="P")
    image.putpalette([9, 9, 9, 200, 0, 0, 0, 0, 200])
    assert read(encode_image(image, kind)).tolist() == [[[9, 9, 9], [200, 0, 0], [0, 0, 200]]]


# JPEG: an end marker, and data that end where the image does.


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("options", JPEGS.values(), ids=JPEGS.keys())
def test_a_jpeg_that_is_cut_short_is_rejected(options: dict[str, object], mode: str):
    misread_by_pillow = 0
    for seed in range(10):
        content = encode_image(photograph(seed, 160, 120).convert(mode), "JPEG", **options)
        whole = pillow(content)
        assert whole is not None
        assert (np.asarray(Image.fromarray(read(content)).convert("RGB")) == whole).all()
        start = content.index(b"\xff\xda")
        for share in (0.2, 0.5, 0.9):
            kept = content[: start + int(share * (len(content) - start))]
            for damaged in (kept + bytes(len(content) - len(kept)), kept + b"\xff\xd9"):
                misread_by_pillow += misread(damaged, whole)
                assert reason(damaged)
    assert misread_by_pillow >= 30


def test_a_jpeg_without_end_marker_and_one_with_data_left_over_are_rejected():
    content = encode_image(photograph(0), "JPEG")
    assert "no end marker" in reason(content[:-2])
    assert "go on behind the end" in reason(content[:-2] + b"\x55" * 64 + b"\xff\xd9")
    assert (
        misread(content[:-2] + b"\x55" * 64 + b"\xff\xd9", read(content)) is False
    )  # control: Pillow drops the rest
    filled = content[:-2] + b"\xff\xff\xff\xd9" + b"what cameras append"
    assert (read(filled) == pillow(content)).all()


def test_many_overwritten_jpegs_are_rejected():
    """Not all: where the number of codes comes out right, nobody can know."""
    found = wrong = 0
    chosen = random.Random(0)
    for seed in range(60):
        content = encode_image(photograph(seed), "JPEG")
        whole, start = pillow(content), content.index(b"\xff\xda") + 20
        place = chosen.randrange(start, len(content) - 66)
        damaged = content[:place] + chosen.randbytes(64) + content[place + 64 :]
        assert whole is not None
        if misread(damaged, whole):
            wrong += 1
            found += decode_image(damaged, "").image is None
    assert wrong > 20
    assert found > wrong / 3


def test_the_first_image_of_an_mpo_is_read():
    images = [photograph(0), photograph(1)]
    content = encode_image(images[0], "MPO", save_all=True, append_images=images[1:])
    assert Image.open(BytesIO(content)).n_frames == 2
    assert (read(content) == pillow(content)).all()


def test_what_pillow_warns_of_is_a_reason_to_reject():
    exif = Image.Exif()
    exif[0x010E] = "a description of some length"
    whole = encode_image(photograph(0), "JPEG", exif=exif.tobytes())
    damaged = whole.replace(b"a description of some length", b"").replace(
        struct.pack(">H", 2 + len(exif.tobytes())), struct.pack(">H", 2 + len(exif.tobytes()) - 28), 1
    )
    assert read(whole).shape == (48, 64, 3)
    with pytest.warns(UserWarning, match="Tag data larger than file"):
        Image.open(BytesIO(damaged)).getexif()
    assert "Tag data larger than file" in reason(damaged)


# TIFF and PPM: what the header says must hold.


def test_a_negative_of_floats_is_turned():
    data = np.array([0, 1, 0.5], dtype="<f4").tobytes()
    assert read(tiff(3, 1, [data], bits=32, photometric=1, kind=3)).tolist() == [[0, 255, 128]]
    assert read(tiff(3, 1, [data], bits=32, photometric=0, kind=3)).tolist() == [[255, 0, 128]]


@pytest.mark.parametrize("bits", [8, 16])
def test_signed_integers_are_rejected(bits: int):
    data = np.array([0, 1, -5], dtype=f"<i{bits // 8}").tobytes()
    assert read(tiff(3, 1, [data], bits=bits, kind=1))[0, 0] == 0
    assert "signed integers" in reason(tiff(3, 1, [data], bits=bits, kind=2))


def test_a_tiff_without_one_of_its_strips_is_rejected():
    strips = [bytes([10, 20, 30]), bytes([40, 50, 60])]
    assert read(tiff(3, 2, strips)).tolist() == [[10, 20, 30], [40, 50, 60]]
    assert "expected 2 parts" in reason(tiff(3, 2, [strips[0], b""]))
    one_of_two = tiff(3, 1, strips[:1]).replace(
        struct.pack("<HHII", 257, 3, 1, 1), struct.pack("<HHII", 257, 3, 1, 2)
    )
    assert pillow(one_of_two) is not None
    assert "expected 2 parts" in reason(one_of_two)


@pytest.mark.parametrize(("greatest", "dtype"), [(100, "u1"), (1000, ">u2")])
def test_a_grey_above_the_greatest_value_is_rejected(greatest: int, dtype: str):
    def content(*values: int) -> bytes:
        return b"P5 3 1 %d\n" % greatest + np.array(values, dtype).tobytes()

    assert read(content(0, greatest // 2, greatest)).tolist() == [[0, 128, 255]]
    assert pillow(content(0, 1, greatest + 1)) is not None
    assert f"up to {greatest}; the greatest is {greatest + 1}" in reason(content(0, 1, greatest + 1))
