"""Whether features are a deterministic function of a single image, and identified by label, hash and size."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from noisette.contracts import Features
from noisette.errors import DataError
from noisette.testing.check import CheckFailedError, Skip, for_method, require
from noisette.testing.options import alternatives, find_ineffective_options, format_plugin
from noisette.testing.other_process import run_in_other_process
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
    plain, known = _extractor(plugin)(_make_images(2, (3, 32, 32))), _identity(plugin)
    for other, vectors in vectors_by_option(plugin):
        same = _identity(other) == known
        changed = vectors.shape != plain.shape or not bool((vectors == plain).all())
        require(
            not (changed and same),
            other,
            "hash, label and resizing",
            "different, as the vectors differ",
            "the same",
        )


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


class _WeightRecorder(TorchFunctionMode):
    """Records the weights of convolutions and linear layers, except filters of a single channel."""

    def __init__(self) -> None:
        super().__init__()
        self.weights: list[Tensor] = []

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        if func in (functional.conv2d, functional.linear):
            weight = args[1] if len(args) > 1 else given["weight"]
            if weight.shape[1] > 1:
                self.weights.append(weight.detach().clone())
        return func(*args, **given)


def _weights(plugin: Features) -> list[Tensor]:
    extract = _extractor(plugin)
    recorder = _WeightRecorder()
    with recorder:
        extract(_make_images(1, (3, 32, 32)))
    return recorder.weights


@cache
def _find_retrained(plugin: Features) -> list[Features]:
    """Return features with another value of an option that loads different weights of the same shapes."""
    known = _weights(plugin)
    return [other for other, _ in vectors_by_option(plugin) if _differ_in_values(known, _weights(other))]


def _differ_in_values(known: list[Tensor], others: list[Tensor]) -> bool:
    alike = [one.shape for one in known] == [one.shape for one in others]
    return alike and any(not torch.equal(one, other) for one, other in zip(known, others, strict=True))


def _require_another(plugin: Features, other: Features, what: str, known: str, actual: str) -> None:
    wanted = f"different from that of {format_plugin(plugin)}, as the weights differ"
    require(actual != known, other, what, wanted, f"the same, {actual!r}")


def _identity(plugin: Features) -> tuple[object, ...]:
    return plugin.weights_sha256(), plugin.label, plugin.resizing, plugin.input_size
