"""Fashion-MNIST."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from noisette_plugins.datasets._idx import IdxDataset

__all__ = ["FashionMnist"]


class FashionMnist(IdxDataset):
    """70,000 articles of clothing, grey, 28x28: 60,000 to train on, 10,000 held out; Debian's files or 31 MB."""

    name: ClassVar[str] = "fashion-mnist"
    paper: ClassVar[str] = "Xiao, Rasul & Vollgraf 2017"
    licence: ClassVar[str] = "MIT"
    source: ClassVar[str] = "Zalando Research, Fashion-MNIST"

    torchvision_name: ClassVar[str] = "FashionMNIST"
    folders: ClassVar[tuple[Path, ...]] = (Path("/usr/share/datasets/fashion-mnist"),)
    advice: ClassVar[str] = "install the Debian package dataset-fashion-mnist, "
    sha256: ClassVar[dict[str, str]] = {
        "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    }

    def classes(self) -> tuple[str, ...]:
        """Return the class names."""
        return (
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        )
