from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from noisette import DataError
from noisette.config import Preparation
from noisette.data.transform import Fit, to_uniform
from noisette.figures import fit_image, make_forward_strip, make_sheet, open_image
from noisette.figures.forward import noise_at_timesteps, scale_timesteps
from noisette.figures.images import to_image
from noisette_plugins.schedules import Cosine, Linear

LINEAR, COSINE = Linear().process(1000), Cosine().process(1000)


def test_the_forward_strip_is_the_closed_form_with_one_noise() -> None:
    """x_t = sqrt(abar) x_0 + sqrt(1 - abar) eps; the abar are golden numbers of the linear schedule."""
    images = torch.linspace(-1, 1, 2 * 3 * 4 * 4).view(2, 3, 4, 4)
    x = noise_at_timesteps(images, LINEAR, [0, 499, 999], seed=5)
    eps = noise_at_timesteps(torch.zeros_like(images), LINEAR, [999], seed=5)[:, 0] / (1 - 4.035829765e-05) ** 0.5
    for column, abar in enumerate((0.9999, 0.07858724288, 4.035829765e-05)):
        expected = abar**0.5 * images + (1 - abar) ** 0.5 * eps
        torch.testing.assert_close(x[:, column], expected, atol=1e-6, rtol=0)
    assert not torch.equal(eps[0], eps[1])
    assert torch.equal(
        noise_at_timesteps(images[:1], COSINE, [999], seed=5)[0, 0],
        noise_at_timesteps(images, COSINE, [999], 5)[0, 0],
    )


def test_the_steps_of_the_seeds_experiment_are_scaled_to_t() -> None:
    assert scale_timesteps(1000) == [0, 15, 50, 100, 200, 300, 400, 550, 700, 999]
    assert scale_timesteps(4000)[-2:] == [2802, 3999]
    assert scale_timesteps(10) == [0, 1, 2, 3, 4, 5, 6, 9]


def test_the_strip_has_a_column_a_step_and_a_row_for_each_schedule_and_image() -> None:
    images = np.full((2, 3, 16, 16), 200, np.uint8)
    strip = make_forward_strip(images, {"linear": LINEAR, "cosine": COSINE})
    assert strip.mode == "RGB"
    assert 900 <= strip.width <= 1100
    assert 350 <= strip.height <= 480  # four rows of images, a line of text
    last = np.asarray(strip)[-40:-10, 70:100]
    assert abs(float(last.mean()) - 200) < 3  # the last row's first column: hardly any noise
    assert last.std() < 5
    assert np.asarray(strip)[-40:, -40:].std() > 60


@pytest.mark.parametrize("at", [[], [-1], [0, 1000]])
def test_steps_that_are_not_of_the_process_are_refused(at: list[int]) -> None:
    with pytest.raises(DataError, match="expected some within 0 to 999"):
        make_forward_strip(np.zeros((1, 1, 4, 4), np.uint8), {"linear": LINEAR}, at)


def test_a_sheet_shows_every_image_in_its_place_enlarged_by_a_whole_factor() -> None:
    generator = np.random.default_rng(0)
    images = generator.integers(0, 200, (2, 3, 3, 5, 7)).astype(np.uint8)
    drawn = make_sheet(images, ["a", "b", "c"], ["one", "two"], title="title", width=200)
    left = drawn.width - 3 * (7 * 7 + 4)
    top = drawn.height - 2 * (5 * 7 + 4)
    for row in range(2):
        for column in range(3):
            x, y = left + column * 53, top + row * 39
            cell = np.asarray(drawn)[y : y + 35, x : x + 49][3::7, 3::7]
            assert np.array_equal(cell.transpose(2, 0, 1), images[row, column])


def test_words_are_drawn_and_fit_their_place() -> None:
    images = np.zeros((1, 6, 1, 8, 8), np.uint8)
    plain, named = (
        np.asarray(make_sheet(images, [text] * 6, width=300)) for text in (" ", "a rather long caption")
    )
    assert plain.shape == named.shape
    changed = (plain != named).any(axis=0)
    assert changed.sum() > 100
    assert not changed[-3:].any()  # nothing runs out of the image


def test_a_image_of_another_size_is_fitted_and_it_says_so(tmp_path: Path) -> None:
    colours = np.zeros((20, 40, 3), np.uint8)
    colours[:, 10:30] = (255, 128, 0)
    Image.fromarray(colours).save(tmp_path / "wide.png")
    wide = open_image(tmp_path / "wide.png")
    same, said = fit_image(wide, (3, 20, 40))
    assert np.array_equal(same, colours.transpose(2, 0, 1))
    assert said == ""
    cropped, said = fit_image(wide, (3, 10, 10))
    assert said == "cropped and scaled from 40x20 to 10x10"
    assert (
        np.abs(cropped.reshape(3, -1).mean(axis=1) - (255, 128, 0)).max() < 5
    )  # the right half; all of it is half as bright
    resized, _ = fit_image(wide, (3, 10, 10), "resize")
    assert resized[0, :, 0].max() < 60
    padded, said = fit_image(wide, (1, 10, 10), "pad")
    assert said == "made grey, scaled and padded from 40x20 to 10x10"
    assert padded.shape == (1, 10, 10)
    assert padded[0, 0].max() == 0
    assert to_image(cropped).size == (10, 10)


@pytest.mark.parametrize("fit", ["crop", "resize", "pad"])
@pytest.mark.parametrize("size", [(6, 9), (40, 25), (200, 31), (16, 16), (7, 300)])
def test_a_file_is_fitted_as_prepared_images_are(fit: Fit, size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    trained_on = to_uniform(image, Preparation(size=16, channels=3, fit=fit))
    assert np.array_equal(fit_image(image, (3, 16, 16), fit)[0], trained_on)


def test_padding_enlarges_nothing_and_says_so() -> None:
    image = Image.new("L", (4, 6), 200)
    padded, said = fit_image(image, (1, 8, 10), "pad")
    assert said == "padded from 4x6 to 10x8"
    assert padded[0, 1:7, 3:7].min() == 200
    assert int((padded > 0).sum()) == 24


def test_what_is_no_image_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no image")
    for name, message in (
        ("text.png", "cannot be read as an image: no image in a format"),
        ("no.png", "got no such file"),
    ):
        with pytest.raises(DataError, match=message):
            open_image(tmp_path / name)
    with pytest.raises(DataError, match="its images have 2 channels"):
        fit_image(Image.new("L", (4, 4)), (2, 4, 4))
