"""Import and export of trained networks, in the formats that the backbones support.

An imported network becomes an experiment: a config, and the checkpoint of a training of 0 steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from noisette.checkpoint import Checkpoint, checkpoint_path
from noisette.config import Experiment
from noisette.contracts import Backbone
from noisette.data import Prepared
from noisette.errors import DataError
from noisette.layout import data_directory, training_directory
from noisette.plugins import registry
from noisette.storage import committed

if TYPE_CHECKING:
    from noisette.contracts.backbone import Pretrained

__all__ = ["export_checkpoint", "import_checkpoint", "import_pretrained", "make_imported_config"]


_DROPPED_OPTIONS = {"decay", "low_res_size", "self_condition"}
"""Training options that the config of an imported network omits."""


def export_checkpoint(checkpoint: Checkpoint, folder: Path | str, label: str | None = None) -> Path:
    """Write a checkpoint in the format of another library; return the folder.

    Args:
        checkpoint: see `noisette.find_checkpoint`.
        folder: must not exist, or be empty.
        label: class that the other library generates, for a class-conditional network; None for no class.

    Raises:
        CheckpointError: if the backbone is not installed.
        DataError: if the other format cannot express it; StorageError: if the folder cannot be written.
    """
    from noisette.model.plugins import load_plugin

    backbone = cast(Backbone, load_plugin(checkpoint, "backbone"))
    backbone.export(checkpoint, Path(folder), label)
    return Path(folder)


def import_pretrained(path: Path | str) -> Pretrained:
    """Read a network of another library with the first backbone that supports its format.

    Raises:
        DataError: if no backbone supports it, or reading fails.
    """
    path, reasons = Path(path), []
    if not path.exists():
        raise DataError(f"{path}: there is no such file or folder; expected a network of another library")
    for found in registry().of_kind("backbone"):
        try:
            pretrained = cast(type[Backbone], found.plugin).import_pretrained(path)
        except DataError as error:
            reasons.append(str(error))
            continue
        if pretrained is not None:
            return pretrained
    if reasons:
        raise DataError("; ".join(reasons))
    raise DataError(
        f"{path}: no installed backbone supports it; expected a diffusers UNet2DModel folder or a file of "
        "denoising-diffusion-pytorch"
    )


def make_imported_config(pretrained: Pretrained, config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the config of an experiment with an imported network.

    Args:
        pretrained: its options (backbone, schedule, timesteps, objective, clip, size) take precedence.
        config: the other options.
        name: the name of the experiment.
    """
    process = dict(pretrained.process)
    sampling = {**(config.get("sampling") or {}), **process.pop("sampling", {})}
    training = {key: value for key, value in (config.get("training") or {}).items() if key not in _DROPPED_OPTIONS}
    return {
        **config,
        "name": name,
        "preparation": {**(config.get("preparation") or {}), **_preparation_options(pretrained)},
        **process,
        "backbone": {**pretrained.backbone.options(), "name": registry().name_of(pretrained.backbone)},
        "training": {**training, "steps": 0, "class_conditional": pretrained.classes > 0},
        "sampling": sampling,
    }


def import_checkpoint(pretrained: Pretrained, experiment: Experiment, root: Path | str = "runs") -> Checkpoint:
    """Write a network as the checkpoint of the experiment's training of 0 steps.

    Args:
        pretrained: the network.
        experiment: the experiment of `make_imported_config`.
        root: folder of all results.

    Raises:
        DataError: if the size of its images is unknown, or its channels are not those of the objective.
        StorageError: if it cannot be written.
    """
    from safetensors.torch import save_file

    from noisette.model.weights import ema_file_name

    run = training_directory(experiment, Path(root))
    size = pretrained.size or (experiment.preparation.size,) * 2
    if size[0] is None:
        raise DataError(f"{pretrained.source}: the size of its images is unknown: set preparation.size")
    pretrained.network(cast(tuple[int, int], size))  # raises if weights or size do not fit
    outputs = pretrained.in_channels * experiment.objective.outputs
    if pretrained.outputs != outputs:
        raise DataError(
            f"{pretrained.source}: expected {outputs} output channels for the objective "
            f"{experiment.objective.name}; got {pretrained.outputs}"
        )
    about = _about(pretrained, experiment, Path(root), (pretrained.in_channels, *cast(tuple[int, int], size)))
    target = checkpoint_path(run, 0)
    with committed(target, "checkpoint", about) as staging:
        decays = experiment.training.decays  # a later training starts its averages from these weights
        for file in ("network.safetensors", *(ema_file_name(decay, decays) for decay in decays)):
            save_file({key: tensor.contiguous() for key, tensor in pretrained.state.items()}, staging / file)
    return Checkpoint.open(target)


def _preparation_options(pretrained: Pretrained) -> dict[str, Any]:
    """Return the preparation options that match the network's images."""
    size = pretrained.size
    square = {"size": size[0]} if size is not None and size[0] == size[1] else {}
    return {**square, **({"channels": pretrained.in_channels} if pretrained.in_channels in (1, 3) else {})}


def _about(
    pretrained: Pretrained, experiment: Experiment, root: Path, shape: tuple[int, int, int]
) -> dict[str, Any]:
    data = Prepared.finished(data_directory(experiment, root))
    names = data.classes if data is not None and len(data.classes) == pretrained.classes else ()
    plugins = (experiment.schedule, experiment.objective, experiment.backbone, experiment.dataset)
    return {
        "step": 0,
        "experiment": experiment.options(),
        "shape": list(shape),
        "classes": list(names or map(str, range(pretrained.classes))),
        "data": "" if data is None else data.digest,
        "parameters": sum(tensor.numel() for tensor in pretrained.state.values()),
        "imported": str(pretrained.source),
        "plugins": registry().origins_of(plugins),
        "versions": {"noisette": version("noisette")},
    }
