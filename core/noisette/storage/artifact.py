"""Finished results on disk: a directory with a manifest."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from noisette.storage.manifest import Manifest, is_complete, read_manifest, verify

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Artifact"]


@dataclass(frozen=True)
class Artifact:
    """A finished directory.

    Attributes:
        directory: holds the files.
        manifest: the files' hashes, and JSON values that describe them.
    """

    kind: ClassVar[str]

    directory: Path
    manifest: Manifest = field(repr=False)

    @classmethod
    def open(cls, directory: Path) -> Self:
        """Open a directory after verifying every hash.

        Raises:
            StorageError: naming the file that is missing or differs.
        """
        return cls(directory, verify(directory, cls.kind))

    @classmethod
    def finished(cls, directory: Path) -> Self | None:
        """Return a directory if it is complete, else None; checks the files' sizes only."""
        return cls(directory, read_manifest(directory, cls.kind)) if is_complete(directory, cls.kind) else None

    @property
    def about(self) -> dict[str, Any]:
        """The JSON values that describe it."""
        return self.manifest.about

    @property
    def digest(self) -> str:
        """The identity of the content: a hash of all files."""
        return self.manifest.digest()

    def load_array(self, name: str, mmap_mode: Literal["r"] | None = "r") -> NDArray[Any]:
        """Return the array of a `.npy` file."""
        import numpy as np

        array: NDArray[Any] = np.load(self.directory / name, mmap_mode=mmap_mode, allow_pickle=False)
        return array
