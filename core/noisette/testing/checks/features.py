"""Whether a feature network is a deterministic function of a single image."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

import torch
from torch import Tensor

from noisette.contracts import Features
from noisette.errors import DataError
from noisette.testing.check import CheckFailedError, Skip, for_method, require
from noisette.testing.options import alternatives, find_ineffective_options, format_plugin
from noisette.testing.probes import (
    find_seeded_generators,
    is_bit_equal,
    offline,
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
            require(bool(actual.isfinite().all()), plugin, what, "finite values", "NaN or infinity")
            require(not actual.requires_grad, plugin, what, "no gradient kept", "a graph of the network")


def check_vectors_are_deterministic(plugin: Features) -> None:
    """Two calls, and a network that is loaded again, give the same bits and draw no random numbers.

    Independent of earlier images and of global seeds.
    """
    with seed_globally(1):
        extract, images = _extractor(plugin), _make_images(3, (3, 32, 32))
    with require_same_random_state(plugin, "a call"):
        first = extract(images)
    require(
        is_bit_equal(first, extract(images)), plugin, "vectors of a second call", "the same bits", "different bits"
    )
    with seed_globally(2):
        anew = _extractor(plugin)
    anew(_make_images(5, (3, 20, 24), seed=7) // 3)
    again = anew(images)
    what = "vectors of a network that is loaded again, after darker images"
    require(is_bit_equal(first, again), plugin, what, "the same bits", "different bits")


def check_images_are_independent(plugin: Features) -> None:
    """An image's vector does not depend on the others, on their number or order, within 1e-4 of the spread."""
    extract, images = _extractor(plugin), _make_images(5, (3, 32, 32))
    whole = extract(images)
    for rows in ([0], [3, 4], [4, 2, 0, 1, 3]):
        error = float((extract(images[rows]) - whole[rows]).abs().max() / whole.std())
        require(
            error < 1e-4,
            plugin,
            f"vectors of images {rows} on their own",
            "those of the batch",
            f"{error:.2g} off",
        )


def check_grey_is_repeated(plugin: Features) -> None:
    """A grey image has the vector of its copy with three equal channels."""
    extract, grey = _extractor(plugin), _make_images(2, (1, 24, 24))
    one, three = extract(grey), extract(grey.repeat(1, 3, 1, 1))
    error = float((one - three).abs().max() / three.std())
    require(error < 1e-5, plugin, "vectors of grey images", "those of three equal channels", f"{error:.2g} off")


def check_distinguishes_images(plugin: Features) -> None:
    """Different images, such as darker or noisier ones, have different vectors."""
    extract, image = _extractor(plugin), _make_images(1, (3, 32, 32))
    noisy = (image.int() + _make_images(1, (3, 32, 32), seed=5).int() // 4).clamp(max=255).to(torch.uint8)
    others = {"darker": image // 2, "noisier": noisy}
    vector = extract(image)
    for name, other in others.items():
        apart = float((extract(other) - vector).abs().max() / vector.std().clamp(min=1e-12))
        require(apart > 1e-4, plugin, f"vector of the {name} image", "different", "the same")


def check_loading_seeds_nothing(plugin: Features) -> None:
    """Loading the network seeds no global generator."""
    _extractor(plugin)
    seeded = find_seeded_generators(lambda: _extractor(plugin))
    require(not seeded, plugin, "global generators that load seeds", "none", seeded)


def check_bytes_do_not_wrap(plugin: Features) -> None:
    """Images in uint8 have the vectors of the same values in int32: no arithmetic overflows.

    Skipped if int32 is refused.
    """
    extract, images = _extractor(plugin), _make_images(3, (3, 32, 32))
    try:
        wide = extract(images.to(torch.int32))
    except CheckFailedError:
        raise
    except Exception as error:
        raise Skip(f"{format_plugin(plugin)}: it accepts uint8 only ({type(error).__name__})") from error
    vectors = extract(images)
    off = float((wide - vectors).abs().max() / vectors.std().clamp(min=1e-12))
    require(off < 1e-3, plugin, "vectors of uint8 images", "those of the same values in int32", f"{off:.2g} off")


def check_sees_the_whole_image(plugin: Features) -> None:
    """A change in any quarter of a square image, or in any channel, changes the vector."""
    extract, image = _extractor(plugin), _make_images(1, (3, 32, 32))
    vector = extract(image)
    for channel, name in enumerate(("red", "green", "blue")):
        other = image.clone()
        other[:, channel] = 255 - other[:, channel]
        _differs(plugin, f"vector of an image with another {name}", vector, extract(other))
    for row, column in ((0, 0), (0, 16), (16, 0), (16, 16)):
        other = image.clone()
        other[..., row : row + 16, column : column + 16] = 255 - other[..., row : row + 16, column : column + 16]
        _differs(plugin, f"vector of an image with another quarter at ({row}, {column})", vector, extract(other))


def check_any_memory_layout(plugin: Features) -> None:
    """Images that are not contiguous, or in channels-last format, have the same vectors, within 1e-4."""
    extract, images = _extractor(plugin), _make_images(3, (3, 24, 40))
    vectors = extract(images)
    apart = torch.stack([images, images], dim=-1)[..., 0]
    for what, other in (
        ("with gaps", apart),
        ("channels last", images.contiguous(memory_format=torch.channels_last)),
    ):
        error = float((extract(other) - vectors).abs().max() / vectors.std())
        require(error < 1e-4, plugin, f"vectors of images that lie {what}", "the same", f"{error:.2g} off")


def check_every_option_has_an_effect(plugin: Features) -> None:
    """Each option changes vectors, logits, label or facts."""
    _extractor(plugin)
    images = torch.cat([_make_images(2, (3, 32, 32))])

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
    features = _extractor(plugin)(_make_images(3, (3, 32, 32)))
    if not plugin.has_classifier:
        try:
            plugin.load_classifier()
        except DataError:
            return
        require(False, plugin, "has_classifier", "True, as there is a classifier", False)
    logits = plugin.load_classifier()(features.cpu())
    right = logits.ndim == 2 and len(logits) == 3 and logits.shape[1] >= 2
    require(right, plugin, "shape of the logits of 3 images", "(3, K) with K of 2 or more", tuple(logits.shape))
    require(bool(logits.isfinite().all()), plugin, "logits", "finite values", "NaN or infinity")
    alone = torch.cat([plugin.load_classifier()(features[i : i + 1].cpu()) for i in range(3)])
    near = bool(((alone - logits).abs() <= 1e-4 * logits.std().clamp(min=1e-6)).all())
    require(near, plugin, "logits of each image on its own", "those of the batch", "different")
    sums = logits.double().sum(dim=1)
    shares = bool((logits >= 0).all()) and bool(((sums - 1).abs() < 1e-4).all())
    require(not shares, plugin, "logits", "values before the softmax", "probabilities that add to 1")


@cache
def vectors_by_option(plugin: Features) -> list[tuple[Features, Tensor]]:
    """Return features with another value of an option, and their vectors of two images.

    Features whose weights are not available, or whose images are many times larger, are left out.
    """
    found = []
    for other in (one for tried in alternatives(plugin, small=True).values() for one in tried):
        try:
            found.append((other, _extractor(other)(_make_images(2, (3, 32, 32)))))
        except (Skip, DataError):
            continue
    return found


def _differs(plugin: Features, what: str, vector: Tensor, other: Tensor) -> None:
    apart = float((other - vector).abs().max() / vector.std().clamp(min=1e-12))
    require(apart > 1e-4, plugin, what, "different", "the same")


def check_leaves_its_inputs_alone(plugin: Features) -> None:
    """The images are not changed in place."""
    extract, images = _extractor(plugin), _make_images(2, (3, 32, 32))
    before = images.clone()
    extract(images)
    require(is_bit_equal(images, before), plugin, "images after a call", "unchanged", "changed")


def _extractor(plugin: Features) -> Callable[[Tensor], Tensor]:
    """Return the loaded network, wrapped to check that its output has a row for each image."""
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
    finite = bool(vectors.isfinite().all())
    require(finite, plugin, "vectors", "finite values", "NaN or infinity", cause="not finite")
    return vectors


def _make_images(count: int, shape: tuple[int, int, int], seed: int = 0) -> Tensor:
    """Return images of smooth patterns with noise, uint8 (N, C, H, W)."""
    generator = torch.Generator().manual_seed(seed)
    channels, height, width = shape
    rows, columns = torch.linspace(0, 3, height)[:, None], torch.linspace(0, 2, width)
    phases = 6 * torch.rand(count, channels, 1, 1, generator=generator)
    waves = torch.sin(2 * rows + phases) * torch.cos(3 * columns - phases)
    grain = torch.rand(count, *shape, generator=generator)
    return (255 * (0.4 + 0.3 * waves + 0.2 * grain)).clamp(0, 255).to(torch.uint8)
