"""Whether different features differ in label, hash or size."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from noisette.contracts import Features
from noisette.testing.check import Skip, for_method, require
from noisette.testing.checks.features import _extractor, _make_images, vectors_by_option
from noisette.testing.options import format_plugin


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
