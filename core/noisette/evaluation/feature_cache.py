"""Features and statistics on disk, by content: what was computed once is not computed again.

    <root>/features/<label>-<key>/features.npy                  features of a set, float32 (N, D)
    <root>/features/<metric>-<label>-<key>/state.safetensors    statistics of a reference

A key is a hash of the pictures, options and code of features and metric, weights, device and this format.
Both are `committed` directories: whole or not there, and verified when they are read; a damaged one is made anew.
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
from noisette.storage import committed, digest, new_array, verify

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from noisette.contracts import Features, Metric
    from noisette.contracts.features import Classifier, Extractor
    from noisette.contracts.metric import State
    from noisette.evaluation.sets import PictureSet

    Source = Callable[[slice, Tensor], Tensor]

__all__ = ["FeatureCache"]

log = logging.getLogger(__name__)

_VERSION = 1
_STATISTICS = 3
"""Version of the statistics that the built-in metrics keep; features stay when it rises."""

_FEATURES = "features.npy"
_STATE = "state.safetensors"


class FeatureCache:
    """Features of picture sets under one feature network, kept in a folder if there is one.

    The network is loaded when the first picture needs it; a set whose features are kept does without.
    """

    def __init__(self, features: Features, device: torch.device, folder: Path | None) -> None:
        self.features, self.device, self.folder = features, device, folder
        self._extract: Extractor | None = None
        self._classify: Classifier | None = None

    @cached_property
    def weights(self) -> str:
        """The sha256 of the weights."""
        return self.features.weights_sha256()

    @cached_property
    def label(self) -> str:
        """What results over these features are called by."""
        return self.features.label

    @contextmanager
    def of(self, pictures: PictureSet) -> Iterator[Source]:
        """Give a function from places and the pictures there to their features, float32 (n, D) on the CPU.

        It must be called for all places, in order. What it computes is kept when the block ends without error.
        """
        target = self._place(self.label, pictures.sha256)
        kept = self._stored(pictures)
        if kept is not None:
            yield lambda rows, _: torch.from_numpy(np.array(kept[rows]))
        elif pictures.whole is not None and (all_of_them := self._stored(pictures.whole[0])) is not None:
            places = pictures.whole[1]
            yield lambda rows, _: torch.from_numpy(all_of_them[places[rows]])
        elif target is None or not len(pictures):
            yield lambda _, batch: self._computed(batch)
        else:
            with committed(target, "features", self._about(pictures)) as staging:
                array = new_array(staging / _FEATURES, (len(pictures), self.features.dimensions), np.float32)
                yield lambda rows, batch: self._record(array, rows, batch)
                array.flush()

    def classify(self, features: Tensor) -> Tensor:
        """Return the logits of some features, float32 (n, K), by the network's own classifier.

        Raises:
            PluginError: if they are not finite numbers, a row a picture.
        """
        if self._classify is None:
            self._classify = self.features.classifier()
        logits = self._classify(features)
        if logits.ndim != 2 or len(logits) != len(features) or not bool(torch.isfinite(logits).all()):
            came = f"{tuple(logits.shape)}, finite: {bool(torch.isfinite(logits).all())}"
            raise PluginError(
                f"features {self.features.name}: expected finite logits ({len(features)}, K); got {came}"
            )
        return logits.to(torch.float32)

    def statistics(self, metric: Metric, pictures: PictureSet) -> State | None:
        """Return the kept statistics of a set under a metric, or None."""
        kept = self._kept(self._state_place(metric, pictures), "statistics", _STATE)
        return None if kept is None else load_file(kept)

    def keep(self, metric: Metric, pictures: PictureSet, state: State) -> None:
        """Keep a set's statistics, if they are smaller than its features: otherwise those serve as well."""
        target = self._state_place(metric, pictures)
        size = sum(tensor.nbytes for tensor in state.values())
        if target is None or size >= len(pictures) * self.features.dimensions * 4:
            return
        about = {**self._about(pictures), "metric": metric.options()}
        with committed(target, "statistics", about) as staging:
            save_file({key: tensor.contiguous() for key, tensor in state.items()}, staging / _STATE)

    def _stored(self, pictures: PictureSet) -> NDArray[np.float32] | None:
        """Return the kept features of a set, memory-mapped, or None."""
        kept = self._kept(self._place(self.label, pictures.sha256), "features", _FEATURES)
        return None if kept is None else np.load(kept, mmap_mode="r", allow_pickle=False)

    def _computed(self, batch: Tensor) -> Tensor:
        if self._extract is None:
            self._extract = self.features.load(self.device)
        found = self._extract(batch.to(self.device)).to("cpu", torch.float32)
        if found.shape != (len(batch), self.features.dimensions):
            expected = (len(batch), self.features.dimensions)
            raise PluginError(f"features {self.features.name}: expected shape {expected}; got {tuple(found.shape)}")
        if not bool(torch.isfinite(found).all()):
            raise DataError(f"features {self.features.name}: the network gave values that are not finite")
        return found

    def _record(self, array: np.memmap[Any, Any], rows: slice, batch: Tensor) -> Tensor:
        found = self._computed(batch)
        array[rows] = found.numpy()
        return found

    def _place(self, name: str, *content: Any) -> Path | None:
        if self.folder is None:
            return None
        key = digest(_VERSION, self.device.type, self.weights, registry().identity_of(self.features), *content)
        return self.folder / f"{name}-{key}"

    def _state_place(self, metric: Metric, pictures: PictureSet) -> Path | None:
        return self._place(
            f"{metric.name}-{self.label}", _STATISTICS, registry().identity_of(metric), pictures.identity
        )

    def _kept(self, target: Path | None, kind: str, file: str) -> Path | None:
        if target is None or not target.exists():
            return None
        try:
            verify(target, kind)
        except StorageError as error:
            log.warning("kept %s are computed again: %s", kind, error)
            return None
        return target / file

    def _about(self, pictures: PictureSet) -> dict[str, Any]:
        return {
            "pictures": pictures.identity,
            "features": self.features.options(),
            "weights_sha256": self.weights,
            "device": self.device.type,
            "torch": torch.__version__,
        }
