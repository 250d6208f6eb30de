"""Pictures that a sampler drew, on disk."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from noisette.storage import Manifest, is_complete, read_manifest, verify

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Samples"]


@dataclass(frozen=True)
class Samples:
    """Pictures of one sampler.

    Attributes:
        directory: holds `pictures.npy`, uint8 (N, C, H, W), `grid.png`, and `labels.npy` if classes were asked for.
        manifest: hashes; `about` has label, sampler, network_calls, seconds_per_picture, timed, count, seed,
            clip, ema, checkpoint, step and versions.
    """

    directory: Path
    manifest: Manifest = field(repr=False)

    @classmethod
    def open(cls, directory: Path) -> Samples:
        """Open samples after verifying every hash.

        Raises:
            StorageError: naming the file that is missing or differs.
        """
        return cls(directory, verify(directory, "samples"))

    @classmethod
    def finished(cls, directory: Path) -> Samples | None:
        """Return the samples of this directory if they are complete; looks at sizes only."""
        if not is_complete(directory, "samples"):
            return None
        return cls(directory, read_manifest(directory, "samples"))

    @property
    def about(self) -> dict[str, Any]:
        """What they are: JSON values."""
        return self.manifest.about

    @property
    def label(self) -> str:
        """The sampler's short name."""
        return str(self.about["label"])

    @property
    def digest(self) -> str:
        """The identity of the pictures: their sha256."""
        return self.manifest.files["pictures.npy"].sha256

    @property
    def identity(self) -> str:
        """Whose pictures these are, and which: two samplers may draw the same ones."""
        return f"{self.label} {self.digest}"

    @property
    def grid(self) -> Path:
        """The picture grid, a PNG file."""
        return self.directory / "grid.png"

    @property
    def pictures(self) -> NDArray[np.uint8]:
        """The pictures, memory-mapped, uint8 (N, C, H, W)."""
        import numpy as np

        return np.load(self.directory / "pictures.npy", mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]

    @property
    def labels(self) -> NDArray[np.int64] | None:
        """The classes they were drawn for, int64 (N,), or None."""
        import numpy as np

        if "labels.npy" not in self.manifest.files:
            return None
        return np.load(self.directory / "labels.npy", allow_pickle=False)  # type: ignore[no-any-return]
