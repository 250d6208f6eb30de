"""Files that keep Pillow busy for minutes are rejected before they are decoded; others of their kind are read."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.image_files import encode_image, photograph, png, png_chunk

from noisette.data.decode import MAX_BYTES, decode_image, read_image

ROW = bytes(range(8))


def accepted(content: bytes) -> np.ndarray:
    example = decode_image(content, "a file")
    assert example.image is not None, example.rejected
    return np.asarray(example.image)


def reason(content: bytes) -> str:
    example = decode_image(content, "a file")
    assert example.image is None
    return example.rejected


def scans(count: int, side: int) -> bytes:
    """Return a progressive JPEG with a scan repeated so often, whose header says how large it is."""
    content = encode_image(photograph(0).convert("L").resize((64, 64)), "JPEG", progressive=True)
    last = content.rindex(b"\xff\xc4")  # the table of the last scan, and it
    content = content[:last] + content[last:-2] * count + content[-2:]
    size = re.search(rb"\xff\xc2..\x08(....)", content, re.DOTALL)
    assert size is not None
    return content[: size.start(1)] + side.to_bytes(2, "big") * 2 + content[size.end(1) :]


def test_a_jpeg_of_many_scans_is_rejected():
    assert accepted(scans(1, 64)).shape == (64, 64)
    for count, side in ((2_000, 8192), (40, 8192)):
        assert f"{side}x{side} pixels: a decompression bomb?" in reason(scans(count, side))


@pytest.mark.parametrize("segment", [b"\xff\xfe\x00\x02", b"\xff" * 100], ids=["comments", "fill bytes"])
def test_a_jpeg_of_many_empty_segments_is_rejected(segment: bytes):
    content = encode_image(photograph(0), "JPEG")
    long = segment * (200_000 if segment[1:2] == b"\xfe" else 2_000_000)
    assert reason(content[:2] + long + content[2:])
    few = segment[:4] * 5 if segment[1:2] == b"\xfe" else segment[:10]
    assert (accepted(content[:2] + few + content[2:]) == accepted(content)).all()


def test_a_ppm_with_an_endless_comment_is_rejected():
    def commented(length: int) -> bytes:
        return b"P5\n#" + b"x" * length + b"\n8 1 255\n" + ROW

    assert accepted(commented(1_000)).tolist() == [list(ROW)]
    assert "too many small pieces" in reason(commented(20_000_000))


@pytest.mark.parametrize("place", ["before", "after"])
def test_a_png_of_many_empty_chunks_is_rejected(place: str):
    empty = png_chunk(b"teSt", b"")
    assert accepted(png([ROW], 8, 8, 0, **{place: empty * 1_000})).tolist() == [list(ROW)]
    assert "small" in reason(png([ROW], 8, 8, 0, **{place: empty * 1_000_000}))


def test_a_file_that_is_too_large_is_rejected_unread(tmp_path: Path):
    (tmp_path / "whole.png").write_bytes(png([ROW], 8, 8, 0))
    assert read_image(tmp_path / "whole.png").image is not None
    os.truncate(tmp_path / "whole.png", MAX_BYTES + 1)
    assert f"more than {MAX_BYTES}" in read_image(tmp_path / "whole.png").rejected


def test_a_transparent_image_of_many_pixels_is_composed_in_bands(tmp_path: Path):
    """In twice the memory of its pixels; at once it takes more than four times."""
    path, pixels = tmp_path / "clear.png", 4000 * 4000 * 4
    Image.new("RGBA", (4000, 4000), (10, 20, 30, 0)).save(path, compress_level=1)
    code = (
        "import resource, sys; from pathlib import Path; from noisette.data.decode import read_image\n"
        "from PIL import Image; Image.init(); peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak(); image = read_image(Path(sys.argv[1])).image\n"
        "assert image.getextrema() == ((255, 255),) * 3\n"
        "print(1024 * (peak() - before))"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 3 * pixels
