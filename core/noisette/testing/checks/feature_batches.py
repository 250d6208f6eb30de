"""Whether an image has the same features in any batch, with other features loaded, and in any process."""

from __future__ import annotations

import json

import torch
from torch import Tensor

from noisette.contracts import Features
from noisette.testing.check import for_method, require
from noisette.testing.checks.features import _extractor, _make_images, vectors_by_option
from noisette.testing.other_process import run_in_other_process
from noisette.testing.probes import is_bit_equal


def check_extreme_images_are_independent(plugin: Features) -> None:
    """Black, nearly black, grey, white and sharp images have the same finite vectors alone and in a batch.

    Within 1e-4 of the standard deviation: scaling must not depend on the brightest image of the batch.
    """
    extract, extreme = _extractor(plugin), _extreme_images()
    both = torch.cat([*extreme.values(), _make_images(2, (3, 32, 32))])
    whole = extract(both)
    for number, (name, image) in enumerate(extreme.items()):
        alone = extract(image)
        error = float((alone - whole[number : number + 1]).abs().max() / whole.std().clamp(min=1e-12))
        require(error < 1e-4, plugin, f"vector of a {name} image alone", "that in a batch", f"{error:.2g} off")


def check_many_images_at_once(plugin: Features) -> None:
    """37 images give 37 vectors, each that of the image alone, within 1e-4 of the spread.

    Features that work in groups must not drop or mix up an incomplete one; 37 is prime.
    """
    extract, images = _extractor(plugin), _make_images(37, (3, 16, 16))
    vectors = extract(images)
    for place in (0, 7, 8, 32, 36):
        alone = extract(images[place : place + 1])
        error = float((alone - vectors[place : place + 1]).abs().max() / vectors.std().clamp(min=1e-12))
        require(error < 1e-4, plugin, f"vector {place} of 37 images", "that of the image alone", f"{error:.2g} off")


def check_dimensions_as_declared(plugin: Features) -> None:
    """For other values of options too, vectors are float32 (N, `dimensions`); they do not change this plugin's."""
    extract, images = _extractor(plugin), _make_images(2, (3, 32, 32))
    before = extract(images)
    for other, vectors in vectors_by_option(plugin):
        expected, actual = (2, other.dimensions), tuple(vectors.shape)
        require(actual == expected, other, "shape of the vectors of 2 images", expected, actual)
        require(vectors.dtype == torch.float32, other, "dtype of the vectors", torch.float32, vectors.dtype)
    same = is_bit_equal(before, extract(images))
    require(
        same, plugin, "vectors after loading the features with other options", "the same bits", "different bits"
    )


@for_method("weights_sha256")
def check_same_in_another_process(plugin: Features) -> None:
    """Another process, with other hashes of strings, gives the same identity, and vectors within 1e-4."""
    _extractor(plugin)
    named, vectors = process_fingerprint(plugin)
    named_there, vectors_there = run_in_other_process(plugin, __name__, "process_fingerprint")
    for what, here, there in zip(
        ("weights_sha256()", "label", "resizing", "facts"), named, named_there, strict=True
    ):
        require(here == there, plugin, f"{what} in another process", here, there)
    first, second = torch.tensor(vectors), torch.tensor(vectors_there)
    same = first.shape == second.shape
    error = float((first - second).abs().max() / first.std().clamp(min=1e-12)) if same else float("inf")
    require(error < 1e-4, plugin, "vectors in another process", "the same", f"{error:.2g} off")


def process_fingerprint(plugin: Features) -> tuple[list[str], list[list[float]]]:
    """Return the identity of features and the first values of the vectors of three images, as JSON values."""
    vectors = _extractor(plugin)(_make_images(3, (3, 32, 32)))
    facts = json.dumps(plugin.facts, sort_keys=True)
    return [plugin.weights_sha256(), plugin.label, plugin.resizing, facts], vectors[:, :64].tolist()


def _extreme_images() -> dict[str, Tensor]:
    """Return images uint8 (1, 3, 32, 32) by description."""
    flat = torch.ones(1, 3, 32, 32, dtype=torch.uint8)
    faint = (_make_images(1, (3, 32, 32)) > 100).to(torch.uint8)
    sharp = 255 * (_make_images(1, (3, 32, 32), seed=3) > 110).to(torch.uint8)
    return {"black": 0 * flat, "nearly black": faint, "grey": 128 * flat, "white": 255 * flat, "sharp": sharp}
