"""Models in diffusers folders: networks, processes, and export as a DDPMPipeline.

<folder>/unet/config.json and diffusion_pytorch_model.safetensors      a UNet2DModel
<folder>/scheduler/scheduler_config.json                               schedule, timesteps, objective, clipping"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from noisette import Backbone, DataError, Model, Shape, StorageError
from noisette.plugin_api import Checkpoint, Conditioning, Pretrained
from noisette_plugins.backbones.exchange.diffusers_unet import (
    UNetLike,
    from_diffusers,
    make_config,
    parse_unet,
    to_diffusers,
)
from noisette_plugins.backbones.exchange.foreign_config import Scheduler, UNet2D, read_json, read_tensors
from noisette_plugins.schedules import Cosine, Linear, Quadratic, ScaledLinear, Sigmoid

__all__ = [
    "export_pipeline",
    "export_unet",
    "find_schedule",
    "load_diffusers",
    "parse_scheduler",
    "scheduler_config",
]

_OBJECTIVES = {"eps": "epsilon", "x0": "sample", "v": "v_prediction"}


def parse_scheduler(config: Mapping[str, Any], source: Path) -> dict[str, Any]:
    """Return the keys `schedule`, `timesteps`, `objective` and `sampling` for a scheduler's config.

    The sampling method is not read: a noisette config lists its own samplers.

    Raises:
        DataError: with the name of an unsupported setting.
    """
    settings = Scheduler.read(config, source)
    known = {theirs: ours for ours, theirs in _OBJECTIVES.items()}
    kind = settings.prediction_type
    if kind not in known:
        raise DataError(f"{source}: prediction_type: expected one of {', '.join(known)}; came {kind!r}")
    if str(settings.variance_type).startswith("learned"):
        raise DataError(f"{source}: variance_type: a learned variance is not read; came {settings.variance_type}")
    schedule = _parse_schedule(settings, source)
    if settings.rescale_betas_zero_snr:
        schedule = {"name": "zero-terminal", "of": schedule}
    return {
        "schedule": schedule,
        "timesteps": settings.num_train_timesteps,
        "objective": known[kind],
        "sampling": {"clip_x0": settings.clip_sample_range if settings.clip_sample else None},
    }


def _parse_schedule(settings: Scheduler, source: Path) -> dict[str, Any]:
    if settings.trained_betas is not None:
        return find_schedule(settings.trained_betas)
    ends = {"start": settings.beta_start, "end": settings.beta_end}
    schedules: dict[str, dict[str, Any]] = {
        "linear": {"name": "linear", **ends, "scaled": False},
        "scaled_linear": {"name": "scaled-linear", **ends},
        "squaredcos_cap_v2": {"name": "cosine"},
    }
    name = settings.beta_schedule
    if name not in schedules:
        raise DataError(f"{source}: beta_schedule: expected one of {', '.join(schedules)}; came {name!r}")
    return schedules[name]


def find_schedule(betas: Sequence[float], rounding: float = 1e-9) -> dict[str, Any]:
    """Return the schedule whose defaults give these betas, up to rounding; else `given` with the betas."""
    values = torch.tensor(betas, dtype=torch.float64)
    for schedule in (Linear(), Cosine(), Quadratic(), ScaledLinear(), Sigmoid()):
        if torch.allclose(schedule.betas(len(values)), values, rtol=rounding, atol=0):
            return {"name": schedule.name}
    return {"name": "given", "values": list(betas)}


def scheduler_config(betas: Tensor, objective: str, clip: float | None) -> dict[str, Any]:
    """Return the config of a DDPMScheduler for the betas (T,) of a process.

    Raises:
        DataError: if diffusers does not support the objective.
    """
    if objective not in _OBJECTIVES:
        raise DataError(f"diffusers' DDPMScheduler has no objective {objective!r}; it has {', '.join(_OBJECTIVES)}")
    return {
        "_class_name": "DDPMScheduler",
        "clip_sample": clip is not None,
        "clip_sample_range": 1.0 if clip is None else clip,
        "num_train_timesteps": len(betas),
        "prediction_type": _OBJECTIVES[objective],
        "timestep_spacing": "linspace",
        "trained_betas": betas.tolist(),
        "variance_type": "fixed_small",
    }


_WEIGHTS = "diffusion_pytorch_model.safetensors"
_LABELS = "_noisette_classes"


def load_diffusers(kind: Callable[..., Backbone], folder: Path | str) -> Pretrained:
    """Read a UNet2DModel, from the folder of a pipeline or its own.

    The pipeline may have the model in `unet/` or, as in the first versions, in the folder itself. All classes of a
    UNet2DModel become classes, and "none" adds nothing, except that a folder exported by noisette marks one of its
    classes as "none".

    Args:
        kind: `UNet`, called with the options that are found.
        folder: a folder in diffusers' format.

    Raises:
        DataError: if it is not such a folder, or `unet` does not support its contents.
    """
    folder = Path(folder)
    home = folder / "unet" if (folder / "unet" / "config.json").is_file() else folder
    config = read_json(home / "config.json")
    if config.get("_class_name") != "UNet2DModel":
        raise DataError(f"{home / 'config.json'}: expected a UNet2DModel; came {config.get('_class_name')!s:.80}")
    backbone, settings = parse_unet(kind, config, home / "config.json")
    classes = (settings.num_class_embeds or 0) if settings.classes is None else settings.classes
    pretrained = _assemble(home, backbone, settings, classes)
    return replace(pretrained, process=_process(folder, home)).validate()


def export_unet(network: nn.Module, backbone: UNetLike, shape: Shape, classes: int, folder: Path) -> None:
    """Write a network of `unet` as a UNet2DModel, which diffusers' `from_pretrained` can read.

    Args:
        network: a trained network returned by `backbone.build(shape, classes, ...)`.
        folder: created if it does not exist.

    Raises:
        DataError: if UNet2DModel does not support the network.
    """
    state = network.state_dict()
    config = make_config(backbone, shape, classes, len(state["leave.bias"]))
    if classes:
        config[_LABELS] = classes
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.detach().cpu().float() for name, tensor in to_diffusers(state).items()}
    save_file(weights, folder / _WEIGHTS, metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _assemble(home: Path, backbone: Backbone, settings: UNet2D, classes: int) -> Pretrained:
    size = settings.sample_size
    sides = (size, size) if isinstance(size, int) else size
    weights = _weights(home)
    levels = len(settings.block_out_channels)
    blocks = levels * settings.layers_per_block
    if len(weights) < blocks:  # before a network of the config's size is built
        raise DataError(f"{home / _WEIGHTS}: {len(weights)} weights are too few for {blocks} blocks")
    with torch.device("meta"):
        side = 2**levels
        network = backbone.build((settings.in_channels, side, side), classes, settings.out_channels)
    try:
        state, unmatched = from_diffusers(weights, network.state_dict(), cosine_first=settings.flip_sin_to_cos)
        if classes and classes == settings.num_class_embeds and not unmatched:
            table = state["embedding.label.weight"]
            state["embedding.label.weight"] = torch.cat([table, torch.zeros_like(table[:1])])
    except (RuntimeError, IndexError) as error:  # tensors whose shapes do not match
        raise DataError(f"{home / _WEIGHTS}: weights do not fit the config: {error}") from None
    if unmatched:
        raise DataError(
            f"{home / _WEIGHTS}: {len(unmatched)} weights are missing or unknown: {', '.join(unmatched[:4])}"
        )
    return Pretrained(home, backbone, settings.in_channels, settings.out_channels, classes, sides, state)


def _weights(home: Path) -> dict[str, torch.Tensor]:
    if not (home / _WEIGHTS).is_file():
        present = (
            ", ".join(sorted(path.name for path in home.glob("diffusion_pytorch_model*"))) or "no weights at all"
        )
        raise DataError(
            f"{home}: expected {_WEIGHTS}; there is {present}. Weights that are pickled are not read: "
            "save them again with diffusers, save_pretrained(..., safe_serialization=True)"
        )
    return read_tensors(home / _WEIGHTS)


def _process(folder: Path, home: Path) -> dict[str, Any]:
    for path in (folder / "scheduler" / "scheduler_config.json", home / "scheduler_config.json"):
        if path.is_file():
            return parse_scheduler(read_json(path), path)
    return {}


_INDEX = {
    "_class_name": "DDPMPipeline",
    "scheduler": ["diffusers", "DDPMScheduler"],
    "unet": ["diffusers", "UNet2DModel"],
}


def export_pipeline(
    backbone: UNetLike, checkpoint: Checkpoint, folder: Path | str, *, ema: bool = True, label: str | None = None
) -> Path:
    """Write a checkpoint's network and process as a DDPMPipeline; return the folder.

    DDPMPipeline has no labels. For a network with labels, the embedding of one label, or of "none", is added to the
    bias of the timestep embedding's last layer. The exported network then generates images of that class, or of no
    class.

    Args:
        backbone: a `unet`.
        checkpoint: of an experiment with this backbone.
        folder: must be empty or not exist; it is written atomically.
        ema: whether to use the averaged weights, if there are any.
        label: class name, for a network with classes; None for no class.

    Raises:
        DataError: if DDPMPipeline does not support the model.
        StorageError: if the folder is not empty, or cannot be written.
    """
    folder, experiment = Path(folder), checkpoint.about["experiment"]
    model = Model.load(checkpoint, ema=ema)
    _check_exportable(checkpoint, model, label)
    network = _fold_in_label(model, backbone, label) if model.classes else model.network
    scheduler = scheduler_config(model.process.betas, model.objective.name, experiment["sampling"]["clip_x0"])
    with _StagedFolder(folder) as staging:
        export_unet(network, backbone, model.shape, 0, staging / "unet")
        _write_json(staging / "scheduler" / "scheduler_config.json", scheduler)
        _write_json(staging / "model_index.json", _INDEX)
    return folder


def _check_exportable(checkpoint: Checkpoint, model: Model, label: str | None) -> None:
    """Refuse models that DDPMPipeline does not support, and labels that the network did not learn."""
    training, where = checkpoint.about["experiment"]["training"], checkpoint.directory
    if model.conditioning != Conditioning():
        raise DataError(
            f"{where}: DDPMPipeline shows a network the noisy image alone; this one was trained with more "
            "(training.self_condition or training.low_res_size)"
        )
    if model.objective.outputs != 1:
        raise DataError(f"{where}: a learned variance (objective.bound) is not exported")
    if label is not None and label not in model.classes:
        known = ", ".join(model.classes) or "no classes: it was trained without labels"
        raise DataError(f"{where}: class {label!r}: the network knows {known}")
    if label is None and model.classes and not training["class_dropout"]:
        raise DataError(
            f"{where}: DDPMPipeline has no labels, and the network was never trained without one "
            f"(training.class_dropout=0): give a class, one of {', '.join(model.classes)}"
        )


def _fold_in_label(model: Model, backbone: UNetLike, label: str | None) -> nn.Module:
    """Return the network with a fixed label, or without labels, as an unconditional network."""
    state = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    number = len(model.classes) if label is None else model.classes.index(label)
    state["embedding.outer.bias"] += state.pop("embedding.label.weight")[number]
    with torch.random.fork_rng(devices=[]):  # the initial weights are random, then replaced
        network = backbone.build(model.shape, 0, model.shape[0])
    network.load_state_dict(state)
    return network.eval()


class _StagedFolder:
    """A folder that is written to a temporary path and then renamed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> Path:
        if self._folder.exists() and (not self._folder.is_dir() or any(self._folder.iterdir())):
            raise StorageError(f"{self._folder}: is not empty; name a new folder")
        try:
            self._folder.parent.mkdir(parents=True, exist_ok=True)
            self._staging = Path(tempfile.mkdtemp(prefix=".staging-", dir=self._folder.parent))
        except OSError as error:
            raise StorageError(f"{self._folder}: cannot be written: {error.strerror}") from error
        return self._staging

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        try:
            if error is None:
                self._staging.chmod(0o755)
                self._staging.replace(self._folder)
        except OSError as failure:
            raise StorageError(f"{self._folder}: cannot be written: {failure.strerror}") from failure
        finally:
            shutil.rmtree(self._staging, ignore_errors=True)
        if isinstance(error, OSError):
            raise StorageError(f"{self._folder}: cannot be written: {error.strerror}") from error


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
