"""A trained model as a folder of diffusers' DDPMPipeline, which diffusers itself then samples from."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from noisette import DataError, StorageError
from noisette.checkpoint import Checkpoint
from noisette.config.reference import make_plugin
from noisette.training import Model
from noisette_plugins.backbones.exchange.diffusers_folder import export_unet
from noisette_plugins.backbones.exchange.diffusers_process import scheduler_config
from noisette_plugins.backbones.unet import UNet

__all__ = ["export_pipeline"]

_INDEX = {
    "_class_name": "DDPMPipeline",
    "scheduler": ["diffusers", "DDPMScheduler"],
    "unet": ["diffusers", "UNet2DModel"],
}


def export_pipeline(checkpoint: Checkpoint, folder: Path | str, *, ema: bool = True) -> Path:
    """Write a checkpoint's network and process as a DDPMPipeline; return the folder.

    Args:
        checkpoint: of an experiment with the backbone `unet` and without labels.
        folder: must not be there, or be empty; appears whole or not at all.
        ema: take the averaged weights where there are some.

    Raises:
        DataError: if DDPMPipeline cannot say the same.
        StorageError: if the folder is not empty, or cannot be written.
    """
    folder, experiment = Path(folder), checkpoint.about["experiment"]
    backbone = make_plugin("backbone", experiment["backbone"])
    if not isinstance(backbone, UNet):
        raise DataError(f"{checkpoint.directory}: DDPMPipeline takes the backbone unet; came {backbone.name}")
    model = Model.load(checkpoint, ema=ema)
    if model.classes:
        raise DataError(
            f"{checkpoint.directory}: DDPMPipeline has no labels, "
            f"and the network was trained with {len(model.classes)}"
        )
    scheduler = scheduler_config(model.tables.betas, model.objective.name, experiment["sampling"]["clip"])
    with _Appearing(folder) as staging:
        export_unet(model.network, backbone, model.shape, 0, staging / "unet")
        _write_json(staging / "scheduler" / "scheduler_config.json", scheduler)
        _write_json(staging / "model_index.json", _INDEX)
    return folder


class _Appearing:
    """A folder that is filled beside its place and then put there."""

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
