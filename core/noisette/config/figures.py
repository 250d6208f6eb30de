"""What the section `pictures` lists: pictures of the process, each with the options of how it is made.

    pictures:
      - denoise                                        # by its name alone, or with options:
      - {name: classes, guidance: [0, 0.5, 2], rows: 4}

They decide no weight and no number of a comparison: an experiment is the same with and without them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import BeforeValidator, Discriminator, Field, PositiveInt, ValidationError

from noisette.config.document import Section, named
from noisette.config.problems import nested, problems_of
from noisette.config.reference import SamplerRef, ScheduleRef
from noisette.errors import Problem
from noisette.plugins.registry import nearest

__all__ = [
    "Classes",
    "Denoise",
    "Edit",
    "Enlarge",
    "Forward",
    "Inpaint",
    "Interpolate",
    "Scene",
    "SceneRef",
    "TextToImage",
]

Step = Annotated[int, Field(ge=0)]
Steps = Annotated[tuple[Step, ...], Field(min_length=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Ways = Annotated[PositiveInt, Field(description="how many ways to complete the picture")]

_PICTURE = (
    "a file; package:sklearn/datasets/images/china.jpg, a file inside an installed package; test:3 or train:3, a "
    "prepared picture; or drawn:3, what the model draws"
)


class Scene(Section):
    """Base of what can be listed.

    Class attributes:
        needs_model: whether a trained network draws it.
    """

    needs_model: ClassVar[bool] = True

    name: str
    title: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._=,+-]{0,63}$",
        description="what its files are called; null: its name",
    )

    @property
    def label(self) -> str:
        """What its files are called."""
        return self.title or self.name

    @property
    def sources(self) -> tuple[str, ...]:
        """The pictures, files and folders that it begins at."""
        return ()


class Forward(Scene):
    """Pictures drowning in noise, a row a schedule; it needs no network and no training."""

    needs_model: ClassVar[bool] = False

    name: Literal["forward"] = "forward"
    pictures: Annotated[tuple[str, ...], Field(min_length=1)] = Field(("test:0",), description=f"each {_PICTURE}")
    schedules: tuple[ScheduleRef, ...] | None = Field(
        None, description="null: the experiment's, or without one every installed schedule that needs no options"
    )
    timesteps: PositiveInt | None = Field(None, description="T; null: the experiment's, or 1000")
    at: Steps | None = Field(None, description="steps that are shown; null spreads ten over the process")
    size: PositiveInt | None = Field(None, description="height and width that pictures are fitted to")

    @property
    def sources(self) -> tuple[str, ...]:
        """The pictures."""
        return self.pictures


class _Drawn(Scene):
    """Base of scenes that a sampler of the experiment's network draws."""

    sampler: SamplerRef = Field(named("ddim"), description="how the network draws")


class Denoise(_Drawn):
    """How pictures come out of noise: x_t and the x0 that the network sees in it, as a strip and an animation."""

    name: Literal["denoise"] = "denoise"
    count: PositiveInt = Field(4, description="how many pictures")
    at: Steps | None = Field(None, description="steps of the strip; null spreads ten over the walk")
    animate: bool = Field(True, description="as GIF and WebP too")
    frames: int = Field(60, ge=2, description="most frames of the animations")


class Classes(_Drawn):
    """A column a class, rows by guidance, as a grid and an animation; needs training.class_conditional."""

    name: Literal["classes"] = "classes"
    guidance: Annotated[tuple[Annotated[float, Field(ge=-1)], ...], Field(min_length=1)] = Field(
        (0.0, 0.5, 2.0), description="strengths of classifier-free guidance"
    )
    rows: PositiveInt = Field(2, description="pictures of each class for each strength")
    classes: tuple[str, ...] | None = Field(None, description="only these; null takes all")
    animate: bool = Field(True, description="as GIF and WebP too")
    frames: int = Field(60, ge=2, description="most frames of the animations")


class Edit(_Drawn):
    """A picture noised to some steps, from which the network walks back (SDEdit)."""

    name: Literal["edit"] = "edit"
    picture: str = Field("test:0", description=_PICTURE)
    at: Steps | None = Field(None, description="steps it is noised to; null takes four")
    become: str | None = Field(None, description="class that it becomes")

    @property
    def sources(self) -> tuple[str, ...]:
        """The picture."""
        return (self.picture,)


class Interpolate(_Drawn):
    """Pictures between two, noised alike and mixed (Ho et al. 2020, figures 8 and 9)."""

    name: Literal["interpolate"] = "interpolate"
    a: str = Field("test:0", description=_PICTURE)
    b: str = Field("test:1", description="the other, named as a is")
    at: Steps | None = Field(None, description="steps they are noised to; null takes those of the paper")
    mixes: Annotated[tuple[Share, ...], Field(min_length=1)] | None = Field(
        None, description="shares of b; null takes 0, 0.1 ... 1"
    )
    become: str | None = Field(None, description="class that all are told to be")

    @property
    def sources(self) -> tuple[str, ...]:
        """Both pictures."""
        return self.a, self.b


class Inpaint(_Drawn):
    """A picture whose missing part is filled in (RePaint)."""

    name: Literal["inpaint"] = "inpaint"
    sampler: SamplerRef = Field(named({"name": "ddpm", "steps": 100}), description="how the network draws")
    picture: str = Field("test:0", description=_PICTURE)
    mask: Path | None = Field(None, description="a picture, white where it is to be filled in")
    box: tuple[int, int, PositiveInt, PositiveInt] | None = Field(
        None, description="left, top, width and height of what is filled in; null and no mask: the middle half"
    )
    count: Ways = 4
    jump: PositiveInt = Field(10, description="steps of a piece that is walked again")
    resample: PositiveInt = Field(10, description="how often each piece is walked")
    become: str | None = Field(None, description="class of the picture")

    @property
    def sources(self) -> tuple[str, ...]:
        """The picture and the mask."""
        return (self.picture, *([str(self.mask)] if self.mask else []))


class Enlarge(_Drawn):
    """A small picture enlarged (SR3); needs training.low_res_size."""

    name: Literal["upscale"] = "upscale"
    picture: str = Field("test:0", description=f"{_PICTURE}; a large one is made small")
    count: Ways = 4
    become: str | None = Field(None, description="class of the picture")

    @property
    def sources(self) -> tuple[str, ...]:
        """The picture."""
        return (self.picture,)


class TextToImage(Scene):
    """Pictures for prompts, by a pretrained pipeline of diffusers; needs diffusers and transformers."""

    needs_model: ClassVar[bool] = False

    name: Literal["text-to-image"] = "text-to-image"
    pipeline: str = Field(description="a folder of a diffusers pipeline, or its name on the hub")
    revision: str | None = Field(None, description="branch, tag or commit on the hub; a commit never changes")
    prompts: Annotated[tuple[str, ...], Field(min_length=1)] = Field(description="what the pictures show")
    count: PositiveInt = Field(1, description="pictures of each prompt")
    steps: PositiveInt | None = Field(None, description="steps of the pipeline's sampler; null: its own default")
    guidance: float | None = Field(None, ge=0, description="its guidance_scale; null: its own default")
    size: PositiveInt | None = Field(None, description="height and width in pixels; null: its own default")
    precision: Literal["fp32", "fp16", "bf16"] = Field(
        "fp32",
        description="what it computes in; fp16 and bf16 take half the memory, and not every pipeline bears fp16",
    )

    @property
    def sources(self) -> tuple[str, ...]:
        """The pipeline."""
        return (self.pipeline,)


_Any = Forward | Denoise | Classes | Edit | Interpolate | Inpaint | Enlarge | TextToImage
_KNOWN: dict[str, type[Scene]] = {
    kind.model_fields["name"].default: kind
    for kind in (Forward, Denoise, Classes, Edit, Interpolate, Inpaint, Enlarge, TextToImage)
}


def _made(value: Any) -> Scene:
    """Make the scene that a config names."""
    if isinstance(value, Scene):
        return value
    options = {"name": value} if isinstance(value, str) else value
    name = options.get("name") if isinstance(options, dict) else None
    if not isinstance(name, str) or name not in _KNOWN:
        known, hint = ", ".join(_KNOWN), nearest(str(name), list(_KNOWN))
        raise nested(
            [Problem("", f"expected one of {known}, or a mapping with such a `name`; got {value!r}", hint)]
        )
    try:
        return _KNOWN[name].model_validate(options)
    except ValidationError as error:
        raise nested(problems_of(error, _KNOWN[name])) from None


_Named = Literal["forward", "denoise", "classes", "edit", "interpolate", "inpaint", "upscale"]
"""Those that need no option."""

SceneRef: TypeAlias = Annotated[
    _Any,
    Discriminator("name"),
    BeforeValidator(_made, json_schema_input_type=_Named | Annotated[_Any, Discriminator("name")]),
]
