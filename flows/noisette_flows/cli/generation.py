"""What commands that draw with a trained model share: the model, its sampler, images to begin from, and files.

desk = Desk.open(checkpoint_of(place, settings, output), sampler, steps, guidance_scale, seed, to)
image = desk.image("cat.png")
desk.save("edit.png", edit_grid(desk.painter, image[None]))
desk.tell(json)
"""

from __future__ import annotations

import json as jsonlib
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from noisette import Sampler
from noisette.checkpoint import Checkpoint
from noisette.comparison.samplers import parse_samplers

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    from noisette.figures import ImageGenerator, ImageLoader

__all__ = [
    "IMAGE_HELP",
    "At",
    "ClassName",
    "GenerationSession",
    "Guidance",
    "SamplerName",
    "Seed",
    "Steps",
    "To",
    "file_stem",
    "parse_numbers",
]

SamplerName = Annotated[str, typer.Option("--sampler", metavar="SAMPLER", help="Such as ddpm, or ddim:eta=1.")]
Steps = Annotated[
    int | None, typer.Option("--steps", min=1, help="Its steps; its own default if not said.", show_default=False)
]
Guidance = Annotated[
    float | None,
    typer.Option(
        "--guidance-scale", min=0, help="Scale of classifier-free guidance; 1 is off.", show_default=False
    ),
]
ClassName = Annotated[
    str | None,
    typer.Option("--class", metavar="NAME", help="What the images become, for a model with labels."),
]
Seed = Annotated[int | None, typer.Option("--seed", help="Seed of the noise; the experiment's if not said.")]
At = Annotated[
    str | None, typer.Option("--at", metavar="T,T,...", help="Steps of the process.", show_default=False)
]
IMAGE_HELP = "A file; or test:3, train:3 (prepared images); or generated:3 (what the model draws)."
To = Annotated[Path | None, typer.Option("--to", metavar="FOLDER", help="Where the images go.")]

Number = TypeVar("Number", int, float)


@dataclass
class GenerationSession:
    """A place to draw at.

    Attributes:
        folder: where files go.
        image_loader: where images come from.
        trained: the model that draws; None at a desk without one.
        files: what was saved; notes: what a person should know of it.
    """

    folder: Path
    image_loader: ImageLoader
    trained: ImageGenerator | None = None
    files: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @classmethod
    def open(
        cls,
        checkpoint: Checkpoint,
        sampler: str,
        steps: int | None,
        guidance_scale: float | None,
        seed: int | None,
        to: Path | None,
    ) -> GenerationSession:
        """Load a model; `sampler` is a name or ddim:eta=1; files go into the run's folder if not said."""
        from noisette.figures import ImageGenerator, ImageLoader

        generator = ImageGenerator.open(checkpoint, _sampler(sampler, steps, guidance_scale), seed=seed)
        folder = to or checkpoint.run / "figures"
        return cls(folder, ImageLoader.of(checkpoint, generator), generator)

    @property
    def generator(self) -> ImageGenerator:
        """The model that draws."""
        if self.trained is None:
            raise TypeError("there is no model at this desk")
        return self.trained

    def load_image(self, name: str) -> NDArray[np.uint8]:
        """Return an image by its name, uint8 (C, H, W); see `noisette.figures.ImageLoader`."""
        image, done = self.image_loader(name)
        if done:
            self.notes.append(f"{name}: {done}")
        return image

    def save(self, name: str, image: Image.Image) -> None:
        """Save an image as PNG under a name."""
        from noisette.images import save_png

        self.files.append(save_png(image, self.folder / name))

    def save_frames(self, name: str, frames: Iterable[Image.Image]) -> None:
        """Save frames as a GIF and as a WebP."""
        from noisette.figures import save_animation

        shown = list(frames)
        self.files += [save_animation(shown, self.folder / f"{name}{suffix}") for suffix in (".gif", ".webp")]

    def print_files(self, json: bool) -> None:
        """Print the files, and the notes on standard error; or both as one JSON document."""
        if json:
            print(jsonlib.dumps({"files": [str(path) for path in self.files], "notes": self.notes}, indent=1))
            return
        for note in self.notes:
            print(note, file=sys.stderr)
        for path in self.files:
            print(path)


def parse_numbers(text: str | None, kind: Callable[[str], Number], option: str) -> list[Number] | None:
    """Return the numbers of a list with commas.

    Raises:
        BadParameter: naming the option.
    """
    try:
        return None if text is None else [kind(part) for part in text.split(",")]
    except ValueError:
        what = "whole numbers" if kind is int else "numbers"
        raise typer.BadParameter(f"{option}: expected {what} with commas between; got {text!r}") from None


def file_stem(text: str) -> str:
    """Return a label as part of a file's name."""
    return re.sub(r"[^A-Za-z0-9._=,+-]", "_", text)[:80]


def _sampler(text: str, steps: int | None, guidance_scale: float | None) -> Sampler:
    """Return the sampler that a word or a mapping in YAML names, with the options that were given beside it."""
    (base,) = parse_samplers([text])
    given = {"steps": steps, "guidance_scale": guidance_scale}
    changed = {key: value for key, value in given.items() if value is not None}
    return type(base).model_validate({**base.model_dump(exclude_unset=True), **changed})
