"""Data set plugins."""

from __future__ import annotations

from collections.abc import Iterator

from noisette import Dataset, hookimpl
from noisette_plugins.datasets.celeba import CelebA
from noisette_plugins.datasets.cifar10 import Cifar10
from noisette_plugins.datasets.digits import Digits
from noisette_plugins.datasets.fashion_mnist import FashionMnist
from noisette_plugins.datasets.flowers102 import Flowers102
from noisette_plugins.datasets.glyphs import Glyphs
from noisette_plugins.datasets.hugging_face import HuggingFace
from noisette_plugins.datasets.image_folder import ImageFolder
from noisette_plugins.datasets.lsun import Lsun
from noisette_plugins.datasets.mnist import Mnist
from noisette_plugins.datasets.mnist_5k import Mnist5k
from noisette_plugins.datasets.patches import Patches

__all__ = [
    "CelebA",
    "Cifar10",
    "Digits",
    "FashionMnist",
    "Flowers102",
    "Glyphs",
    "HuggingFace",
    "ImageFolder",
    "Lsun",
    "Mnist",
    "Mnist5k",
    "Patches",
]


@hookimpl
def plugins() -> Iterator[type[Dataset]]:
    """Yield the data sets of this folder."""
    yield from (
        Digits,
        Mnist5k,
        Glyphs,
        Patches,
        FashionMnist,
        Mnist,
        Cifar10,
        CelebA,
        Flowers102,
        Lsun,
        ImageFolder,
        HuggingFace,
    )
