"""The section `figures`: a list of figures with their options.

    figures:
      - denoise                                        # the name alone, or with options:
      - {name: classes, guidance_scale: [1, 1.5, 3], rows: 4}

Figures do not affect training or evaluation.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import BeforeValidator, Discriminator, Field, PositiveInt, ValidationError

from noisette.config.document import Section, plugin_default
from noisette.config.problems import nest_problems, to_problems
from noisette.config.reference import SamplerRef, ScheduleRef
from noisette.errors import Problem
from noisette.plugins.registry import suggest

__all__ = [
    "Classes",
    "Denoise",
    "Edit",
    "Figure",
    "FigureRef",
    "Forward",
    "Inpaint",
    "Interpolate",
    "TextToImage",
    "Upscale",
]

Timesteps = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[PositiveInt, Field(description="number of completions")]

_IMAGE_SOURCE = (
    "a file; package:sklearn/datasets/images/china.jpg, a file inside an installed package; test:3 or train:3, a "
    "prepared image; or generated:3, an image of the model"
)


class Figure(Section):
    """Base of figures.

    Class attributes:
        needs_model: whether it needs a trained network.
    """

    needs_model: ClassVar[bool] = True

    name: str
    title: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._=,+-]{0,63}$",
        description="name of its files; null: the name of the figure",
    )

    @property
    def label(self) -> str:
        """The name of its files."""
        return self.title or self.name

    @property
    def sources(self) -> tuple[str, ...]:
        """The images, files and folders that it reads."""
        return ()


class Forward(Figure):
    """Images at several timesteps of the forward process, a row for each schedule; it needs no training."""

    needs_model: ClassVar[bool] = False

    name: Literal["forward"] = "forward"
    images: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        ("test:0",), description=f"each {_IMAGE_SOURCE}"
    )
    schedules: tuple[ScheduleRef, ...] | None = Field(
        None, description="null: the experiment's, or else every installed schedule that needs no options"
    )
    num_timesteps: PositiveInt | None = Field(None, description="T; null: the experiment's, or 1000")
    timesteps: Timesteps | None = Field(None, description="timesteps to show; null: ten, evenly spaced")
    chain: bool = Field(False, description="show below each row the Markov chain, noised step by step")
    size: PositiveInt | None = Field(None, description="height and width of the images in pixels")

    @property
    def sources(self) -> tuple[str, ...]:
        """The images."""
        return self.images


class _SampledFigure(Figure):
    """Base of figures of sampled images."""

    sampler: SamplerRef = Field(plugin_default("ddim"), description="the sampler")


class Denoise(_SampledFigure):
    """A sampler's trajectory: x_t and the predicted x0, as a strip and an animation."""

    name: Literal["denoise"] = "denoise"
    num_images: PositiveInt = Field(4, description="number of images")
    timesteps: Timesteps | None = Field(None, description="timesteps of the strip; null: ten, evenly spaced")
    animate: bool = Field(True, description="write GIF and WebP animations too")
    frames: int = Field(60, ge=2, description="maximum number of frames of the animations")


class Classes(_SampledFigure):
    """A grid with a column for each class and rows for each guidance scale; needs training.class_conditional."""

    name: Literal["classes"] = "classes"
    guidance_scale: Annotated[tuple[Annotated[float, Field(ge=0)], ...], Field(min_length=1)] = Field(
        (1.0, 1.5, 3.0), description="scales of classifier-free guidance; 1 is off"
    )
    rows: PositiveInt = Field(2, description="images of each class for each scale")
    classes: tuple[str, ...] | None = Field(None, description="names of classes; null: all")
    animate: bool = Field(True, description="write GIF and WebP animations too")
    frames: int = Field(60, ge=2, description="maximum number of frames of the animations")


class Edit(_SampledFigure):
    """An image noised to some timesteps and denoised again (SDEdit)."""

    name: Literal["edit"] = "edit"
    image: str = Field("test:0", description=_IMAGE_SOURCE)
    timesteps: Timesteps | None = Field(None, description="timesteps it is noised to; null: four")
    class_name: str | None = Field(None, description="class to generate")

    @property
    def sources(self) -> tuple[str, ...]:
        """The image."""
        return (self.image,)


class Interpolate(_SampledFigure):
    """Interpolations of two images noised with the same noise (Ho et al. 2020, figures 8 and 9)."""

    name: Literal["interpolate"] = "interpolate"
    first: str = Field("test:0", description=_IMAGE_SOURCE)
    second: str = Field("test:1", description="the second image")
    timesteps: Timesteps | None = Field(None, description="timesteps they are noised to; null: those of the paper")
    weights: Annotated[tuple[Fraction, ...], Field(min_length=1)] | None = Field(
        None, description="weights of the second image; null: 0, 0.1 ... 1"
    )
    class_name: str | None = Field(None, description="class to generate")

    @property
    def sources(self) -> tuple[str, ...]:
        """Both images."""
        return self.first, self.second


class Inpaint(_SampledFigure):
    """An image with a missing part filled in (RePaint)."""

    name: Literal["inpaint"] = "inpaint"
    sampler: SamplerRef = Field(plugin_default({"name": "ddpm", "steps": 100}), description="the sampler")
    image: str = Field("test:0", description=_IMAGE_SOURCE)
    mask: Path | None = Field(None, description="an image file, white where the image is filled in")
    box: tuple[int, int, PositiveInt, PositiveInt] | None = Field(
        None, description="left, top, width and height of the missing part; null without a mask: the middle half"
    )
    num_images: Count = 4
    jump_length: PositiveInt = Field(10, description="sampler steps of each forward jump (RePaint's j)")
    jump_n_sample: PositiveInt = Field(10, description="times each piece is sampled (RePaint's r); 1 never jumps")
    class_name: str | None = Field(None, description="class of the image")

    @property
    def sources(self) -> tuple[str, ...]:
        """The image and the mask."""
        return (self.image, *([str(self.mask)] if self.mask else []))


class Upscale(_SampledFigure):
    """A small image enlarged (SR3); needs training.low_res_size."""

    name: Literal["upscale"] = "upscale"
    image: str = Field("test:0", description=f"{_IMAGE_SOURCE}; a large one is scaled down")
    num_images: Count = 4
    class_name: str | None = Field(None, description="class of the image")

    @property
    def sources(self) -> tuple[str, ...]:
        """The image."""
        return (self.image,)


class TextToImage(Figure):
    """Images for prompts, from a pretrained diffusers pipeline; needs diffusers and transformers."""

    needs_model: ClassVar[bool] = False

    name: Literal["text-to-image"] = "text-to-image"
    pipeline: str = Field(description="folder of a diffusers pipeline, or its name on the hub")
    revision: str | None = Field(None, description="branch, tag or commit on the hub")
    prompts: Annotated[tuple[str, ...], Field(min_length=1)] = Field(description="prompts")
    num_images: PositiveInt = Field(1, description="images of each prompt")
    steps: PositiveInt | None = Field(
        None, description="steps of the pipeline's sampler; null: the pipeline's default"
    )
    guidance_scale: float | None = Field(None, ge=0, description="null: the pipeline's default")
    size: PositiveInt | None = Field(None, description="height and width in pixels; null: the pipeline's default")
    precision: Literal["fp32", "fp16", "bf16"] = Field(
        "fp32",
        description="precision; fp16 and bf16 use half the memory, and not every pipeline works in fp16",
    )

    @property
    def sources(self) -> tuple[str, ...]:
        """The pipeline."""
        return (self.pipeline,)


_AnyFigure = Forward | Denoise | Classes | Edit | Interpolate | Inpaint | Upscale | TextToImage
_FIGURES: dict[str, type[Figure]] = {
    kind.model_fields["name"].default: kind
    for kind in (Forward, Denoise, Classes, Edit, Interpolate, Inpaint, Upscale, TextToImage)
}


def _make_figure(value: Any) -> Figure:
    """Return the figure of an entry of the list."""
    if isinstance(value, Figure):
        return value
    options = {"name": value} if isinstance(value, str) else value
    name = options.get("name") if isinstance(options, dict) else None
    if not isinstance(name, str) or name not in _FIGURES:
        known, hint = ", ".join(_FIGURES), suggest(str(name), list(_FIGURES))
        raise nest_problems(
            [Problem("", f"expected one of {known}, or a mapping with such a `name`; got {value!r}", hint)]
        )
    try:
        return _FIGURES[name].model_validate(options)
    except ValidationError as error:
        raise nest_problems(to_problems(error, _FIGURES[name])) from None


_OptionlessName = Literal["forward", "denoise", "classes", "edit", "interpolate", "inpaint", "upscale"]
"""Figures without required options."""

FigureRef: TypeAlias = Annotated[
    _AnyFigure,
    Discriminator("name"),
    BeforeValidator(
        _make_figure, json_schema_input_type=_OptionlessName | Annotated[_AnyFigure, Discriminator("name")]
    ),
]
