"""Whether features are a deterministic function of a single image, and identified by label, hash and size."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache, lru_cache, partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from noisette.contracts import Features
from noisette.errors import DataError
from noisette.testing.check import CheckFailedError, Skip, for_method, require
from noisette.testing.options import find_ineffective_options, format_plugin, iter_alternatives
from noisette.testing.other_process import run_in_other_process
from noisette.testing.probes import (
    find_seeded_generators,
    is_bit_equal,
    iter_layouts,
    offline,
    require_finite,
    require_same_bits,
    require_same_random_state,
    seed_globally,
)


def check_vectors_as_declared(plugin: Features) -> None:
    """Images uint8 (N, C, H, W) give float32 (N, D), finite and detached: grey, colour, any size, N of 1."""
    extract = _extractor(plugin)
    for shape in ((3, 32, 32), (1, 28, 28), (3, 8, 8), (3, 45, 30), (1, 1, 1)):
        for count in (1, 2):
            actual = extract(_make_images(count, shape))
            what, expected = f"vectors of {count} images {shape}", (count, plugin.dimensions)
            require(tuple(actual.shape) == expected, plugin, f"shape of the {what}", expected, tuple(actual.shape))
            require(actual.dtype == torch.float32, plugin, f"dtype of the {what}", torch.float32, actual.dtype)
            require(not actual.requires_grad, plugin, what, "no gradient kept", "a graph of the network")


def check_vectors_are_deterministic(plugin: Features) -> None:
    """Two calls, and a network that is loaded again, give the same bits and draw no random numbers.

    Independent of earlier images and of global seeds.
    """
    with seed_globally(1):
        extract, images = _load(plugin), _make_images(3)
    with require_same_random_state(plugin, "a call"):
        first = extract(images)
    require_same_bits(plugin, "vectors of a second call", first, extract(images))
    with seed_globally(2):
        anew = _load(plugin)
    anew(_make_images(5, (3, 20, 24), seed=7) // 3)
    what = "vectors of a network that is loaded again, after darker images"
    require_same_bits(plugin, what, first, anew(images))


def check_images_are_independent(plugin: Features) -> None:
    """An image's vector does not depend on the others, on their number or order, within 1e-4 of the spread."""
    extract, images = _extractor(plugin), _make_images(5)
    whole = extract(images)
    for rows in ([0], [3, 4], [4, 2, 0, 1, 3]):
        what = f"vectors of images {rows} on their own"
        _require_near(plugin, what, extract(images[rows]), whole[rows], whole, "those of the batch")


def check_grey_is_repeated(plugin: Features) -> None:
    """A grey image has the vector of its copy with three equal channels."""
    extract, grey = _extractor(plugin), _make_images(2, (1, 24, 24))
    one, three = extract(grey), extract(grey.repeat(1, 3, 1, 1))
    _require_near(plugin, "vectors of grey images", one, three, three, "those of three equal channels", 1e-5)


def check_distinguishes_images(plugin: Features) -> None:
    """Different images, such as darker or noisier ones, have different vectors."""
    extract, image = _extractor(plugin), _make_images(1)
    noisy = (image.int() + _make_images(1, seed=5).int() // 4).clamp(max=255).to(torch.uint8)
    for name, other in (("darker", image // 2), ("noisier", noisy)):
        _require_different(plugin, f"vector of the {name} image", extract(image), extract(other))


def check_loading_seeds_nothing(plugin: Features) -> None:
    """Loading the network seeds no global generator."""
    _extractor(plugin)
    seeded = find_seeded_generators(lambda: _load(plugin))
    require(not seeded, plugin, "global generators that load seeds", "none", seeded)


def check_bytes_do_not_wrap(plugin: Features) -> None:
    """Images in uint8 have the vectors of the same values in int32: no arithmetic overflows.

    Skipped if int32 is refused.
    """
    extract, images = _extractor(plugin), _make_images(3)
    try:
        wide = extract(images.to(torch.int32))
    except CheckFailedError:
        raise
    except Exception as error:
        raise Skip(f"{format_plugin(plugin)}: it accepts uint8 only ({type(error).__name__})") from error
    vectors, wanted = extract(images), "those of the same values in int32"
    _require_near(plugin, "vectors of uint8 images", vectors, wide, vectors, wanted, 1e-3)


def check_sees_the_whole_image(plugin: Features) -> None:
    """A change in any quarter of a square image, or in any channel, changes the vector."""
    extract, image = _extractor(plugin), _make_images(1)
    vector = extract(image)
    for channel, name in enumerate(("red", "green", "blue")):
        other = image.clone()
        other[:, channel] = 255 - other[:, channel]
        _require_different(plugin, f"vector of an image with another {name}", vector, extract(other))
    for row, column in ((0, 0), (0, 16), (16, 0), (16, 16)):
        other = image.clone()
        other[..., row : row + 16, column : column + 16] = 255 - other[..., row : row + 16, column : column + 16]
        _require_different(
            plugin, f"vector of an image with another quarter at ({row}, {column})", vector, extract(other)
        )


def check_any_memory_layout(plugin: Features) -> None:
    """Images that are not contiguous, or in channels-last format, have the same vectors, within 1e-4."""
    extract, images = _extractor(plugin), _make_images(3, (3, 24, 40))
    vectors = extract(images)
    for what, other in iter_layouts(images):
        _require_near(plugin, f"vectors of images that lie {what}", extract(other), vectors, vectors, "the same")


def check_every_option_has_an_effect(plugin: Features) -> None:
    """Each option changes vectors, logits, label or facts."""
    _extractor(plugin)
    images = _make_images(2)

    def seen(features: Features) -> object:
        try:
            vectors = _extractor(features)(images)
            logits = features.load_classifier()(vectors) if features.has_classifier else vectors
        except (Skip, DataError):
            return "its weights are not available"
        return vectors.numpy().tobytes(), logits.numpy().tobytes(), features.label, str(features.facts)

    for key in find_ineffective_options(plugin, seen):
        require(False, plugin, f"option {key!r}", "an effect on the vectors", "none")


@for_method("classifier")
def check_classifies_as_declared(plugin: Features) -> None:
    """With `has_classifier`, `load_classifier` gives finite logits (N, K), K at least 2; without, a DataError."""
    features = _extractor(plugin)(_make_images(3))
    if not plugin.has_classifier:
        try:
            plugin.load_classifier()
        except DataError:
            return
        require(False, plugin, "has_classifier", "True, as there is a classifier", False)
    logits = plugin.load_classifier()(features.cpu())
    right = logits.ndim == 2 and len(logits) == 3 and logits.shape[1] >= 2
    require(right, plugin, "shape of the logits of 3 images", "(3, K) with K of 2 or more", tuple(logits.shape))
    require_finite(plugin, "logits", logits)
    alone = torch.cat([plugin.load_classifier()(features[i : i + 1].cpu()) for i in range(3)])
    near = bool(((alone - logits).abs() <= 1e-4 * logits.std().clamp(min=1e-6)).all())
    require(near, plugin, "logits of each image on its own", "those of the batch", "different")
    sums = logits.double().sum(dim=1)
    shares = bool((logits >= 0).all()) and bool(((sums - 1).abs() < 1e-4).all())
    require(not shares, plugin, "logits", "values before the softmax", "probabilities that add to 1")


def check_leaves_its_inputs_alone(plugin: Features) -> None:
    """The images are not changed in place."""
    images = _make_images(2)
    before = images.clone()
    _extractor(plugin)(images)
    require(is_bit_equal(images, before), plugin, "images after a call", "unchanged", "changed")


def check_extreme_images_are_independent(plugin: Features) -> None:
    """Black, nearly black, grey, white and sharp images have the same finite vectors alone and in a batch.

    Within 1e-4 of the standard deviation: scaling must not depend on the brightest image of the batch.
    """
    extract, extreme = _extractor(plugin), _extreme_images()
    both = torch.cat([*extreme.values(), _make_images(2)])
    whole = extract(both)
    for number, (name, image) in enumerate(extreme.items()):
        what, row = f"vector of a {name} image alone", whole[number : number + 1]
        _require_near(plugin, what, extract(image), row, whole, "that in a batch")


def check_many_images_at_once(plugin: Features) -> None:
    """37 images give 37 vectors, each that of the image alone, within 1e-4 of the spread.

    Features that work in groups must not drop or mix up an incomplete one; 37 is prime.
    """
    extract, images = _extractor(plugin), _make_images(37, (3, 16, 16))
    vectors = extract(images)
    for place in (0, 7, 8, 32, 36):
        row, alone = vectors[place : place + 1], extract(images[place : place + 1])
        _require_near(plugin, f"vector {place} of 37 images", row, alone, vectors, "that of the image alone")


def check_dimensions_as_declared(plugin: Features) -> None:
    """For other values of options too, vectors are float32 (N, `dimensions`); they do not change this plugin's."""
    extract, images = _extractor(plugin), _make_images(2)
    before = extract(images)
    for other, vectors in vectors_by_option(plugin):
        expected, actual = (2, other.dimensions), tuple(vectors.shape)
        require(actual == expected, other, "shape of the vectors of 2 images", expected, actual)
        require(vectors.dtype == torch.float32, other, "dtype of the vectors", torch.float32, vectors.dtype)
    require_same_bits(plugin, "vectors after loading the features with other options", before, extract(images))


@for_method("weights_sha256")
def check_same_in_another_process(plugin: Features) -> None:
    """Another process, with other hashes of strings, gives the same identity, and vectors within 1e-4."""
    _extractor(plugin)
    named, vectors = process_fingerprint(plugin)
    named_there, vectors_there = run_in_other_process(plugin, __name__, "process_fingerprint")
    names = ("weights_sha256()", "label", "resizing", "facts")
    for what, here, there in zip(names, named, named_there, strict=True):
        require(here == there, plugin, f"{what} in another process", here, there)
    first, second = torch.tensor(vectors), torch.tensor(vectors_there)
    same = first.shape == second.shape
    error = float((first - second).abs().max() / first.std().clamp(min=1e-12)) if same else float("inf")
    require(error < 1e-4, plugin, "vectors in another process", "the same", f"{error:.2g} off")


def check_weights_have_a_hash(plugin: Features) -> None:
    """`weights_sha256` is 64 hexadecimal digits, the same each time."""
    _extractor(plugin)
    first, second = plugin.weights_sha256(), plugin.weights_sha256()
    named = isinstance(first, str) and re.fullmatch(r"[0-9a-f]{64}", first) is not None
    require(named, plugin, "weights_sha256()", "64 lower-case hexadecimal digits", repr(first))
    require(first == second, plugin, "weights_sha256() again", first, second)


@for_method("weights_sha256")
def check_options_change_the_identity(plugin: Features) -> None:
    """An option that changes the vectors also changes the hash, the label or the resizing.

    They identify results and cached statistics. Much larger sizes are not tried.
    """
    plain = _extractor(plugin)(_make_images(2))
    for other, vectors in vectors_by_option(plugin):
        changed = vectors.shape != plain.shape or not bool((vectors == plain).all())
        known_apart = not changed or _identity(other) != _identity(plugin)
        require(known_apart, other, "hash, label and resizing", "different, as the vectors differ", "the same")


@for_method("weights_sha256")
def check_other_weights_have_another_hash(plugin: Features) -> None:
    """An option that loads other weights of the same shapes changes `weights_sha256`.

    The feature cache depends on it. Weights are those of convolutions and linear layers.
    """
    for other in _find_retrained(plugin):
        _require_another(plugin, other, "weights_sha256()", plugin.weights_sha256(), other.weights_sha256())


@for_method("label")
def check_other_weights_have_another_label(plugin: Features) -> None:
    """An option that loads other weights of the same shapes changes the label of results."""
    for other in _find_retrained(plugin):
        _require_another(plugin, other, "label", plugin.label, other.label)


@for_method("input_size")
def check_uses_the_full_input_size(plugin: Features) -> None:
    """Images of `input_size` are not scaled down: detail of single pixels has an effect.

    The effect is at least 1 % of that of a coarse pattern of the same contrast.
    """
    extract, size = _extractor(plugin), plugin.input_size
    if size is None:
        raise Skip(f"{format_plugin(plugin)}: it takes images of any size as they are")
    fade = torch.hann_window(size, periodic=False)
    coarse = 100 * fade[:, None] * fade
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    fine = coarse * (1 - 2 * ((rows + columns) % 2))
    grey = torch.full((size, size), 120.0)
    images = torch.stack([grey, grey + coarse, grey + fine]).round().to(torch.uint8)[:, None].expand(-1, 3, -1, -1)
    vectors = extract(images)
    of_coarse, of_fine = (float((vectors[place] - vectors[0]).norm()) for place in (1, 2))
    what = f"effect of single pixels in images of {size}x{size}, the input_size"
    wanted = "at least 0.01 of a coarse pattern's"
    require(of_fine >= 0.01 * of_coarse, plugin, what, wanted, of_fine / max(of_coarse, 1e-12))


@cache
def vectors_by_option(plugin: Features) -> list[tuple[Features, Tensor]]:
    """Return features with another value of an option, and their vectors of two images.

    Features whose weights are not available, or whose images are many times larger, are left out.
    """
    found = []
    for other in iter_alternatives(plugin, small=True):
        try:
            found.append((other, _extractor(other)(_make_images(2))))
        except (Skip, DataError):
            continue
    return found


def _require_different(plugin: Features, what: str, vector: Tensor, other: Tensor) -> None:
    apart = float((other - vector).abs().max() / vector.std().clamp(min=1e-12))
    require(apart > 1e-4, plugin, what, "different", "the same")


def _require_near(
    plugin: Features, what: str, actual: Tensor, expected: Tensor, whole: Tensor, wanted: str, limit: float = 1e-4
) -> None:
    """Require that vectors agree within a share of the standard deviation of `whole`."""
    error = float((actual - expected).abs().max() / whole.std().clamp(min=1e-12))
    require(error < limit, plugin, what, wanted, f"{error:.2g} off")


@lru_cache(maxsize=2)
def _extractor(plugin: Features) -> Callable[[Tensor], Tensor]:
    """Return the network, loaded once for all checks."""
    return _load(plugin)


def _load(plugin: Features) -> Callable[[Tensor], Tensor]:
    """Load the network, and wrap it to check that its output has a row for each image."""
    try:
        with offline():
            extract = plugin.load(torch.device("cpu"))
    except DataError as missing:
        raise Skip(f"{format_plugin(plugin)}: its weights are not available: {missing}") from missing
    require(callable(extract), plugin, "result of load", "a function", type(extract).__name__, cause="no function")
    return partial(_vectors, plugin, extract)


def _vectors(plugin: Features, extract: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    vectors = extract(images)
    is_tensor = isinstance(vectors, Tensor) and vectors.ndim == 2 and len(vectors) == len(images)
    actual = tuple(vectors.shape) if isinstance(vectors, Tensor) else type(vectors).__name__
    expected = f"({len(images)}, D)"
    require(is_tensor, plugin, f"shape of the vectors of {len(images)} images", expected, actual, cause="no rows")
    require_finite(plugin, "vectors", vectors)
    return vectors


def _make_images(count: int, shape: tuple[int, int, int] = (3, 32, 32), seed: int = 0) -> Tensor:
    """Return images of smooth patterns with noise, uint8 (N, C, H, W)."""
    generator = torch.Generator().manual_seed(seed)
    channels, height, width = shape
    rows, columns = torch.linspace(0, 3, height)[:, None], torch.linspace(0, 2, width)
    phases = 6 * torch.rand(count, channels, 1, 1, generator=generator)
    waves = torch.sin(2 * rows + phases) * torch.cos(3 * columns - phases)
    grain = torch.rand(count, *shape, generator=generator)
    return (255 * (0.4 + 0.3 * waves + 0.2 * grain)).clamp(0, 255).to(torch.uint8)


def process_fingerprint(plugin: Features) -> tuple[list[str], list[list[float]]]:
    """Return the identity of features and the first values of the vectors of three images, as JSON values."""
    vectors = _extractor(plugin)(_make_images(3))
    facts = json.dumps(plugin.facts, sort_keys=True)
    return [plugin.weights_sha256(), plugin.label, plugin.resizing, facts], vectors[:, :64].tolist()


def _extreme_images() -> dict[str, Tensor]:
    """Return images uint8 (1, 3, 32, 32) by description."""
    flat = torch.ones(1, 3, 32, 32, dtype=torch.uint8)
    faint = (_make_images(1) > 100).to(torch.uint8)
    sharp = 255 * (_make_images(1, seed=3) > 110).to(torch.uint8)
    return {"black": 0 * flat, "nearly black": faint, "grey": 128 * flat, "white": 255 * flat, "sharp": sharp}


class _WeightRecorder(TorchFunctionMode):
    """Records the weights of convolutions and linear layers, except filters of a single channel."""

    def __init__(self) -> None:
        super().__init__()
        self.weights: list[Tensor] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = kwargs or {}
        if func in (functional.conv2d, functional.linear):
            weight = args[1] if len(args) > 1 else given["weight"]
            if weight.shape[1] > 1:
                self.weights.append(weight.detach().clone())
        return func(*args, **given)


@cache
def _find_retrained(plugin: Features) -> list[Features]:
    """Return features with another value of an option that loads different weights of the same shapes."""

    def weights(features: Features) -> list[Tensor]:
        extract, recorder = _extractor(features), _WeightRecorder()
        with recorder:
            extract(_make_images(1))
        return recorder.weights

    def differ(a: list[Tensor], b: list[Tensor]) -> bool:
        alike = [one.shape for one in a] == [one.shape for one in b]
        return alike and not all(torch.equal(one, other) for one, other in zip(a, b, strict=True))

    known = weights(plugin)
    return [other for other, _ in vectors_by_option(plugin) if differ(known, weights(other))]


def _require_another(plugin: Features, other: Features, what: str, known: str, actual: str) -> None:
    wanted = f"different from that of {format_plugin(plugin)}, as the weights differ"
    require(actual != known, other, what, wanted, f"the same, {actual!r}")


def _identity(plugin: Features) -> tuple[object, ...]:
    return plugin.weights_sha256(), plugin.label, plugin.resizing, plugin.input_size
