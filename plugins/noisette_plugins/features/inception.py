"""Inception v3 features, which define FID and KID."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from noisette import DataError, Features
from noisette_plugins.features.weights import PublishedWeights, read_weights

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from noisette.plugin_api import Classifier, Extractor
    from noisette_plugins.features.inception_network import InceptionV3

__all__ = ["Inception"]

_FILE = "pt_inception-2015-12-05-6726825d.pth"
_URLS = (
    f"https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/{_FILE}",
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
)
_BYTES = 95_628_359
_WEIGHTS = PublishedWeights(
    "the Inception weights that define FID",
    "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    f"get {_FILE} from {_URLS[0]}, or give other weights as safetensors",
)


class Inception(Features):
    """Inception v3 as FID defines it: TensorFlow's network of 2015-12-05, its 2048 features before the classifier.

    Without `weights`, the published file is taken from the cache folder or downloaded, and its sha256 is verified.
    Other weights, as safetensors with the same names, are another network: the names of its results contain a part
    of their hash, never FID. Images enter the network as (x - 128) / 128, 299 pixels wide.
    """

    name: ClassVar[str] = "inception"
    paper: ClassVar[str] = "Szegedy et al. 2016; for FID: Heusel et al. 2017; the resizing: Parmar et al. 2022"
    dimensions: ClassVar[int] = 2048
    has_classifier: ClassVar[bool] = True

    resize: Literal["clean", "legacy"] = Field(
        "clean", description="anti-aliased bicubic as clean-fid, or bilinear as TensorFlow 1 did for the first FID"
    )
    weights: Path | None = Field(
        None, description="file of the published weights (.pth) or of others (.safetensors); null downloads"
    )

    @property
    def label(self) -> str:
        """``inception`` with the published weights, ``inception-<hash>`` with other weights."""
        return f"{self.name}-{self.weights_sha256()[:8]}" if self._others() else self.name

    @property
    def input_size(self) -> int:
        """299 pixels."""
        return 299

    @property
    def resizing(self) -> str:
        """The interpolation of `resize`, in words."""
        how = {"clean": "anti-aliased bicubic", "legacy": "TensorFlow 1 bilinear (legacy)"}[self.resize]
        return f"{how} to 299x299"

    def weights_sha256(self) -> str:
        """Return the SHA-256 of the published weights or of the given file. Nothing is downloaded."""
        path = self._path()
        if path is None:
            return _WEIGHTS.sha256
        if self._others():
            return hashlib.sha256(read_weights(path, "Inception weights", "mend the path")).hexdigest()
        _WEIGHTS.check(path)
        return _WEIGHTS.sha256

    def fetch_weights(self) -> None:
        """Download the published weights unless they are cached. If `weights` is set, verify that file instead.

        Raises:
            DataError: if the weights cannot be downloaded, or the file is unreadable or has the wrong hash.
        """
        if self.weights is None:
            self._download()
        else:
            self.weights_sha256()

    def load(self, device: torch.device) -> Extractor:
        """Return the extractor, uint8 (N, C, H, W) to float32 (N, 2048).

        Raises:
            DataError: if the weights are not available, have the wrong hash or do not match the network.
        """
        from noisette_plugins.features.extractor import extractor

        return extractor(self._network().folded(), self._prepare, self.dimensions, device)

    def load_classifier(self) -> Classifier:
        """Return a function from features to 1008 logits without bias, as is usual for the Inception score.

        torch-fidelity calls these logits ``logits_unbiased``.

        Raises:
            DataError: see `load`.
        """
        weight = self._network().fc.weight.detach()
        return lambda features: features @ weight.T

    def _network(self) -> InceptionV3:
        from noisette_plugins.features.extractor import build_with_weights
        from noisette_plugins.features.inception_network import InceptionV3

        tensors = self._tensors()
        try:
            return build_with_weights(InceptionV3, tensors)
        except RuntimeError as error:
            first = " ".join(str(error).split())[:200]
            raise DataError(f"{self.weights}: expected the weights of Inception v3: {first}") from None

    def _path(self) -> Path | None:
        return None if self.weights is None else self.weights.expanduser()

    def _others(self) -> bool:
        return self.weights is not None and self.weights.suffix == ".safetensors"

    def _download(self) -> Path:
        from noisette.plugin_api import cache_directory, fetch

        return fetch(_URLS, cache_directory() / "weights" / _FILE, sha256=_WEIGHTS.sha256, size=_BYTES)

    def _tensors(self) -> dict[str, Tensor]:
        path = self._path()
        if path is None:
            return _WEIGHTS.load(self._download())
        if not self._others():
            return _WEIGHTS.load(path)
        from safetensors import SafetensorError
        from safetensors.torch import load

        try:
            return load(read_weights(path, "Inception weights", "mend the path"))
        except SafetensorError as error:
            raise DataError(f"{path}: expected safetensors; it cannot be read: {error}") from None

    def _prepare(self, images: Tensor) -> Tensor:
        from noisette_plugins.features.extractor import clean, legacy

        return ((clean if self.resize == "clean" else legacy)(images, 299) - 128) / 128
