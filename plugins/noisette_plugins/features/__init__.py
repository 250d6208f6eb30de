"""Feature plugins: fixed networks that map images to vectors for metrics."""

from __future__ import annotations

from collections.abc import Iterator

from noisette import Features, hookimpl
from noisette_plugins.features.classifier import Classifier
from noisette_plugins.features.clip import CLIP
from noisette_plugins.features.dinov2 import DINOv2
from noisette_plugins.features.efficientnet import EfficientNetLite0
from noisette_plugins.features.inception import Inception

__all__ = ["CLIP", "Classifier", "DINOv2", "EfficientNetLite0", "Inception"]


@hookimpl
def plugins() -> Iterator[type[Features]]:
    """Yield the feature networks of this folder."""
    yield from (EfficientNetLite0, Inception, DINOv2, CLIP, Classifier)
