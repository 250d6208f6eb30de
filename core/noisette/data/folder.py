"""Ingestion of a folder of images without an experiment.

As for a data set, the images are made uniform and memory-mapped, and rejected files are listed. An unchanged folder
is not read again with the same preparation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from noisette.data.duplicates import log_duplicates
from noisette.data.files import hash_listing, is_folder, iter_files
from noisette.errors import DataError, MixedError
from noisette.events import Events
from noisette.hooks import Run
from noisette.progress import default_events
from noisette.storage import Artifact, committed, digest, is_complete

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from noisette.config import Preparation
    from noisette.contracts import Example

__all__ = ["IngestedFolder", "ingest_folder"]

_PART = "images"
_VERSION = 2


class IngestedFolder(Artifact):
    """Images ingested from a folder.

    Attributes:
        directory: contains `images.npy`, uint8 (N, C, H, W), and `rejected.jsonl`, with one rejected file and its
            reason per line.
        manifest: hashes; `about` has path, preparation, shape, counts (found, accepted, rejected), duplicates, and
            the formats, sizes and channels of the files.
    """

    kind = "folder"

    @property
    def counts(self) -> dict[str, int]:
        """Number of files found, accepted and rejected."""
        return dict(self.about["counts"][_PART])

    @property
    def rejections(self) -> Path:
        """Path of `rejected.jsonl`: a JSON object with split, source and reason per line."""
        return self.directory / "rejected.jsonl"

    @property
    def images(self) -> NDArray[np.uint8]:
        """The images, memory-mapped, uint8 (N, C, H, W)."""
        return self.load_array(f"{_PART}.npy")


def ingest_folder(
    path: Path,
    preparation: Preparation,
    root: Path | str = "runs",
    *,
    resolve_mixed: Callable[[MixedError], Preparation] | None = None,
    events: Events | None = None,
) -> IngestedFolder:
    """Read the images of a folder and its subfolders, make them uniform and write them to `root`.

    Every file that is not hidden is either accepted or rejected with a reason: accepted + rejected = found.

    Args:
        path: the folder.
        preparation: how the images are made uniform.
        root: folder of all results; the images are written to its `data` folder.
        resolve_mixed: called if images differ in size or channels; returns the preparation to restart with.
        events: receives progress, in files read.

    Raises:
        MixedError: if images differ in size or channels and `resolve_mixed` is None.
        DataError: if the folder does not exist, has no usable image, or changes during reading.
        StorageError: if the disk is full or not writable.
    """
    path = path.expanduser()
    if not is_folder(path):
        raise DataError(f"{path}: expected a folder of images; there is none")
    directory = _folder_directory(path, preparation, Path(root))
    if is_complete(directory, IngestedFolder.kind):
        return IngestedFolder.open(directory)
    from noisette.data.decode import to_printable  # imports Pillow, not needed for a folder already ingested

    events, display_name = events or default_events(), to_printable(path)
    run = Run("prepare", display_name, directory, 0, {"path": display_name, "preparation": _options(preparation)})
    with events.stage(run):
        while True:
            try:
                directory = _ingest_once(path, preparation, Path(root), run, events)
                break
            except MixedError as error:
                if resolve_mixed is None:
                    raise
                preparation = resolve_mixed(error)
    folder = IngestedFolder.open(directory)
    log_duplicates(display_name, folder.about)
    return folder


def _ingest_once(path: Path, preparation: Preparation, root: Path, run: Run, events: Events) -> Path:
    """Return the directory of the images, creating it if necessary."""
    directory = _folder_directory(path, preparation, root)
    about = {"path": run.name, "preparation": _options(preparation)}
    if not is_complete(directory, IngestedFolder.kind):
        with committed(directory, IngestedFolder.kind, about) as staging:
            about.update(_ingest(path, preparation, staging, run, events))
            if _folder_directory(path, preparation, root) != directory:
                raise DataError(f"{path}: changed while it was read; start again when it is at rest")
    return directory


def _ingest(path: Path, preparation: Preparation, staging: Path, run: Run, events: Events) -> dict[str, Any]:
    from noisette.data.ingest import Ingestion

    def progress(found: int, rejected: int) -> None:
        events.step(run, found, {"rejected": float(rejected)})

    reader = _FolderReader(path)
    ingestion = Ingestion(reader, preparation, staging, progress)
    ingestion.add_part(_PART, lambda _: reader, "the folder")
    return {**ingestion.finish(), **reader.summary()}


class _FolderReader:
    """Reads the files of a folder as examples and collects their sizes and modes."""

    def __init__(self, path: Path) -> None:
        from noisette.data.decode import to_printable

        self.name, self._path = to_printable(path), path
        self._sizes: Counter[tuple[int, int]] = Counter()
        self._modes: Counter[str] = Counter()

    def classes(self) -> tuple[str, ...]:
        """Return no class names: the images have no labels."""
        return ()

    def __iter__(self) -> Iterator[Example]:
        from noisette.contracts import Example
        from noisette.data.decode import read_image, to_printable

        for entry in iter_files(self._path):
            source = to_printable(entry.name)
            if entry.fault:
                yield Example(None, source=source, rejected=entry.fault)
                continue
            example = read_image(self._path / entry.name)._replace(source=source)
            if example.image is not None:
                self._sizes[example.image.size] += 1
                self._modes[example.image.mode] += 1
            yield example

    def summary(self) -> dict[str, Any]:
        """Return the sizes (number of distinct ones, smallest and largest by area) and channels of the files."""
        by_area = sorted(self._sizes, key=lambda size: (size[0] * size[1], size))
        return {
            "sizes": {"distinct": len(by_area), "smallest": list(by_area[0]), "largest": list(by_area[-1])},
            "grey": self._modes["L"],
            "colour": self._modes["RGB"],
        }


def _folder_directory(path: Path, preparation: Preparation, root: Path) -> Path:
    key = digest(_VERSION, str(path.resolve()), hash_listing(path), _options(preparation))
    return root / "data" / f"folder-{key}"


def _options(preparation: Preparation) -> dict[str, Any]:
    return preparation.model_dump(mode="json")
