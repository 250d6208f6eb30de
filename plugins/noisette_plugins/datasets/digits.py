"""The digits inside scikit-learn."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from noisette import Dataset

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from noisette import Example, Split

__all__ = ["Digits"]

_HELD_OUT = 500
_LARGEST = 16
"""Grey levels are counts of the black pixels in a 4x4 block of the scan."""


class Digits(Dataset):
    """1,797 scans of handwritten digits, grey, 8x8: 1,297 to train on, 500 held out; no download."""

    name: ClassVar[str] = "digits"
    paper: ClassVar[str] = "Alpaydin & Kaynak 1998"
    licence: ClassVar[str] = "CC BY 4.0"
    source: ClassVar[str] = (
        "Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, test part; from scikit-learn"
    )

    def examples(self, split: Split, cache: Path) -> Iterator[Example]:
        """Yield the scans, each value v of 0 ... 16 as round(255 v / 16)."""
        import numpy as np

        from noisette_plugins.datasets._arrays import examples_of
        from noisette_plugins.datasets._split import stratified

        table = _table()
        labels = table[:, -1].astype(np.int64)
        pictures = np.rint(table[:, :-1].reshape(-1, 8, 8) * 255 / _LARGEST).astype(np.uint8)
        train, test = stratified(labels, _HELD_OUT)
        yield from examples_of(pictures, labels, train if split == "train" else test)

    def classes(self) -> tuple[str, ...]:
        """Return the digits."""
        return tuple("0123456789")


def _table() -> NDArray[np.float64]:
    """Return scikit-learn's table (1797, 65): 64 values and the digit; its import would take seconds."""
    import numpy as np

    found = find_spec("sklearn")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("No module named 'sklearn'", name="sklearn")
    return np.loadtxt(Path(found.origin).with_name("datasets") / "data" / "digits.csv.gz", delimiter=",")
