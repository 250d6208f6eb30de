"""Images of one sampler drawn in parts, by several processes or machines, and put together.

    parts = split_into_parts(experiment, 4)
    shards = [sample_shard(experiment, checkpoint, sampler, part, root) for part in parts]  # anywhere
    samples = join_shards(experiment, checkpoint, sampler, shards)

A shard begins where a batch begins. So whoever draws it puts the same images side by side as `sample` does, and
the bits are the same whatever the split. Shards lie in `<run>/shards/` until they are joined.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from noisette.checkpoint import Checkpoint
from noisette.contracts import Sampler
from noisette.data import Prepared
from noisette.errors import StorageError
from noisette.events import Events
from noisette.hooks import Run
from noisette.layout import data_directory, samples_directory
from noisette.machine import Machine, use_threads
from noisette.model.model import Model, labels_for
from noisette.progress import default_events
from noisette.sampling.engine import log_samples, write_grid_and_labels
from noisette.sampling.resumable_array import ResumableArray
from noisette.sampling.samples import Samples, timing_conditions
from noisette.sampling.writer import BATCH, SampleWriter, describe_samples
from noisette.storage import committed, create_array, is_complete, resumable, verify

if TYPE_CHECKING:
    from noisette.config import Experiment

__all__ = ["join_shards", "sample_shard", "split_into_parts"]

_KIND = "shard"
_PER_SHARD_KEYS = ("part", "seconds", "classes", "timed")  # what one shard alone tells


def split_into_parts(experiment: Experiment, most: int) -> list[range]:
    """Return the images of a sampler in at most so many parts, of whole batches, as even as can be.

    Without `sampling.batch_size` a part holds whole batches of whichever device draws it.
    """
    count, size = experiment.sampling.num_images, experiment.sampling.batch_size or max(BATCH.values())
    batches = -(-count // size)
    parts = max(1, min(most, batches))
    bounds = [min(count, size * (batches * part // parts)) for part in range(parts + 1)]
    return [range(first, last) for first, last in pairwise(bounds)]


def sample_shard(
    experiment: Experiment, checkpoint: Checkpoint, sampler: Sampler, part: range, root: Path | str = "runs"
) -> Path:
    """Draw some of a sampler's images; return their directory. Finished ones are returned at once.

    What is stopped or killed goes on behind its last batch.

    Args:
        experiment, checkpoint, sampler, root: as `sample` takes them.
        part: one of `split_into_parts`.

    Raises:
        as `sample`.
    """
    target = _target(experiment, checkpoint, sampler)
    directory = checkpoint.run / "shards" / f"{target.name}-{part.start}-{part.stop}"
    if is_complete(directory, _KIND):
        return directory
    model = Model.load(
        checkpoint, ema=experiment.sampling.ema, machine=Machine.detect(experiment.training.precision)
    )
    data = Prepared.finished(data_directory(experiment, Path(root))) if model.conditioning.low_res_size else None
    run = Run("sample", sampler.label, directory, len(part), sampler.options())
    labels = labels_for(model, experiment.sampling, part)
    about = {**describe_samples(experiment, checkpoint, model, sampler), "part": [part.start, part.stop]}
    with use_threads(experiment.threads), resumable(directory, _KIND, about) as staging:
        writer = SampleWriter(experiment, model, sampler, part, run, Events(installed=False), data)
        array = ResumableArray(staging, (len(part), *model.shape), {**about, "batch": writer.size})
        writer.resume(array)
        array.images.flush()
        about |= {"network_calls": writer.calls, "classes": len(model.classes)}
        about["timed"] = timing_conditions(together=False)
        about["seconds"] = sum(array.batches.values())
        if labels is not None:
            np.save(staging / "labels.npy", labels.numpy())
    return directory


def join_shards(
    experiment: Experiment,
    checkpoint: Checkpoint,
    sampler: Sampler,
    shards: Sequence[Path],
    *,
    again: bool = False,
    events: Events | None = None,
) -> Samples:
    """Put the shards of a sampler together, with every hash verified, and remove them.

    Args:
        experiment, checkpoint, sampler: as `sample_shard` was given them.
        shards: directories of all its shards.
        again: replace finished samples by these shards.
        events: receives the metrics and the grid; the stage is the caller's.

    Raises:
        StorageError: if shards are damaged or missing, or were drawn by different devices or versions.
    """
    target, count = _target(experiment, checkpoint, sampler), experiment.sampling.num_images
    done = Samples.finished(target)
    if done is not None and not again:
        return done
    found = sorted(((verify(shard, _KIND).about, shard) for shard in shards), key=lambda one: one[0]["part"])
    about = _common_about(target, [told for told, _ in found], count)
    about["timed"] = found[0][0]["timed"]
    about["seconds_per_image"] = sum(told["seconds"] for told, _ in found) / count
    with committed(target, "samples", about) as staging:
        pieces = [np.load(shard / "images.npy", mmap_mode="r", allow_pickle=False) for _, shard in found]
        images = create_array(staging / "images.npy", (count, *pieces[0].shape[1:]), np.uint8)
        for (told, _), piece in zip(found, pieces, strict=True):
            images[slice(*told["part"])] = piece
        images.flush()
        labels = _labels([shard for _, shard in found])
        write_grid_and_labels(staging, images, labels, found[0][0]["classes"])
    for shard in (checkpoint.run / "shards").glob(f"*{target.name}-*"):
        shutil.rmtree(shard, ignore_errors=True)  # those of another split that was begun, too
    samples = Samples.open(target)
    log_samples(samples, Run("sample", sampler.label, target, count, sampler.options()), events or default_events())
    return samples


def _target(experiment: Experiment, checkpoint: Checkpoint, sampler: Sampler) -> Path:
    return samples_directory(checkpoint.run, checkpoint.digest, sampler, experiment)


def _common_about(target: Path, told: Sequence[dict[str, Any]], count: int) -> dict[str, Any]:
    """Return what all shards say of themselves."""
    ends = [0, *(about["part"][1] for about in told)]
    if [about["part"][0] for about in told] != ends[:-1] or ends[-1] != count:
        parts = ", ".join(f"{about['part'][0]} to {about['part'][1]}" for about in told)
        raise StorageError(f"{target}: expected shards of images 0 to {count}; got {parts or 'none'}")
    first, *others = (
        {name: value for name, value in about.items() if name not in _PER_SHARD_KEYS} for about in told
    )
    for other in others:
        differing = [name for name in first if other.get(name) != first[name]]
        if differing:
            raise StorageError(
                f"{target}: its shards were drawn with different {', '.join(differing)}; the images would not be "
                "those of one machine: draw all of them in places that are alike"
            )
    return first


def _labels(shards: Sequence[Path]) -> np.ndarray[Any, np.dtype[np.int64]] | None:
    if not (shards[0] / "labels.npy").exists():
        return None
    return np.concatenate([np.load(shard / "labels.npy", allow_pickle=False) for shard in shards])
