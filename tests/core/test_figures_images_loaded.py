from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.tiny import tiny

from noisette import DataError, Prepared, train
from noisette.figures import ImageGenerator, ImageLoader
from noisette.layout import data_directory


@pytest.fixture
def photograph(tmp_path: Path) -> str:
    Image.new("RGB", (300, 200), (200, 100, 0)).save(tmp_path / "photo.png")
    return str(tmp_path / "photo.png")


def test_a_trained_models_gallery_has_files_prepared_images_and_its_own(root: Path, photograph: str) -> None:
    checkpoint = train(tiny("training.steps=1"), root)
    generator = ImageGenerator.open(checkpoint, {"name": "ddim", "steps": 2})
    image_loader = ImageLoader.of(checkpoint, generator)
    data = Prepared.open(data_directory(tiny(), root))
    for split, number in (("test", 7), ("train", 39)):
        image, note = image_loader(f"{split}:{number}")
        assert np.array_equal(image, data.images(split)[number])  # type: ignore[arg-type]
        assert note == ""
    assert np.array_equal(image_loader("generated:4")[0], generator.generate([4])[0])
    image, note = image_loader(photograph)
    assert image.shape == (1, 8, 8)
    assert note == "made grey, cropped and scaled from 300x200 to 8x8"


def test_a_file_is_meant_where_there_is_one_of_that_name(
    photograph: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("test:3").write_bytes(Path(photograph).read_bytes())
    assert ImageLoader()("test:3")[0].shape == (3, 64, 96)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((None, None, None), (3, 64, 96)),
        ((1, None, None), (1, 64, 96)),
        ((None, 32, 32), (3, 32, 32)),
        ((3, 20, 30), (3, 20, 30)),
    ],
)
def test_a_file_is_made_what_is_said_and_small_where_nothing_is(
    photograph: str, shape: tuple[int | None, int | None, int | None], expected: tuple[int, int, int]
) -> None:
    image, note = ImageLoader(shape=shape)(photograph)
    assert image.shape == expected
    assert "scaled from 300x200 to" in note


def test_prepared_images_are_made_another_size_where_it_is_said(root: Path) -> None:
    directory = data_directory(tiny(), root)
    assert ImageLoader(lambda: directory)("test:0")[0].shape == (1, 8, 8)
    image, note = ImageLoader(lambda: directory, (3, 16, 16))("test:0")
    assert image.shape == (3, 16, 16)
    assert note == "made RGB, scaled from 8x8 to 16x16"


def test_images_that_there_are_not_are_refused_in_words(root: Path) -> None:
    prepared = ImageLoader(lambda: data_directory(tiny(), root))
    for image_loader, name, message in (
        (prepared, "test:8", "test:8: expected an index from 0 to 7; got 8"),
        (prepared, "generated:0", "there is no trained model to generate images"),
        (prepared, "tests:1", "tests:1: expected an image; got no such file"),
        (ImageLoader(), "test:1", "prepared images need the config of an experiment"),
        (ImageLoader(lambda: root / "nowhere"), "train:1", "nowhere is not prepared; run `noisette prepare`"),
    ):
        with pytest.raises(DataError, match=message):
            image_loader(name)
