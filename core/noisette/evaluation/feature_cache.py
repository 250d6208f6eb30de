"""Content-addressed cache of features and statistics on disk.

    <root>/features/<label>-<key>/features.npy                  features of a set, float32 (N, D)
    <root>/features/<metric>-<label>-<key>/state.safetensors    statistics of a reference

A key is a hash of the images, the options and code of the features and the metric, the weights, the device and the
format version. Entries are `committed` directories: they are complete or absent, and verified when read. A damaged
entry is computed again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from noisette.errors import DataError, PluginError, StorageError
from noisette.plugins import registry
from noisette.storage import committed, create_array, digest, verify

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from noisette.contracts import Features, Metric
    from noisette.contracts.features import Classifier, Extractor
    from noisette.contracts.metric import State
    from noisette.evaluation.sets import ImageSet

    FeatureReader = Callable[[slice, Tensor], Tensor]

__all__ = ["FeatureCache"]

log = logging.getLogger(__name__)

_VERSION = 1
_STATISTICS = 3
"""Version of the statistics of the built-in metrics. Cached features stay valid when it changes."""

_FEATURES = "features.npy"
_STATE = "state.safetensors"


class FeatureCache:
    """Features of image sets under one feature network, cached in a folder unless it is None.

    The network is loaded lazily, only if features must be computed.
    """

    def __init__(self, features: Features, device: torch.device, folder: Path | None) -> None:
        self.features, self.device, self.folder = features, device, folder
        self._extract: Extractor | None = None
        self._classify: Classifier | None = None

    @cached_property
    def weights(self) -> str:
        """SHA-256 of the weights."""
        return self.features.weights_sha256()

    @cached_property
    def label(self) -> str:
        """Label of these features in the names of results."""
        return self.features.label

    @contextmanager
    def reader(self, images: ImageSet) -> Iterator[FeatureReader]:
        """Yield a function from indices and their images to features, float32 (n, D) on the CPU.

        It must be called for all indices, in order. The features are cached if the block ends without an error.
        """
        target = self._entry_path(self.label, images.sha256)
        cached = self._load_features(images)
        if cached is not None:
            yield lambda rows, _: torch.from_numpy(np.array(cached[rows]))
        elif images.parent is not None and (parent_features := self._load_features(images.parent[0])) is not None:
            positions = images.parent[1]
            yield lambda rows, _: torch.from_numpy(parent_features[positions[rows]])
        elif target is None or not len(images):
            yield lambda _, batch: self._compute(batch)
        else:
            with committed(target, "features", self._about(images)) as staging:
                array = create_array(staging / _FEATURES, (len(images), self.features.dimensions), np.float32)
                yield lambda rows, batch: self._compute_into(array, rows, batch)
                array.flush()

    def classify(self, features: Tensor) -> Tensor:
        """Return the logits of features, float32 (n, K), from the network's own classifier.

        Raises:
            PluginError: if the logits are not finite or do not have one row per image.
        """
        if self._classify is None:
            self._classify = self.features.load_classifier()
        logits = self._classify(features)
        if logits.ndim != 2 or len(logits) != len(features) or not bool(torch.isfinite(logits).all()):
            came = f"{tuple(logits.shape)}, finite: {bool(torch.isfinite(logits).all())}"
            raise PluginError(
                f"features {self.features.name}: expected finite logits ({len(features)}, K); got {came}"
            )
        return logits.to(torch.float32)

    def load_state(self, metric: Metric, images: ImageSet) -> State | None:
        """Return the cached statistics of a set under a metric, or None."""
        cached = self._verified_file(self._state_path(metric, images), "statistics", _STATE)
        return None if cached is None else load_file(cached)

    def store_state(self, metric: Metric, images: ImageSet, state: State) -> None:
        """Cache the statistics of a set if they are smaller than its features."""
        target = self._state_path(metric, images)
        size = sum(tensor.nbytes for tensor in state.values())
        if target is None or size >= len(images) * self.features.dimensions * 4:
            return
        about = {**self._about(images), "metric": metric.options()}
        with committed(target, "statistics", about) as staging:
            save_file({key: tensor.contiguous() for key, tensor in state.items()}, staging / _STATE)

    def _load_features(self, images: ImageSet) -> NDArray[np.float32] | None:
        """Return the cached features of a set, memory-mapped, or None."""
        cached = self._verified_file(self._entry_path(self.label, images.sha256), "features", _FEATURES)
        return None if cached is None else np.load(cached, mmap_mode="r", allow_pickle=False)

    def _compute(self, batch: Tensor) -> Tensor:
        if self._extract is None:
            self._extract = self.features.load(self.device)
        found = self._extract(batch.to(self.device)).to("cpu", torch.float32)
        if found.shape != (len(batch), self.features.dimensions):
            expected = (len(batch), self.features.dimensions)
            raise PluginError(f"features {self.features.name}: expected shape {expected}; got {tuple(found.shape)}")
        if not bool(torch.isfinite(found).all()):
            raise DataError(f"features {self.features.name}: the network gave values that are not finite")
        return found

    def _compute_into(self, array: np.memmap[Any, Any], rows: slice, batch: Tensor) -> Tensor:
        found = self._compute(batch)
        array[rows] = found.numpy()
        return found

    def _entry_path(self, name: str, *content: Any) -> Path | None:
        if self.folder is None:
            return None
        key = digest(_VERSION, self.device.type, self.weights, registry().identity_of(self.features), *content)
        return self.folder / f"{name}-{key}"

    def _state_path(self, metric: Metric, images: ImageSet) -> Path | None:
        return self._entry_path(
            f"{metric.name}-{self.label}", _STATISTICS, registry().identity_of(metric), images.identity
        )

    def _verified_file(self, target: Path | None, kind: str, file: str) -> Path | None:
        if target is None or not target.exists():
            return None
        try:
            verify(target, kind)
        except StorageError as error:
            log.warning("kept %s are computed again: %s", kind, error)
            return None
        return target / file

    def _about(self, images: ImageSet) -> dict[str, Any]:
        return {
            "images": images.identity,
            "features": self.features.options(),
            "weights_sha256": self.weights,
            "device": self.device.type,
            "torch": torch.__version__,
        }
