"""Inception of noisette and torch-fidelity with the same random weights; the effect of bf16."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from benchmarks.arms import is_installed
from benchmarks.metrics_equal import ours
from benchmarks.metrics_peers import FIDELITY
from benchmarks.setting import Setting
from benchmarks.table import markdown, ms, times
from benchmarks.timing import compare_times, summary, time_interleaved
from noisette import prepare
from noisette.config import Experiment
from noisette_plugins.features import EfficientNetLite0, Inception
from noisette_plugins.features.inception_network import InceptionV3
from noisette_plugins.metrics import KID, Frechet

__all__ = ["measure", "table"]

TITLE = "The feature network"
PAGE = "metrics.md"

_CPU = torch.device("cpu")


def measure(setting: Setting) -> dict[str, Any]:
    """Return times, differences of the features, and the effect of bf16 relative to the metrics' errors."""
    weights = _random_weights(setting.folder)
    images = _images(setting)
    batch = images[:16]  # as many as the extractor takes at once
    own = Inception(weights=weights.with_suffix(".safetensors"), resize="legacy").load(_CPU)
    arms: dict[str, Callable[[Tensor], Tensor]] = {"noisette": own, "noisette, bf16": _in_bf16(weights)}
    if is_installed(FIDELITY):
        arms[FIDELITY] = _fidelity(weights)
    seconds = time_interleaved(
        {name: lambda arm=arm: arm(batch) for name, arm in arms.items()}, setting.rounds(4), warmup=1
    )
    expected = own(batch)
    spread = float(expected.std())
    return {
        "images": len(batch),
        "times": {name: summary([each / len(batch) for each in taken]) for name, taken in seconds.items()},
        "ratios": compare_times(seconds, "noisette"),
        "apart": {name: float((arm(batch) - expected).abs().max()) / spread for name, arm in arms.items()},
        "moved": _moved(images),
    }


def _moved(images: Tensor) -> dict[str, dict[str, float]]:
    """Return what EfficientNet-Lite0 says of noised images in fp32 and in bf16, whose weights mean something."""
    grain = 25 * torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    noised = (images.float() + grain).clamp(0, 255).to(torch.uint8)
    half = len(images) // 2
    generated, real = noised[:half], images[half:]
    exact, rough = EfficientNetLite0().load(_CPU), _rough(EfficientNetLite0())
    found: dict[str, dict[str, float]] = {}
    for metric in (Frechet(), KID()):
        (name, (value, error)), *_ = ours(metric, exact(generated), exact(real)).items()
        moved = ours(metric, rough(generated), rough(real))[name].value
        found[name] = {"fp32": value, "stderr": error or 0.0, "bf16": moved}
    return found


def _images(setting: Setting) -> Tensor:
    experiment = Experiment.parse({"name": "bench", "dataset": "mnist-5k", "preparation": {"limit": 1024}})
    data = prepare(experiment, setting.root)
    return torch.from_numpy(data.images("train")[: 64 if setting.quick else 400].copy())


def _random_weights(folder: Path) -> Path:
    """Write weights under which signals neither die nor explode, as .pth and .safetensors."""
    generator = torch.Generator().manual_seed(0)
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in InceptionV3().state_dict().items()}
    tensors = {name: _random(name, shape, generator) for name, shape in shapes.items()}
    torch.save(tensors, folder / "random.pth")
    save_file(tensors, folder / "random.safetensors")
    return folder / "random.pth"


def _random(name: str, shape: torch.Size, generator: torch.Generator) -> Tensor:
    if name.endswith("num_batches_tracked"):
        return torch.tensor(7)
    if name.endswith("running_var"):
        return torch.rand(shape, generator=generator) + 0.5
    if len(shape) == 4:
        return torch.randn(shape, generator=generator) * (2 / shape[1:].numel()) ** 0.5
    return torch.randn(shape, generator=generator) * 0.1 + (1.0 if name.endswith("bn.weight") else 0.0)


def _fidelity(weights: Path) -> Callable[[Tensor], Tensor]:
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    network = FeatureExtractorInceptionV3("inception", ["2048"], feature_extractor_weights_path=str(weights))

    @torch.no_grad()
    def extract(images: Tensor) -> Tensor:
        features: Tensor = network(images.expand(-1, 3, -1, -1))[0]
        return features

    return extract


def _in_bf16(weights: Path) -> Callable[[Tensor], Tensor]:
    plugin = Inception(weights=weights.with_suffix(".safetensors"), resize="legacy")
    network = InceptionV3()
    network.load_state_dict(torch.load(weights, weights_only=True))
    return _autocast(network.folded(), plugin._prepare)


def _rough(plugin: EfficientNetLite0) -> Callable[[Tensor], Tensor]:
    return _autocast(plugin._network().folded(), plugin._prepare)


def _autocast(network: torch.nn.Module, prepare_images: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Return what noisette's extractor would be if it computed in bf16."""
    network = network.eval().requires_grad_(False).to(memory_format=torch.channels_last)

    @torch.no_grad()
    def extract(images: Tensor) -> Tensor:
        parts = []
        for part in images.split(16):
            seen = prepare_images(part.float()).expand(-1, 3, -1, -1)
            with torch.autocast("cpu", torch.bfloat16):
                parts.append(network(seen.contiguous(memory_format=torch.channels_last)).float())
        return torch.cat(parts)

    return extract


def table(found: dict[str, Any]) -> list[str]:
    """Return the lines of the report."""
    lines = [
        [arm, ms(taken["p20_ms"]), ms(taken["median_ms"]), times(found["ratios"].get(arm)),
         f"{found['apart'][arm]:.1e}"]
        for arm, taken in found["times"].items()
    ]  # fmt: skip
    head = [
        "extractor",
        "ms per image (p20)",
        "ms (median)",
        "speed-up of noisette",
        "error, in standard deviations",
    ]
    moved = [
        [name, f"{one['fp32']:.4g}", f"{one['stderr']:.2g}", f"{one['bf16']:.4g}",
         f"{abs(one['bf16'] - one['fp32']) / one['stderr']:.2f}" if one["stderr"] else ""]
        for name, one in found["moved"].items()
    ]  # fmt: skip
    return [
        f"Inception with random weights, {found['images']} images per batch.",
        "",
        *markdown(head, lines),
        "",
        "Effect that bf16 would have on the metrics, with EfficientNet-Lite0's trained weights:",
        "",
        *markdown(["metric", "fp32", "± error", "bf16", "difference, in errors"], moved),
    ]
