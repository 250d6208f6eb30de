"""Images that a metric wants to be seen beside the reference: which, and that the files show those."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from noisette import Neighbours
from noisette.evaluation.feature_cache import FeatureCache
from noisette.evaluation.plots import draw_neighbours
from noisette.evaluation.set_statistics import compare_states, compute_states
from noisette.evaluation.sets import ImageSet
from noisette_plugins.features import EfficientNetLite0
from noisette_plugins.metrics import KID, Frechet, Nearest, PrecisionRecall


def flat(values: list[int], shape: tuple[int, int, int] = (3, 8, 8), name: str = "some") -> ImageSet:
    """Return images of one colour each, which are found again in what is drawn."""
    images = np.stack([np.full(shape, value, np.uint8) for value in values])
    return ImageSet(name, images)


def colours(path: Path) -> list[int]:
    """Return the greys of a file that fill an image's worth of pixels, from left to right."""
    pixels = np.asarray(Image.open(path).convert("L"))
    row = pixels[pixels.shape[0] * 3 // 4]
    return [int(value) for value, before in zip(row[1:], row[:-1], strict=True) if value != before]


def test_a_row_shows_the_image_and_its_neighbours(tmp_path: Path) -> None:
    judged, reference = flat([10, 20, 30]), flat([110, 120, 130, 140], name="train")
    found = {"ddim 50/x": [Neighbours(1, [2, 0], [0.5, 1.5])], "noise": [Neighbours(0, [0], [1.0])], "none": []}
    names = draw_neighbours(found, {"ddim 50/x": (judged, reference), "none": (judged, reference)}, tmp_path)
    assert names == {"ddim 50/x": "nearest-ddim_50_x.png"}
    shown = colours(tmp_path / names["ddim 50/x"])
    assert [grey for grey in shown if grey in (10, 20, 30, 110, 120, 130, 140)] == [20, 130, 110]


def test_images_of_other_sizes_and_channels_stand_side_by_side(tmp_path: Path) -> None:
    judged, reference = flat([20], (1, 6, 6)), flat([200, 220], (3, 12, 12))
    (name,) = draw_neighbours(
        {"a": [Neighbours(0, [1, 0], [1.0, 2.0])]}, {"a": (judged, reference)}, tmp_path
    ).values()
    shown = colours(tmp_path / name)
    assert [grey for grey in shown if grey in (20, 200, 220)] == [20, 220, 200]


def some(count: int, seed: int) -> ImageSet:
    images = np.random.default_rng(seed).integers(0, 256, (count, 3, 8, 8), dtype=np.uint8)
    return ImageSet(f"some {seed}", images)


@pytest.fixture
def cache() -> FeatureCache:
    return FeatureCache(EfficientNetLite0(size=32), torch.device("cpu"), None)


def test_copies_are_found_in_images(cache: FeatureCache) -> None:
    """Three of the judged images are training images: their places, and those of the originals, are named."""
    real, fresh = some(40, 0), some(9, 1)
    judged = ImageSet("judged", np.concatenate([fresh.images[:6], real.images[[7, 30, 2]]]))
    metrics = [Nearest(shown=3, beside=2)]
    states = [compute_states(each, metrics, cache) for each in (judged, real)]
    comparison = compare_states(states[0], states[1], None, metrics, cache)
    found = {row.image: row.nearest[0] for row in comparison.neighbours}
    assert found == {6: 7, 7: 30, 8: 2}
    assert comparison.results[f"memorised_{cache.label}"].value == pytest.approx(3 / 9)


def test_metrics_of_one_class_of_state_are_given_one_state(cache: FeatureCache) -> None:
    metrics = [KID(), Frechet(), PrecisionRecall(), Nearest(), KID(subsets=7)]
    kid, frechet, precision, nearest, other = compute_states(some(20, 2), metrics, cache)
    assert kid["features"] is precision["features"] is nearest["features"] is other["features"]
    assert kid["features"].shape == (20, cache.features.dimensions)
    assert "sample" in frechet
    alone = compute_states(some(20, 2), [PrecisionRecall()], cache)[0]
    assert torch.equal(alone["features"], precision["features"])
