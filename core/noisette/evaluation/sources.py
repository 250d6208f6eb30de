"""The sides of a comparison of any two sets of pictures: what a path stands for, and how its pictures are read.

A side is a folder of picture files, the directory of a sampler's pictures, that of prepared pictures (the train
split; the test split is held out), or the YAML file of an experiment whose data are prepared.

Picture files keep their size and channels; the feature network scales each picture from its own size. Where those
of one folder differ, or where `size` is given, the pictures of every folder are first brought to one size: `size`,
or the one that the network sees. Beside prepared pictures, folders are prepared as those were. `about` tells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from noisette.config import Evaluation, Experiment, Preparation
from noisette.data.folder import take_in_folder
from noisette.data.prepared import Prepared
from noisette.errors import DataError, MixedError
from noisette.layout import data_directory
from noisette.plugins import registry
from noisette.sampling.samples import Samples
from noisette.storage import digest, is_complete

if TYPE_CHECKING:
    from noisette.contracts import Features, Metric, Shape
    from noisette.data.folder import Folder
    from noisette.evaluation.sets import PictureSet
    from noisette.events import Events

__all__ = ["Pair", "Side", "sides"]


@dataclass(frozen=True)
class Side:
    """One set of pictures, on disk.

    Attributes:
        name: the path as it was given.
        source: what it stands for.
        about: what the pictures are, as JSON values: kind, path, count, shape, and for a folder how many files were
            found, accepted and rejected, where the reasons are, and which sizes the files had.
    """

    name: str
    source: Folder | Prepared | Samples
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> list[str]:
        """What tells the pictures from all others."""
        return [self.about["kind"], self.source.manifest.digest()]

    @property
    def shape(self) -> Shape:
        """Channels, height and width of every picture."""
        channels, height, width = self.about["shape"]
        return channels, height, width

    def pictures(self) -> PictureSet:
        """Return the pictures; of prepared ones the train split, with its labels.

        Raises:
            StorageError: if they are damaged.
        """
        from noisette.evaluation.sets import PictureSet

        if isinstance(self.source, Prepared):
            data = Prepared.open(self.source.directory)
            return PictureSet(self.name, data.pictures("train"), data.labels("train"))
        if isinstance(self.source, Samples):
            return PictureSet(self.name, Samples.open(self.source.directory).pictures)
        return PictureSet(self.name, self.source.pictures)

    def test(self) -> PictureSet | None:
        """Return the test split of prepared pictures; None of others."""
        from noisette.evaluation.sets import PictureSet

        if not isinstance(self.source, Prepared):
            return None
        return PictureSet(f"{self.name} test", self.source.pictures("test"), self.source.labels("test"))


_VERSION = 1


@dataclass(frozen=True)
class Pair:
    """What is compared, and by what.

    Attributes:
        generated: the pictures that are judged.
        reference: the real pictures they are compared with.
        heldout: real pictures that the reference does not have, of a folder of their own; or None.
        evaluation: features, metrics, and whether there is a floor.
        seed: decides which pictures make the floor.
    """

    generated: Side
    reference: Side
    heldout: Side | None
    evaluation: Evaluation
    seed: int

    @property
    def features(self) -> Features:
        """The feature network."""
        return self.evaluation.features

    @property
    def metrics(self) -> Sequence[Metric]:
        """The metrics, as they were asked for."""
        return self.evaluation.metrics

    def directory(self, root: Path) -> Path:
        """Return where the report lies or will lie."""
        keys = [side.key if side else None for side in (self.generated, self.reference, self.heldout)]
        plugins = [registry().identity_of(part) for part in (self.features, *self.metrics)]
        names = [self.generated.name, self.reference.name]
        return root / "evaluations" / digest(_VERSION, keys, names, plugins, self.evaluation.baselines, self.seed)


def sides(
    places: Sequence[Path | str],
    asked: Preparation,
    network_size: int | None,
    root: Path,
    *,
    overrides: Sequence[str] | Mapping[str, Any] = (),
    events: Events | None = None,
) -> list[Side]:
    """Return the sides that paths stand for, their folders read.

    Args:
        places: the paths.
        asked: size, fit and channels that pictures of folders are brought to; None of each leaves them.
        network_size: the size that pictures of different sizes are brought to, if `asked` says none.
        root: folder of all results.
        overrides: changes of a YAML file's experiment.
        events: who is told of the progress.

    Raises:
        DataError: if a path stands for nothing, holds no usable picture, or its pictures differ in size where
            nothing says which.
    """
    found = [_finished(Path(place), root, overrides) for place in places]
    prepared = next((one for one in found if isinstance(one, Prepared)), None)
    agreed = _Agreed(_like(prepared, asked), None) if prepared is not None else _Agreed(asked, network_size)
    while True:
        before = agreed.preparation
        read = [
            one or take_in_folder(Path(place), agreed.preparation, root, settle=agreed.settle, events=events)
            for place, one in zip(places, found, strict=True)
        ]
        if agreed.preparation == before:
            return [_side(place, one) for place, one in zip(places, read, strict=True)]


class _Agreed:
    """The preparation of all folders, which changes when pictures turn out to differ."""

    def __init__(self, preparation: Preparation, network_size: int | None) -> None:
        self.preparation, self._network_size = preparation, network_size

    def settle(self, error: MixedError) -> Preparation:
        """Return a preparation under which the pictures do not differ any more."""
        changes: dict[str, Any] = {"channels": 3}
        if error.what == "size":
            if self._network_size is None:
                raise DataError(f"{error}; or give a size to bring them to (--size)") from None
            changes = {"size": self._network_size, "fit": "resize"}
        self.preparation = self.preparation.model_copy(update=changes)
        return self.preparation


def _finished(place: Path, root: Path, overrides: Any) -> Prepared | Samples | None:
    """Return what lies at a path if that is no folder of picture files."""
    place = place.expanduser()
    if is_complete(place, "samples"):
        return Samples.finished(place)
    if is_complete(place, "prepared"):
        return Prepared.finished(place)
    if not place.is_file():
        return None
    data = data_directory(Experiment.load(place, overrides), root)
    prepared = Prepared.finished(data)
    if prepared is None:
        raise DataError(f"{place}: its pictures are not prepared: there is no {data}; run `noisette prepare` first")
    return prepared


def _like(prepared: Prepared, asked: Preparation) -> Preparation:
    """Return the preparation that makes pictures of files like prepared ones."""
    channels, height, width = prepared.shape
    if asked.size not in (None, height) or asked.channels not in (None, channels):
        raise DataError(
            f"{prepared.directory}: the prepared pictures are {width}x{height} with {channels} channels; "
            "size and channels can be chosen for folders of picture files only"
        )
    done = Preparation.model_validate(prepared.about["preparation"])
    size = height if height == width else None
    return done.model_copy(update={"size": size, "channels": channels, "limit": None})


def _side(place: Path | str, source: Folder | Prepared | Samples) -> Side:
    side = Side(str(place), source)
    if isinstance(source, Prepared):
        about = {"kind": "prepared", "count": source.count("train"), "split": "train", "shape": list(source.shape)}
        return replace(side, about={**about, "path": str(source.directory), "data": source.digest})
    if isinstance(source, Samples):
        shape = [int(length) for length in source.pictures.shape[1:]]
        about = {"kind": "samples", "count": source.about["count"], "shape": shape}
        return replace(side, about={**about, "path": str(source.directory), "samples": dict(source.about)})
    counts = source.counts
    facts = {key: source.about[key] for key in ("shape", "sizes", "grey", "colour", "preparation")}
    about = {"kind": "folder", "count": counts["accepted"], **counts, **facts, "path": source.about["path"]}
    return replace(side, about={**about, "rejections": str(source.rejections)})
