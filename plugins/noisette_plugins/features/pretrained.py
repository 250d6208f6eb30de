"""Vision transformers with weights supplied by the user, in a Hugging Face folder read by transformers or timm.

<weights>/config.json              "model_type" selects transformers, "architecture" selects timm
<weights>/model*.safetensors       tensors; nothing is ever unpickled

Nothing is downloaded, and no library is imported before the network is needed. Of config.json only bounded numbers
and plain names are accepted. Other fields are dropped, because transformers and timm could use them to load code
from the Hub (`attn_implementation`), other repositories (`hf-hub:` in an architecture) or other files
(`checkpoint_path`), or to quantize."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from noisette import DataError, Features

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from noisette.plugin_api import Extractor

__all__ = ["Pretrained", "check_config"]

Width = Annotated[int, Field(ge=1, le=65_536)]
Layers = Annotated[int, Field(ge=1, le=200)]
Side = Annotated[int, Field(ge=1, le=8192)]
Number = Annotated[int | float, Field(ge=0, le=65_536)]
Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.]+$", max_length=100)]
Colour = tuple[Number, Number, Number]
Square = Annotated[Side, BeforeValidator(lambda value: value[0] if isinstance(value, list) and value else value)]


class _Schema(BaseModel):
    model_config = ConfigDict(allow_inf_nan=False, protected_namespaces=())


class _Vision(_Schema):
    """A vision transformer in the transformers library."""

    hidden_act: Word | None = None
    hidden_size: Width | None = None
    image_size: Square | None = None
    intermediate_size: Width | None = None
    layer_norm_eps: Number | None = None
    layerscale_value: Number | None = None
    mlp_ratio: Annotated[int | float, Field(gt=0, le=100)] | None = None
    num_attention_heads: Width | None = None
    num_channels: Literal[3] | None = None
    num_hidden_layers: Layers | None = None
    num_register_tokens: Annotated[int, Field(ge=0, le=65_536)] | None = None
    patch_size: Square | None = None
    projection_dim: Width | None = None
    qkv_bias: bool | None = None
    use_mask_token: bool | None = None
    use_swiglu_ffn: bool | None = None


class _Transformers(_Vision):
    model_type: Word
    name: Annotated[str, Field(max_length=1000)] | None = Field(
        None, alias="_name_or_path", serialization_alias="_name_or_path"
    )
    vision_config: _Vision | None = None


class _TimmArguments(_Schema):
    """Arguments of timm's vision transformers."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    class_token: bool | None = None
    depth: Layers | None = None
    dynamic_img_size: bool | None = None
    embed_dim: Width | None = None
    global_pool: Word | None = None
    img_size: Square | None = None
    init_values: Number | None = None
    mlp_ratio: Annotated[float, Field(gt=0, le=100)] | None = None
    no_embed_class: bool | None = None
    num_heads: Width | None = None
    patch_size: Square | None = None
    qkv_bias: bool | None = None
    reg_tokens: Annotated[int, Field(ge=0, le=65_536)] | None = None


class _TimmPretrained(_Schema):
    input_size: tuple[Literal[3], Side, Side] | None = None
    mean: Colour | None = None
    std: Colour | None = None


class _Timm(_Schema):
    architecture: Word
    num_classes: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    num_features: Width
    model_args: _TimmArguments = _TimmArguments()
    pretrained_cfg: _TimmPretrained = _TimmPretrained()


class _Colours(_Schema):
    image_mean: Colour | None = None
    image_std: Colour | None = None


def check_config(config: Any, source: object) -> dict[str, Any]:
    """Return the known fields of a config after validation. A config with `architecture` is one of timm.

    Raises:
        DataError: if a field has the wrong type or is out of bounds; the message names it.
    """
    schema = _Timm if isinstance(config, dict) and "architecture" in config else _Transformers
    return _check(schema, config, source)


def check_colours(config: Any, source: object) -> dict[str, Any]:
    """Return the mean and standard deviation of the colours in a preprocessor config.

    Raises:
        DataError: see `check_config`.
    """
    return _check(_Colours, config, source)


def _check(schema: type[BaseModel], config: Any, source: object) -> dict[str, Any]:
    try:
        return schema.model_validate(config).model_dump(by_alias=True, exclude_none=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise DataError(f"{source}: {where}: {first['msg']}; came {str(first['input'])[:80]!r}") from None


_CHUNK = 1 << 22


class Pretrained(Features):
    """Base class of feature networks with weights in a folder of the user.

    Class attributes:
        model_types: model types in transformers.
        architectures: substrings, one of which the architecture in timm must contain.
        mean, std: mean and standard deviation of the training colours, used if the folder does not define them.
    """

    model_types: ClassVar[tuple[str, ...]]
    architectures: ClassVar[tuple[str, ...]]
    mean: ClassVar[tuple[float, float, float]]
    std: ClassVar[tuple[float, float, float]]

    weights: Path | None = Field(
        None, description="folder with config.json and model.safetensors, as transformers or timm save them"
    )

    @property
    def label(self) -> str:
        """The name and the first 8 digits of the hash of the weights, which distinguish networks of this kind."""
        return f"{self.name}-{self.weights_sha256()[:8]}"

    @property
    def resizing(self) -> str:
        """Anti-aliased bicubic to the input size."""
        return f"anti-aliased bicubic to {self.input_size}x{self.input_size}"

    @property
    def facts(self) -> dict[str, Any]:
        """The name of the network."""
        config = self.config()
        return {"network": str(config.get("architecture") or config.get("_name_or_path") or config["model_type"])}

    def weights_sha256(self) -> str:
        """Return the SHA-256 of the safetensors file, or for several files that of their names and hashes."""
        hashes = [
            (path.name, _hash_file(path, path.stat().st_size, path.stat().st_mtime_ns)) for path in self.files()
        ]
        if len(hashes) == 1:
            return hashes[0][1]
        return hashlib.sha256(json.dumps(hashes).encode()).hexdigest()

    def load(self, device: torch.device) -> Extractor:
        """Return the extractor, uint8 (N, C, H, W) to float32 (N, D).

        Raises:
            DataError: if the folder, the required library or a tensor is missing.
        """
        from noisette_plugins.features.extractor import extractor

        return extractor(self._network(), self._prepare, self.dimensions, device)

    def config(self) -> dict[str, Any]:
        """Return the checked contents of `config.json`.

        Raises:
            DataError: if the file is missing or invalid, or describes another network.
        """
        path = self._folder() / "config.json"
        try:
            config = _read_json(path)
        except OSError as error:
            raise DataError(f"{path}: expected {self._expected()}; {error.strerror}") from None
        kind, architecture = str(config.get("model_type", "")), str(config.get("architecture", ""))
        if kind in self.model_types or any(word in architecture for word in self.architectures):
            return check_config(config, path)
        came = kind or architecture or "neither of both"
        raise DataError(f"{path}: expected {self._expected()}; got {came:.80}")

    def files(self) -> list[Path]:
        """Return the weight files.

        Raises:
            DataError: if there are none.
        """
        self.config()
        found = sorted(self._folder().glob("model*.safetensors"))
        if not found:
            raise DataError(
                f"{self._folder()}: expected model.safetensors; there is none; pickled weights are never read: "
                "load them where you trust them, and save them as safetensors"
            )
        return found

    def _folder(self) -> Path:
        if self.weights is None:
            raise DataError(f"features {self.name}: expected weights: a folder with {self._expected()}")
        return self.weights.expanduser()

    def _expected(self) -> str:
        return (
            f"the config.json of a {' or '.join(self.model_types)} of transformers, or of a timm model of "
            f"{' or '.join(self.architectures)}, beside its model.safetensors"
        )

    def _network(self) -> nn.Module:
        from noisette_plugins.features import pretrained_network

        config, files = self.config(), self.files()
        if "architecture" in config:
            return pretrained_network.load_timm_network(config, files, self._timm_options(config))
        return pretrained_network.load_transformers_network(config, files)

    def _timm_options(self, config: dict[str, Any]) -> dict[str, Any]:
        """Return additional arguments for timm: the width of the last layer, 0 for none."""
        return {"num_classes": int(config.get("num_classes", 0))}

    def _prepare(self, images: Tensor) -> Tensor:
        import torch

        from noisette_plugins.features.extractor import clean

        size = self.input_size
        assert size is not None
        mean, std = (torch.tensor(values, device=images.device)[:, None, None] for values in self._colours())
        return (clean(images, size) / 255 - mean) / std

    def _colours(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return the mean and standard deviation of the colours, from the folder or the class."""
        colours = self.config().get("pretrained_cfg", {})
        path = self._folder() / "preprocessor_config.json"
        if path.is_file():
            colours = check_colours(_read_json(path), path)
        mean, std = colours.get("image_mean", colours.get("mean")), colours.get("image_std", colours.get("std"))
        return tuple(mean or self.mean), tuple(std or self.std)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: expected JSON; {error}") from None
    if not isinstance(read, dict):
        raise DataError(f"{path}: expected a JSON object; got {type(read).__name__}")
    return read


@cache
def _hash_file(path: Path, size: int, changed: int) -> str:
    """Return the SHA-256 of a file, cached by path, size and modification time."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_CHUNK):
            digest.update(block)
    return digest.hexdigest()
