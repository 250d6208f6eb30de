"""Validation of the config.json of a feature network: only bounded numbers and plain names are accepted.

Other fields are dropped, because transformers and timm could use them to load code from the Hub
(`attn_implementation`), other repositories (`hf-hub:` in an architecture) or other files (`checkpoint_path`), or to
quantize.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from noisette import DataError

__all__ = ["check_colours", "check_config"]

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
