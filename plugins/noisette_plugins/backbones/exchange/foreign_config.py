"""Reading files of other libraries: types and bounds of their configs, and tensors without running code."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors.torch import load_file
from torch import Tensor

from noisette import DataError

__all__ = ["ForeignConfig", "Scheduler", "UNet2D", "read_archive", "read_json", "read_tensors"]

_MAX_BYTES = 10_000_000

Channels = Annotated[int, Field(ge=1, le=65_536)]
Levels = Annotated[int, Field(ge=1, le=100)]
Side = Annotated[int, Field(ge=1, le=65_536)]
Beta = Annotated[float, Field(ge=0, le=1)]
Word = Annotated[str, Field(max_length=80)]
Blocks = Annotated[tuple[Word, ...], Field(min_length=1, max_length=20)]


class ForeignConfig(BaseModel):
    """Settings of another library, with its defaults for missing keys."""

    model_config = ConfigDict(allow_inf_nan=False, frozen=True)

    @classmethod
    def read(cls, config: Mapping[str, Any], source: Path) -> Self:
        """Return the settings of a config.

        Raises:
            DataError: with the name of the first setting that has another type or is out of bounds.
        """
        try:
            return cls.model_validate(dict(config))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise DataError(f"{source}: {where}: {first['msg']}; came {str(first['input'])[:80]!r}") from None


class UNet2D(ForeignConfig):
    """UNet2DModel of diffusers 0.42."""

    attention_head_dim: Channels | None = 8
    block_out_channels: Annotated[tuple[Channels, ...], Field(min_length=1, max_length=20)] = (224, 448, 672, 896)
    down_block_types: Blocks = ("DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D")
    downsample_padding: Annotated[int, Field(ge=0, le=1)] = 1
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    flip_sin_to_cos: bool = True
    freq_shift: Annotated[int, Field(ge=0, le=1)] = 0
    in_channels: Channels = 3
    layers_per_block: Levels = 2
    norm_eps: Annotated[float, Field(gt=0, lt=1)] = 1e-5
    norm_num_groups: Channels = 32
    num_class_embeds: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    num_train_timesteps: int | None = None
    out_channels: Channels = 3
    sample_size: Side | tuple[Side, Side] | None = None
    time_embedding_dim: Channels | None = None
    up_block_types: Blocks = ("AttnUpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D")
    classes: Annotated[int, Field(ge=0, le=1_000_000)] | None = Field(None, alias="_noisette_classes")


class Scheduler(ForeignConfig):
    """The schedulers of diffusers 0.42: the settings that describe how a network was trained."""

    beta_end: Beta = 0.02
    beta_schedule: Word = "linear"
    beta_start: Beta = 1e-4
    clip_sample: bool = True
    clip_sample_range: Annotated[float, Field(gt=0)] = 1.0
    num_train_timesteps: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    prediction_type: Word = "epsilon"
    rescale_betas_zero_snr: bool = False
    trained_betas: Annotated[tuple[Beta, ...], Field(min_length=1, max_length=1_000_000)] | None = None
    variance_type: Word | None = "fixed_small"


def read_json(path: Path) -> dict[str, Any]:
    """Read the JSON object in a file.

    Raises:
        DataError: if the file is missing, too large, or not a JSON object.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise DataError(f"{path}: expected at most {_MAX_BYTES} bytes; it has {path.stat().st_size}")
        read = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path}: is missing; expected a folder that diffusers' save_pretrained wrote") from None
    except RecursionError:
        raise DataError(f"{path}: cannot be read: its brackets are nested too deeply") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    if not isinstance(read, dict):
        raise DataError(f"{path}: expected a JSON object")
    return read


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file.

    Raises:
        DataError: if the file is damaged.
    """
    try:
        tensors = load_file(path)
    except Exception as error:  # of the format, of the system, and of types that torch does not support
        raise DataError(f"{path}: cannot be read: {error}") from None
    _check_tensors(tensors, path)
    return tensors


def read_archive(path: Path) -> Mapping[str, Any]:
    """Read a file written by torch.save: tensors and plain values by name.

    Raises:
        DataError: if it contains code, is damaged, or unpacks to more than its size.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            packed = [entry.filename for entry in archive.infolist() if entry.compress_type != zipfile.ZIP_STORED]
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if packed or unpacked > path.stat().st_size:
            raise DataError(f"{path}: expected an archive as torch.save writes it; its entries are compressed")
        read = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise DataError(f"{path}: is missing") from None
    except DataError:
        raise
    except (
        Exception
    ):  # other files can raise any error, and for files with code torch's message recommends running it
        raise DataError(
            f"{path}: expected an archive of tensors alone, as torch.save writes it; it holds code or "
            "other objects, which are never loaded, or is damaged"
        ) from None
    if not isinstance(read, Mapping):
        raise DataError(f"{path}: expected weights by name; came {type(read).__name__}")
    for part in (read, *read.values()):
        if isinstance(part, Mapping):
            _check_tensors(part, path)
    return read


def _check_tensors(tensors: Mapping[Any, Any], path: Path) -> None:
    """Refuse tensors of unsupported types or layouts, and tensors expanded from a single value."""
    for name, tensor in tensors.items():
        if not isinstance(tensor, Tensor):
            continue
        if tensor.layout != torch.strided or tensor.is_complex() or tensor.is_quantized or tensor.is_meta:
            raise DataError(f"{path}: {name}: expected real numbers; came {tensor.dtype}, {tensor.layout}")
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise DataError(f"{path}: {name}: expected as many values as its shape says; it is expanded from fewer")
