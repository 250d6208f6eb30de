"""Export of a trained model as a folder of diffusers' DDPMPipeline, from which diffusers can sample."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import nn

from noisette import DataError, Model, StorageError
from noisette.plugin_api import Checkpoint, Conditioning
from noisette_plugins.backbones.exchange.diffusers_folder import export_unet
from noisette_plugins.backbones.exchange.diffusers_process import scheduler_config
from noisette_plugins.backbones.exchange.diffusers_unet import UNetLike

__all__ = ["export_pipeline"]

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
