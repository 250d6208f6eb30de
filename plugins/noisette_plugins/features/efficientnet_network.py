"""EfficientNet-Lite0: inverted residual blocks with ReLU6 and without squeeze-and-excitation.

Module names are those of the published weights. Convolutions use the "SAME" padding of TensorFlow: the output has
ceil(input / stride) pixels, and an odd pixel of padding is added at the right and the bottom.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from noisette_plugins.features.extractor import fold

__all__ = ["EfficientNetLite"]

_STAGES = (  # blocks, kernel size, stride of the first block, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)

_PAIRS = (
    ("_conv_stem", "_bn0"),
    ("_expand_conv", "_bn0"),
    ("_depthwise_conv", "_bn1"),
    ("_project_conv", "_bn2"),
    ("_conv_head", "_bn1"),
)


class _SameConv(nn.Conv2d):
    """A convolution with the "SAME" padding of TensorFlow."""

    def forward(self, input: Tensor) -> Tensor:
        size, stride = self.kernel_size[0], self.stride[0]
        top, bottom = _same(input.shape[2], size, stride)
        left, right = _same(input.shape[3], size, stride)
        return super().forward(F.pad(input, (left, right, top, bottom)))


def _same(pixels: int, size: int, stride: int) -> tuple[int, int]:
    total = max((-(-pixels // stride) - 1) * stride + size - pixels, 0)
    return total // 2, total - total // 2


def _conv(inputs: int, outputs: int, size: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    if stride == 1:
        return nn.Conv2d(inputs, outputs, size, padding=size // 2, groups=groups, bias=False)
    return _SameConv(inputs, outputs, size, stride, groups=groups, bias=False)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


class _Block(nn.Module):
    """Expansion, depthwise convolution and projection, with a residual connection if the shapes match."""

    def __init__(self, inputs: int, outputs: int, size: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.expands, self.adds = expansion > 1, inputs == outputs and stride == 1
        if self.expands:
            self._expand_conv, self._bn0 = _conv(inputs, hidden, 1), _norm(hidden)
        self._depthwise_conv, self._bn1 = _conv(hidden, hidden, size, stride, groups=hidden), _norm(hidden)
        self._project_conv, self._bn2 = _conv(hidden, outputs, 1), _norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu6(self._bn0(self._expand_conv(x)), inplace=True) if self.expands else x
        y = F.relu6(self._bn1(self._depthwise_conv(y)), inplace=True)
        y = self._bn2(self._project_conv(y))
        return x + y if self.adds else y  # type: ignore[no-any-return]


class EfficientNetLite(nn.Module):
    """EfficientNet-Lite0, from images (N, 3, H, W) in approximately [-1, 1] to features (N, 1280)."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem, self._bn0 = _conv(3, 32, 3, stride=2), _norm(32)
        self._blocks = nn.ModuleList()
        inputs = 32
        for blocks, size, stride, expansion, outputs in _STAGES:
            for index in range(blocks):
                self._blocks.append(_Block(inputs, outputs, size, stride if index == 0 else 1, expansion))
                inputs = outputs
        self._conv_head, self._bn1 = _conv(inputs, 1280, 1), _norm(1280)
        self._fc = nn.Linear(1280, 1000)

    def forward(self, x: Tensor) -> Tensor:
        """Return the averaged channels before the classifier, (N, 1280)."""
        x = F.relu6(self._bn0(self._conv_stem(x)), inplace=True)
        for block in self._blocks:
            x = block(x)
        return F.relu6(self._bn1(self._conv_head(x)), inplace=True).mean(dim=(2, 3))

    def classify(self, x: Tensor) -> Tensor:
        """Return the logits of ImageNet's 1000 classes, (N, 1000)."""
        logits: Tensor = self._fc(self(x))
        return logits

    def folded(self) -> EfficientNetLite:
        """Switch to evaluation mode, fold the normalisations into the convolutions for speed, and return self."""
        self.eval()
        for module in self.modules():
            for conv, norm in _PAIRS:
                if hasattr(module, conv) and isinstance(getattr(module, norm), nn.BatchNorm2d):
                    fold(module, conv, norm)
        return self
