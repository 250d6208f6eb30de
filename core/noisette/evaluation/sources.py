"""The sets of images to compare: what a path refers to, and how its images are read.

A path is a folder of image files, the directory of a sampler's images, that of prepared images (the train
split; the test split is held out), or the YAML file of an experiment whose data are prepared.

Image files keep their size and channels; the feature network scales each image from its own size. Where those
of one folder differ, or where `size` is given, the images of every folder are first brought to one size: `size`,
or the network's input size. If one set is prepared, folders are prepared in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from noisette.config import Evaluation, Experiment, Preparation
from noisette.data.folder import ingest_folder
from noisette.data.prepared import Prepared
from noisette.errors import DataError, MixedError
from noisette.layout import data_directory
from noisette.plugins import registry
from noisette.sampling.samples import Samples
from noisette.storage import digest, is_complete

if TYPE_CHECKING:
    from noisette.contracts import Features, Metric, Shape
    from noisette.data.folder import IngestedFolder
    from noisette.evaluation.sets import ImageSet
    from noisette.events import Events

__all__ = ["ComparisonRequest", "ImageSource", "open_sources"]


@dataclass(frozen=True)
class ImageSource:
    """One set of images, on disk.

    Attributes:
        name: the path as it was given.
        source: what the path refers to.
        about: what the images are, as JSON values: kind, path, count, shape, and for a folder how many files were
            found, accepted and rejected, where the reasons are, and which sizes the files had.
    """

    name: str
    source: IngestedFolder | Prepared | Samples
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> list[str]:
        """The identity of the images."""
        return [self.about["kind"], self.source.manifest.digest()]

    @property
    def shape(self) -> Shape:
        """Channels, height and width of every image."""
        channels, height, width = self.about["shape"]
        return channels, height, width

    def images(self) -> ImageSet:
        """Return the images; of prepared ones the train split, with its labels.

        Raises:
            StorageError: if they are damaged.
        """
        from noisette.evaluation.sets import ImageSet

        if isinstance(self.source, Prepared):
            data = Prepared.open(self.source.directory)
            return ImageSet(self.name, data.images("train"), data.labels("train"))
        if isinstance(self.source, Samples):
            return ImageSet(self.name, Samples.open(self.source.directory).images)
        return ImageSet(self.name, self.source.images)

    def test(self) -> ImageSet | None:
        """Return the test split of prepared images; None if there is none, and of others."""
        from noisette.evaluation.sets import ImageSet

        if not isinstance(self.source, Prepared) or not self.source.has_test_split:
            return None
        return ImageSet(f"{self.name} test", self.source.images("test"), self.source.labels("test"))


_VERSION = 1


@dataclass(frozen=True)
class ComparisonRequest:
    """Two sets of images and how to compare them.

    Attributes:
        generated: the images to evaluate.
        reference: the real images they are compared with.
        heldout: other real images, from a separate folder, or None.
        evaluation: features, metrics, and whether there is a floor.
        seed: chooses the images of the floor.
    """

    generated: ImageSource
    reference: ImageSource
    heldout: ImageSource | None
    evaluation: Evaluation
    seed: int

    @property
    def features(self) -> Features:
        """The feature network."""
        return self.evaluation.features

    @property
    def metrics(self) -> Sequence[Metric]:
        """The metrics, as configured."""
        return self.evaluation.metrics

    def directory(self, root: Path) -> Path:
        """Return the directory of the report."""
        keys = [
            image_source.key if image_source else None
            for image_source in (self.generated, self.reference, self.heldout)
        ]
        plugins = [registry().identity_of(part) for part in (self.features, *self.metrics)]
        names = [self.generated.name, self.reference.name]
        return root / "evaluations" / digest(_VERSION, keys, names, plugins, self.evaluation.baselines, self.seed)


def open_sources(
    paths: Sequence[Path | str],
    asked: Preparation,
    network_size: int | None,
    root: Path,
    *,
    overrides: Sequence[str] | Mapping[str, Any] = (),
    events: Events | None = None,
) -> list[ImageSource]:
    """Return the sets of images that paths refer to, after reading folders.

    Args:
        paths: the paths.
        asked: size, fit and channels that images of folders are brought to; None of each leaves them.
        network_size: the size that images of different sizes are brought to, if `asked` says none.
        root: folder of all results.
        overrides: changes of a YAML file's experiment.
        events: receives the progress.

    Raises:
        DataError: if a path is missing or has no usable images, or the images differ in size and none is given.
    """
    found = [_open_finished(Path(path), root, overrides) for path in paths]
    prepared = next((one for one in found if isinstance(one, Prepared)), None)
    shared = (
        _SharedPreparation(_preparation_like(prepared, asked), None)
        if prepared is not None
        else _SharedPreparation(asked, network_size)
    )
    while True:
        before = shared.preparation
        read = [
            one
            or ingest_folder(
                Path(path), shared.preparation, root, resolve_mixed=shared.resolve_mixed, events=events
            )
            for path, one in zip(paths, found, strict=True)
        ]
        if shared.preparation == before:
            return [_to_source(path, one) for path, one in zip(paths, read, strict=True)]


class _SharedPreparation:
    """The preparation of all folders, which is adapted when their images differ."""

    def __init__(self, preparation: Preparation, network_size: int | None) -> None:
        self.preparation, self._network_size = preparation, network_size

    def resolve_mixed(self, error: MixedError) -> Preparation:
        """Return a preparation that makes the images equal in size and channels."""
        changes: dict[str, Any] = {"channels": 3}
        if error.what == "size":
            if self._network_size is None:
                raise DataError(f"{error}; or give a size to bring them to (--size)") from None
            changes = {"size": self._network_size, "fit": "resize"}
        self.preparation = self.preparation.model_copy(update=changes)
        return self.preparation


def _open_finished(path: Path, root: Path, overrides: Any) -> Prepared | Samples | None:
    """Return the samples or prepared data at a path; None for a folder of image files."""
    path = path.expanduser()
    if is_complete(path, "samples"):
        return Samples.finished(path)
    if is_complete(path, "prepared"):
        return Prepared.finished(path)
    if not path.is_file():
        return None
    data = data_directory(Experiment.load(path, overrides), root)
    prepared = Prepared.finished(data)
    if prepared is None:
        raise DataError(f"{path}: its images are not prepared: there is no {data}; run `noisette prepare` first")
    return prepared


def _preparation_like(prepared: Prepared, asked: Preparation) -> Preparation:
    """Return the preparation that makes images of files like prepared ones."""
    channels, height, width = prepared.shape
    if asked.size not in (None, height) or asked.channels not in (None, channels):
        raise DataError(
            f"{prepared.directory}: the prepared images are {width}x{height} with {channels} channels; "
            "size and channels can be chosen for folders of image files only"
        )
    done = Preparation.model_validate(prepared.about["preparation"])
    size = height if height == width else None
    return done.model_copy(update={"size": size, "channels": channels, "limit": None})


def _to_source(path: Path | str, source: IngestedFolder | Prepared | Samples) -> ImageSource:
    image_source = ImageSource(str(path), source)
    if isinstance(source, Prepared):
        about = {"kind": "prepared", "count": source.count("train"), "split": "train", "shape": list(source.shape)}
        return replace(image_source, about={**about, "path": str(source.directory), "data": source.digest})
    if isinstance(source, Samples):
        shape = [int(length) for length in source.images.shape[1:]]
        about = {"kind": "samples", "count": source.about["count"], "shape": shape}
        return replace(image_source, about={**about, "path": str(source.directory), "samples": dict(source.about)})
    counts = source.counts
    facts = {key: source.about[key] for key in ("shape", "sizes", "grey", "colour", "preparation")}
    about = {"kind": "folder", "count": counts["accepted"], **counts, **facts, "path": source.about["path"]}
    return replace(image_source, about={**about, "rejections": str(source.rejections)})
