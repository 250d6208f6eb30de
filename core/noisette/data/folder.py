"""The pictures of any folder, taken in as those of a data set are: uniform, memory-mapped, rejected ones listed.

They need no experiment. A folder that was read with the same preparation and has not changed is not read again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from noisette.data.duplicates import log_duplicates
from noisette.data.files import is_folder, listing, walk
from noisette.errors import DataError, MixedError
from noisette.events import Events
from noisette.hooks import Run
from noisette.progress import default_events
from noisette.storage import Manifest, committed, digest, is_complete, verify

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from noisette.config import Preparation
    from noisette.contracts import Example

__all__ = ["Folder", "take_in_folder"]

KIND = "folder"
_PART = "pictures"
_VERSION = 2


@dataclass(frozen=True)
class Folder:
    """Pictures that were taken in from a folder.

    Attributes:
        directory: holds `pictures.npy`, uint8 (N, C, H, W), and `rejected.jsonl`, one file that is no picture a
            line, with the reason.
        manifest: hashes; `about` has path, preparation, shape, counts (found, accepted, rejected), duplicates, and
            the formats, sizes and channels that the files had.
    """

    directory: Path
    manifest: Manifest

    @property
    def about(self) -> dict[str, Any]:
        """What they are: JSON values."""
        return self.manifest.about

    @property
    def counts(self) -> dict[str, int]:
        """How many files were found, accepted and rejected."""
        return dict(self.about["counts"][_PART])

    @property
    def rejections(self) -> Path:
        """One file that is no picture a line, as JSON: split, source and reason."""
        return self.directory / "rejected.jsonl"

    @property
    def pictures(self) -> NDArray[np.uint8]:
        """The pictures, memory-mapped, uint8 (N, C, H, W)."""
        import numpy as np

        return np.load(self.directory / f"{_PART}.npy", mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]


def take_in_folder(
    path: Path,
    preparation: Preparation,
    root: Path | str = "runs",
    *,
    settle: Callable[[MixedError], Preparation] | None = None,
    events: Events | None = None,
) -> Folder:
    """Read the pictures of a folder and of all folders in it, make them uniform and write them below `root`.

    Every file that is not hidden is a picture or rejected with its reason: accepted + rejected = found.

    Args:
        path: the folder.
        preparation: how they are made uniform.
        root: folder of all results; the pictures go to its `data`.
        settle: called where pictures differ; returns the preparation to begin again with.
        events: who is told of the progress, in files read.

    Raises:
        MixedError: if pictures differ in size or channels, and nothing settles which they get.
        DataError: if there is no such folder or no usable picture in it, or it changes while it is read.
        StorageError: if the disk is full or cannot be written.
    """
    path = path.expanduser()
    if not is_folder(path):
        raise DataError(f"{path}: expected a folder of pictures; there is none")
    directory = _place(path, preparation, Path(root))
    if is_complete(directory, KIND):
        return Folder(directory, verify(directory, KIND))
    from noisette.data.decode import printable  # Pillow, which a folder that was read does without

    events, shown = events or default_events(), printable(path)
    run = Run("prepare", shown, directory, 0, {"path": shown, "preparation": _options(preparation)})
    events.run_start(run)
    try:
        while True:
            try:
                directory = _written(path, preparation, Path(root), run, events)
                break
            except MixedError as error:
                if settle is None:
                    raise
                preparation = settle(error)
    except BaseException:
        events.run_end(run, "failed")
        raise
    events.run_end(run, "finished")
    folder = Folder(directory, verify(directory, KIND))
    log_duplicates(shown, folder.about)
    return folder


def _written(path: Path, preparation: Preparation, root: Path, run: Run, events: Events) -> Path:
    """Return the directory of the pictures, written unless it is there."""
    directory = _place(path, preparation, root)
    about = {"path": run.name, "preparation": _options(preparation)}
    if not is_complete(directory, KIND):
        with committed(directory, KIND, about) as staging:
            about.update(_taken_in(path, preparation, staging, run, events))
            if _place(path, preparation, root) != directory:
                raise DataError(f"{path}: changed while it was read; start again when it is at rest")
    return directory


def _taken_in(path: Path, preparation: Preparation, staging: Path, run: Run, events: Events) -> dict[str, Any]:
    from noisette.data.ingest import Intake

    def progress(found: int, rejected: int) -> None:
        events.step(run, found, {"rejected": float(rejected)})

    reading = _Reading(path)
    intake = Intake(reading, preparation, staging, progress)
    intake.take(_PART, lambda _: reading, "the folder")
    return {**intake.finish(), **reading.seen()}


class _Reading:
    """The files of a folder as examples, and what they looked like."""

    def __init__(self, path: Path) -> None:
        from noisette.data.decode import printable

        self.name, self._path = printable(path), path
        self._sizes: Counter[tuple[int, int]] = Counter()
        self._modes: Counter[str] = Counter()

    def classes(self) -> tuple[str, ...]:
        """Return no names: these pictures have no labels."""
        return ()

    def __iter__(self) -> Iterator[Example]:
        from noisette.contracts import Example
        from noisette.data.decode import printable, read_picture

        for entry in walk(self._path):
            source = printable(entry.name)
            if entry.fault:
                yield Example(None, source=source, rejected=entry.fault)
                continue
            example = read_picture(self._path / entry.name)._replace(source=source)
            if example.image is not None:
                self._sizes[example.image.size] += 1
                self._modes[example.image.mode] += 1
            yield example

    def seen(self) -> dict[str, Any]:
        """Return the sizes (smallest and largest by pixels, how many) and channels that the files had."""
        by_area = sorted(self._sizes, key=lambda size: (size[0] * size[1], size))
        return {
            "sizes": {"distinct": len(by_area), "smallest": list(by_area[0]), "largest": list(by_area[-1])},
            "grey": self._modes["L"],
            "colour": self._modes["RGB"],
        }


def _place(path: Path, preparation: Preparation, root: Path) -> Path:
    key = digest(_VERSION, str(path.resolve()), listing(path), _options(preparation))
    return root / "data" / f"folder-{key}"


def _options(preparation: Preparation) -> dict[str, Any]:
    return preparation.model_dump(mode="json")
