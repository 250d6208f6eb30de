"""Whether a feature network is a fixed function of one picture, named by its weights."""

from __future__ import annotations

import re
from collections.abc import Callable

import torch
from torch import Tensor

from noisette.contracts import Features
from noisette.errors import DataError
from noisette.testing.check import Skip, require
from noisette.testing.options import shown
from noisette.testing.probes import global_random_state_kept, offline, same_bits


def check_weights_are_named_by_hash(plugin: Features) -> None:
    """`weights_sha256` is 64 hexadecimal digits, the same each time."""
    _extractor(plugin)
    first, second = plugin.weights_sha256(), plugin.weights_sha256()
    named = isinstance(first, str) and re.fullmatch(r"[0-9a-f]{64}", first) is not None
    require(named, plugin, "weights_sha256()", "64 hexadecimal digits in lower case", repr(first))
    require(first == second, plugin, "weights_sha256() again", first, second)


def check_vectors_as_declared(plugin: Features) -> None:
    """Pictures uint8 (N, C, H, W) give float32 (N, D), finite and detached: grey, colour, any size, N of 1."""
    extract = _extractor(plugin)
    for shape in ((3, 32, 32), (1, 28, 28), (3, 8, 8), (3, 45, 30), (1, 1, 1)):
        for count in (1, 2):
            came = extract(_pictures(count, shape))
            what, expected = f"vectors of {count} pictures {shape}", (count, plugin.dimensions)
            require(tuple(came.shape) == expected, plugin, f"shape of the {what}", expected, tuple(came.shape))
            require(came.dtype == torch.float32, plugin, f"dtype of the {what}", torch.float32, came.dtype)
            require(bool(came.isfinite().all()), plugin, what, "finite values", "NaN or infinity")
            require(not came.requires_grad, plugin, what, "no gradient kept", "a graph of the network")


def check_same_vectors_every_time(plugin: Features) -> None:
    """Two calls, and a network loaded anew, give the same bits and draw no random number."""
    extract, pictures = _extractor(plugin), _pictures(3, (3, 32, 32))
    with global_random_state_kept(plugin, "a call"):
        first = extract(pictures)
    require(same_bits(first, extract(pictures)), plugin, "vectors of a second call", "the same bits", "others")
    again = _extractor(plugin)(pictures)
    require(same_bits(first, again), plugin, "vectors of a network loaded anew", "the same bits", "others")


def check_pictures_are_independent(plugin: Features) -> None:
    """A picture's vector does not depend on the others, on their number or order, within 1e-4 of the spread."""
    extract, pictures = _extractor(plugin), _pictures(5, (3, 32, 32))
    whole = extract(pictures)
    for rows in ([0], [3, 4], [4, 2, 0, 1, 3]):
        error = float((extract(pictures[rows]) - whole[rows]).abs().max() / whole.std())
        require(
            error < 1e-4,
            plugin,
            f"vectors of pictures {rows} on their own",
            "those of the batch",
            f"{error:.2g} off",
        )


def check_grey_is_repeated(plugin: Features) -> None:
    """A grey picture has the vector of its copy with three equal channels."""
    extract, grey = _extractor(plugin), _pictures(2, (1, 24, 24))
    one, three = extract(grey), extract(grey.repeat(1, 3, 1, 1))
    error = float((one - three).abs().max() / three.std())
    require(error < 1e-5, plugin, "vectors of grey pictures", "those of three equal channels", f"{error:.2g} off")


def check_tells_pictures_apart(plugin: Features) -> None:
    """Different pictures have different vectors; a mirrored, darker or noisier one is another picture."""
    extract, picture = _extractor(plugin), _pictures(1, (3, 32, 32))
    noisy = (picture.int() + _pictures(1, (3, 32, 32), seed=5).int() // 4).clamp(max=255).to(torch.uint8)
    others = {"mirrored": picture.flip(-1), "darker": picture // 2, "noisier": noisy}
    vector = extract(picture)
    for name, other in others.items():
        apart = float((extract(other) - vector).abs().max() / vector.std().clamp(min=1e-12))
        require(apart > 1e-4, plugin, f"vector of the {name} picture", "another", "the same")


def check_classifies_as_declared(plugin: Features) -> None:
    """With `classifies`, `classifier` gives finite logits (N, K), K at least 2; without, it is refused."""
    features = _extractor(plugin)(_pictures(3, (3, 32, 32)))
    if not plugin.classifies:
        try:
            plugin.classifier()
        except DataError:
            return
        require(False, plugin, "classifies", "True, as there is a classifier", False)
    logits = plugin.classifier()(features.cpu())
    right = logits.ndim == 2 and len(logits) == 3 and logits.shape[1] >= 2
    require(right, plugin, "shape of the logits of 3 pictures", "(3, K) with K of 2 or more", tuple(logits.shape))
    require(bool(logits.isfinite().all()), plugin, "logits", "finite values", "NaN or infinity")


def check_leaves_its_inputs_alone(plugin: Features) -> None:
    """The pictures are not changed in place."""
    extract, pictures = _extractor(plugin), _pictures(2, (3, 32, 32))
    before = pictures.clone()
    extract(pictures)
    require(same_bits(pictures, before), plugin, "pictures after a call", "unchanged", "others")


def _extractor(plugin: Features) -> Callable[[Tensor], Tensor]:
    try:
        with offline():
            return plugin.load(torch.device("cpu"))
    except DataError as missing:
        raise Skip(f"{shown(plugin)}: its weights are not here: {missing}") from missing


def _pictures(count: int, shape: tuple[int, int, int], seed: int = 0) -> Tensor:
    """Return pictures of smooth patterns with grain, uint8 (N, C, H, W)."""
    generator = torch.Generator().manual_seed(seed)
    channels, height, width = shape
    rows, columns = torch.linspace(0, 3, height)[:, None], torch.linspace(0, 2, width)
    phases = 6 * torch.rand(count, channels, 1, 1, generator=generator)
    waves = torch.sin(2 * rows + phases) * torch.cos(3 * columns - phases)
    grain = torch.rand(count, *shape, generator=generator)
    return (255 * (0.4 + 0.3 * waves + 0.2 * grain)).clamp(0, 255).to(torch.uint8)
