"""MNIST."""

from __future__ import annotations

from typing import ClassVar

from noisette_plugins.datasets._idx import IdxDataset

__all__ = ["Mnist"]


class Mnist(IdxDataset):
    """70,000 handwritten digits, grey, 28x28: 60,000 to train on, 10,000 held out; downloads 12 MB."""

    name: ClassVar[str] = "mnist"
    paper: ClassVar[str] = "LeCun, Bottou, Bengio & Haffner 1998"
    licence: ClassVar[str] = "CC BY-SA 3.0"
    source: ClassVar[str] = "Y. LeCun, C. Cortes and C. Burges, The MNIST database of handwritten digits"

    torchvision_name: ClassVar[str] = "MNIST"
    sha256: ClassVar[dict[str, str]] = {
        "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    }

    def classes(self) -> tuple[str, ...]:
        """Return the digits."""
        return tuple("0123456789")
