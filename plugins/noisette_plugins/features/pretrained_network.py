"""Networks of transformers and timm with weights from local safetensors. A missing tensor is an error."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from noisette import DataError
from noisette.plugin_api import install_command

__all__ = ["load_timm_network", "load_transformers_network"]

_CLASSES = {
    "dinov2": "Dinov2Model",
    "dinov2_with_registers": "Dinov2WithRegistersModel",
    "clip": "CLIPVisionModelWithProjection",
    "clip_vision_model": "CLIPVisionModelWithProjection",
}


class _Pooled(nn.Module):
    """Wraps a transformers model to return vectors: the projection, or the class token after the last norm."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        found = self.model(pixel_values=x)
        vectors: Tensor = found.image_embeds if hasattr(found, "image_embeds") else found.last_hidden_state[:, 0]
        return vectors


def load_transformers_network(config: dict[str, Any], files: Sequence[Path]) -> nn.Module:
    """Load a network of transformers.

    Args:
        config: config validated by `check_config`.
        files: weight files.

    Raises:
        DataError: if transformers is not installed, the config is inconsistent, or a tensor is missing.
    """
    folder, kind = files[0].parent, config["model_type"]
    try:
        import transformers
    except ImportError:
        raise _missing_package_error("transformers", folder) from None
    build, fields = getattr(transformers, _CLASSES[kind]), {**config, **config.get("vision_config", {})}
    if kind == "clip":  # the config of a full CLIP has the width of the projection at its top level
        fields = {**config.get("vision_config", {}), "projection_dim": config.get("projection_dim", 512)}
    design = {
        key: value for key, value in fields.items() if key not in ("model_type", "vision_config", "_name_or_path")
    }
    with torch.random.fork_rng(devices=[]), _silence_logging(transformers.logging):
        try:
            model, loading_info = build.from_pretrained(
                None,
                config=build.config_class(**design),
                state_dict={name: tensor for file in files for name, tensor in load_file(file).items()},
                attn_implementation="sdpa",
                dtype=torch.float32,
                output_loading_info=True,
            )
        except Exception as error:  # the library rejects an inconsistent config
            raise DataError(f"{folder}: {_first_words(error)}") from None
    missing = sorted([*loading_info["missing_keys"], *(str(key) for key in loading_info["mismatched_keys"])])
    if missing:
        raise DataError(f"{folder}: expected all weights of {_CLASSES[kind]}; {missing[0]} is missing")
    return _Pooled(model)


def load_timm_network(config: dict[str, Any], files: Sequence[Path], options: dict[str, Any]) -> nn.Module:
    """Load a network of timm.

    Args:
        config: config validated by `check_config`.
        files: weight files; must be a single one.
        options: additional arguments, including `num_classes`.

    Raises:
        DataError: if timm is not installed or does not know the architecture, a tensor is missing, or there are
            several files.
    """
    try:
        import timm
    except ImportError:
        raise _missing_package_error("timm", files[0].parent) from None
    if len(files) > 1:
        raise DataError(f"{files[0].parent}: expected one model.safetensors of timm; got {len(files)}")
    arguments = {**config.get("model_args", {}), **options}
    # timm initializes a new last layer if its width differs from the assumed width of the one in the file
    local = {"file": str(files[0]), "hf_hub_id": None, "url": "", "num_classes": options["num_classes"]}
    with torch.random.fork_rng(devices=[]):
        try:
            network = timm.create_model(
                config["architecture"], pretrained=True, pretrained_cfg_overlay=local, **arguments
            )
        except Exception as error:  # the library rejects an inconsistent config
            raise DataError(f"{files[0].parent}: {_first_words(error)}") from None
    assert isinstance(network, nn.Module)
    return network


@contextmanager
def _silence_logging(logging: Any) -> Iterator[None]:
    """Suppress the warnings of transformers about unused weights, such as the text encoder of CLIP."""
    before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()


def _missing_package_error(package: str, folder: Path) -> DataError:
    return DataError(
        f"{folder}: this network is one of {package}, which is not installed: {install_command('features')}"
    )


def _first_words(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
