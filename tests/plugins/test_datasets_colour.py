"""Colour without a download: patches of photographs inside packages, and the glyphs of Debian's emoji."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from noisette import DataError
from noisette_plugins.datasets import Glyphs, Patches
from noisette_plugins.datasets import patches as module

FONT = Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")

with_font = pytest.mark.skipif(not FONT.is_file(), reason="needs the Debian package fonts-noto-color-emoji")
with_photographs = pytest.mark.skipif(find_spec("skimage") is None, reason="needs scikit-image")

FREE = Patches(photographs=("admiral", "pagoda", "flower"))


def pixels(dataset, split: str) -> list[np.ndarray]:
    return [np.asarray(example.image) for example in dataset.examples(split, Path("unused"))]


# Patches.


def test_patches_tile_the_photographs():
    from sklearn.datasets import load_sample_image

    pagoda = load_sample_image("china.jpg")
    expected = sorted(
        pagoda[y : y + 32, x : x + 32].tobytes() for y in range(0, 416, 32) for x in range(0, 640, 32)
    )
    dataset = Patches(photographs=("pagoda",))
    train, test = pixels(dataset, "train"), pixels(dataset, "test")
    assert (len(train), len(test)) == (234, 26)
    assert sorted(patch.tobytes() for patch in [*train, *test]) == expected


def test_the_class_is_the_photograph():
    examples = [*FREE.examples("train", Path()), *FREE.examples("test", Path())]
    counts = np.bincount([example.label for example in examples])
    assert dict(zip(FREE.classes(), counts.tolist(), strict=True)) == {"admiral": 288, "pagoda": 260, "flower": 260}
    green = [np.asarray(example.image)[..., 1].mean() for example in examples if example.label == 2]
    blue = [np.asarray(example.image)[..., 2].mean() for example in examples if example.label == 1]
    assert np.mean(blue) > np.mean(green)  # the pagoda's sky, the flower's leaves
    assert {example.source.split(",")[0] for example in examples if example.label == 1} == {"pagoda"}


@with_photographs
def test_all_photographs_give_five_thousand_patches():
    assert [len(pixels(Patches(), split)) for split in ("train", "test")] == [4536, 479]
    assert len(Patches().classes()) == 11


def test_a_missing_package_is_named_and_the_way_without_it_works(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None if name == "skimage" else find_spec(name))
    with pytest.raises(
        DataError, match=r"photograph astronaut at skimage/data/astronaut.png; .* install scikit-image"
    ):
        next(Patches().examples("train", Path()))
    assert next(FREE.examples("train", Path())).image is not None
    assert isinstance(Patches().fingerprint(), str)  # it says nothing of the fault: `examples` does


def test_patches_of_another_size_and_their_fingerprint():
    assert pixels(Patches(photographs=("flower",), size=64), "test")[0].shape == (64, 64, 3)
    assert FREE.fingerprint() == Patches(photographs=FREE.photographs).fingerprint()
    assert FREE.fingerprint() != Patches(photographs=("pagoda",)).fingerprint()


@pytest.mark.parametrize("options", [{"photographs": ("pagoda", "pagoda")}, {"photographs": ()}, {"size": 257}])
def test_impossible_options_of_patches(options):
    with pytest.raises(ValidationError):
        Patches(**options)


# Glyphs.


@pytest.mark.slow
@with_font
def test_glyphs_are_distinct_and_a_tenth_is_held_out():
    train, test = pixels(Glyphs(), "train"), pixels(Glyphs(), "test")
    assert {glyph.shape for glyph in train} == {(32, 32, 3)}
    assert len(train) + len(test) > 1300
    assert len(test) == (len(train) + len(test)) // 10
    large = [hashlib.sha256(glyph.tobytes()).digest() for glyph in pixels(Glyphs(size=128), "train")]
    assert len(set(large)) == len(large)


@with_font
def test_glyphs_are_the_right_ones_in_colour_on_white():
    examples = {example.source: np.asarray(example.image) for example in Glyphs().examples("train", Path())}
    assert (examples["U+1F600"][0, 0] == 255).all()
    red, green, blue = examples["U+2764"][16, 16].astype(int)  # a heart
    assert red > 200 > 100 > max(green, blue)
    red, green, blue = examples["U+1F499"][16, 16].astype(int)  # a blue one
    assert blue > 150 > red


@with_font
def test_a_copy_of_the_font_is_as_good(tmp_path: Path):
    (tmp_path / FONT.name).write_bytes(FONT.read_bytes())
    for path in (tmp_path, tmp_path / FONT.name):
        assert Glyphs(path=path).fingerprint() == Glyphs().fingerprint() != ""


def test_a_missing_font_says_what_to_install(tmp_path: Path):
    with pytest.raises(
        DataError, match=r"expected NotoColorEmoji.ttf .* package fonts-noto-color-emoji, or set data"
    ):
        next(Glyphs(path=tmp_path).examples("train", tmp_path))
    assert Glyphs(path=tmp_path).fingerprint() == ""


def test_another_font_is_refused(tmp_path: Path):
    import matplotlib

    (tmp_path / "damaged.ttf").write_bytes(b"no font")
    with pytest.raises(DataError, match=r"damaged.ttf: expected a font with colour bitmaps"):
        next(Glyphs(path=tmp_path / "damaged.ttf").examples("train", tmp_path))
    outlines = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "cmr10.ttf"
    with pytest.raises(DataError, match=r"cmr10.ttf: expected a font with colour bitmaps"):
        next(Glyphs(path=outlines).examples("train", tmp_path))
