"""The network of FID: the TensorFlow version of Inception v3 of 2015-12-05.

It differs from Inception v3 in the paper and in torchvision: average pooling excludes the padding, the last block
uses max pooling, and there are 1008 classes. Module names are those of the published weights.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from noisette_plugins.features.extractor import fold

__all__ = ["InceptionV3"]

_Size = int | tuple[int, int]


class _Conv(nn.Module):
    """Convolution, batch normalisation and ReLU. `same` adds padding that preserves the size at stride 1."""

    def __init__(self, inputs: int, outputs: int, size: _Size, stride: int = 1, *, same: bool = True) -> None:
        super().__init__()
        high, wide = (size, size) if isinstance(size, int) else size
        padding = (high // 2, wide // 2) if same else (0, 0)
        self.conv = nn.Conv2d(inputs, outputs, (high, wide), stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)), inplace=True)


def _average(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


class _MixedA(nn.Module):
    """35x35 block with kernels 1x1, 5x5 and two stacked 3x3."""

    def __init__(self, inputs: int, pooled: int) -> None:
        super().__init__()
        self.branch1x1 = _Conv(inputs, 64, 1)
        self.branch5x5_1, self.branch5x5_2 = _Conv(inputs, 48, 1), _Conv(48, 64, 5)
        self.branch3x3dbl_1, self.branch3x3dbl_2 = _Conv(inputs, 64, 1), _Conv(64, 96, 3)
        self.branch3x3dbl_3 = _Conv(96, 96, 3)
        self.branch_pool = _Conv(inputs, pooled, 1)

    def forward(self, x: Tensor) -> Tensor:
        five = self.branch5x5_2(self.branch5x5_1(x))
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch1x1(x), five, double, self.branch_pool(_average(x))], dim=1)


class _MixedB(nn.Module):
    """Reduction from 35x35 to 17x17."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch3x3 = _Conv(inputs, 384, 3, stride=2, same=False)
        self.branch3x3dbl_1, self.branch3x3dbl_2 = _Conv(inputs, 64, 1), _Conv(64, 96, 3)
        self.branch3x3dbl_3 = _Conv(96, 96, 3, stride=2, same=False)

    def forward(self, x: Tensor) -> Tensor:
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), double, F.max_pool2d(x, 3, stride=2)], dim=1)


class _MixedC(nn.Module):
    """17x17 block with kernels 1x7 and 7x1."""

    def __init__(self, inputs: int, inner: int) -> None:
        super().__init__()
        row, column = (1, 7), (7, 1)
        self.branch1x1 = _Conv(inputs, 192, 1)
        self.branch7x7_1, self.branch7x7_2 = _Conv(inputs, inner, 1), _Conv(inner, inner, row)
        self.branch7x7_3 = _Conv(inner, 192, column)
        self.branch7x7dbl_1, self.branch7x7dbl_2 = _Conv(inputs, inner, 1), _Conv(inner, inner, column)
        self.branch7x7dbl_3, self.branch7x7dbl_4 = _Conv(inner, inner, row), _Conv(inner, inner, column)
        self.branch7x7dbl_5 = _Conv(inner, 192, row)
        self.branch_pool = _Conv(inputs, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        seven = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        return torch.cat([self.branch1x1(x), seven, double, self.branch_pool(_average(x))], dim=1)


class _MixedD(nn.Module):
    """Reduction from 17x17 to 8x8."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch3x3_1 = _Conv(inputs, 192, 1)
        self.branch3x3_2 = _Conv(192, 320, 3, stride=2, same=False)
        self.branch7x7x3_1, self.branch7x7x3_2 = _Conv(inputs, 192, 1), _Conv(192, 192, (1, 7))
        self.branch7x7x3_3 = _Conv(192, 192, (7, 1))
        self.branch7x7x3_4 = _Conv(192, 192, 3, stride=2, same=False)

    def forward(self, x: Tensor) -> Tensor:
        seven = self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x)))
        three = self.branch3x3_2(self.branch3x3_1(x))
        return torch.cat([three, self.branch7x7x3_4(seven), F.max_pool2d(x, 3, stride=2)], dim=1)


class _MixedE(nn.Module):
    """8x8 block with kernels 1x3 and 3x1 in parallel. The last one uses max pooling."""

    def __init__(self, inputs: int, *, last: bool) -> None:
        super().__init__()
        row, column = (1, 3), (3, 1)
        self.last = last
        self.branch1x1 = _Conv(inputs, 320, 1)
        self.branch3x3_1 = _Conv(inputs, 384, 1)
        self.branch3x3_2a, self.branch3x3_2b = _Conv(384, 384, row), _Conv(384, 384, column)
        self.branch3x3dbl_1, self.branch3x3dbl_2 = _Conv(inputs, 448, 1), _Conv(448, 384, 3)
        self.branch3x3dbl_3a, self.branch3x3dbl_3b = _Conv(384, 384, row), _Conv(384, 384, column)
        self.branch_pool = _Conv(inputs, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        three = self.branch3x3_1(x)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        pooled = F.max_pool2d(x, 3, stride=1, padding=1) if self.last else _average(x)
        parts = [self.branch1x1(x), self.branch3x3_2a(three), self.branch3x3_2b(three)]
        parts += [self.branch3x3dbl_3a(double), self.branch3x3dbl_3b(double), self.branch_pool(pooled)]
        return torch.cat(parts, dim=1)


class InceptionV3(nn.Module):
    """Inception v3 for FID, from images (N, 3, 299, 299) in [-1, 1] to features (N, 2048)."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = _Conv(3, 32, 3, stride=2, same=False)
        self.Conv2d_2a_3x3 = _Conv(32, 32, 3, same=False)
        self.Conv2d_2b_3x3 = _Conv(32, 64, 3)
        self.Conv2d_3b_1x1 = _Conv(64, 80, 1)
        self.Conv2d_4a_3x3 = _Conv(80, 192, 3, same=False)
        self.Mixed_5b = _MixedA(192, pooled=32)
        self.Mixed_5c = _MixedA(256, pooled=64)
        self.Mixed_5d = _MixedA(288, pooled=64)
        self.Mixed_6a = _MixedB(288)
        self.Mixed_6b = _MixedC(768, inner=128)
        self.Mixed_6c = _MixedC(768, inner=160)
        self.Mixed_6d = _MixedC(768, inner=160)
        self.Mixed_6e = _MixedC(768, inner=192)
        self.Mixed_7a = _MixedD(768)
        self.Mixed_7b = _MixedE(1280, last=False)
        self.Mixed_7c = _MixedE(2048, last=True)
        self.fc = nn.Linear(2048, 1008)

    def forward(self, x: Tensor) -> Tensor:
        """Return the averaged channels before the classifier ("pool3"), (N, 2048)."""
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(F.max_pool2d(x, 3, stride=2)))
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(F.max_pool2d(x, 3, stride=2))))
        x = self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x))))
        x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(self.Mixed_6e(x))))
        return x.mean(dim=(2, 3))

    def folded(self) -> InceptionV3:
        """Switch to evaluation mode, fold the normalisations into the convolutions for speed, and return self."""
        self.eval()
        for module in self.modules():
            if isinstance(module, _Conv):
                fold(module, "conv", "bn")
        return self
