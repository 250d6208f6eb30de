"""What commands that draw with a trained model share: the model, its sampler, pictures to begin from, and files.

desk = Desk.open(checkpoint_of(place, settings, output), sampler, steps, guidance, seed, to)
picture = desk.picture("cat.png")
desk.save("edit.png", edit_grid(desk.painter, picture[None]))
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
from noisette.comparison.choice import chosen

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    from noisette.figures import Gallery, Painter

__all__ = ["PICTURE", "At", "Desk", "Guidance", "OfClass", "SamplerName", "Seed", "Steps", "To", "named", "numbers"]

SamplerName = Annotated[str, typer.Option("--sampler", metavar="SAMPLER", help="Such as ddpm, or ddim:eta=1.")]
Steps = Annotated[
    int | None, typer.Option("--steps", min=1, help="Its steps; its own default if not said.", show_default=False)
]
Guidance = Annotated[
    float | None,
    typer.Option("--guidance", min=-1, help="Strength of classifier-free guidance.", show_default=False),
]
OfClass = Annotated[
    str | None,
    typer.Option("--class", metavar="NAME", help="What the pictures become, for a model with labels."),
]
Seed = Annotated[int | None, typer.Option("--seed", help="Seed of the noise; the experiment's if not said.")]
At = Annotated[
    str | None, typer.Option("--at", metavar="T,T,...", help="Steps of the process.", show_default=False)
]
PICTURE = "A file; or test:3, train:3 (prepared pictures); or drawn:3 (what the model draws)."
To = Annotated[Path | None, typer.Option("--to", metavar="FOLDER", help="Where the pictures go.")]

Number = TypeVar("Number", int, float)


@dataclass
class Desk:
    """A place to draw at.

    Attributes:
        folder: where files go.
        gallery: where pictures come from.
        trained: the model that draws; None at a desk without one.
        files: what was saved; notes: what a person should know of it.
    """

    folder: Path
    gallery: Gallery
    trained: Painter | None = None
    files: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @classmethod
    def open(
        cls,
        checkpoint: Checkpoint,
        sampler: str,
        steps: int | None,
        guidance: float | None,
        seed: int | None,
        to: Path | None,
    ) -> Desk:
        """Load a model; `sampler` is a name or ddim:eta=1; files go into the run's folder if not said."""
        from noisette.figures import Gallery, Painter

        painter = Painter.open(checkpoint, _sampler(sampler, steps, guidance), seed=seed)
        folder = to or checkpoint.run / "pictures"
        return cls(folder, Gallery.of(checkpoint, painter), painter)

    @property
    def painter(self) -> Painter:
        """The model that draws."""
        if self.trained is None:
            raise TypeError("there is no model at this desk")
        return self.trained

    def picture(self, name: str) -> NDArray[np.uint8]:
        """Return a picture by its name, uint8 (C, H, W); see `noisette.figures.Gallery`."""
        picture, done = self.gallery(name)
        if done:
            self.notes.append(f"{name}: {done}")
        return picture

    def save(self, name: str, image: Image.Image) -> None:
        """Save a picture as PNG under a name."""
        from noisette.images import save_png

        self.files.append(save_png(image, self.folder / name))

    def animate(self, name: str, frames: Iterable[Image.Image]) -> None:
        """Save frames as a GIF and as a WebP."""
        from noisette.figures import save_animation

        shown = list(frames)
        self.files += [save_animation(shown, self.folder / f"{name}{suffix}") for suffix in (".gif", ".webp")]

    def tell(self, json: bool) -> None:
        """Print the files, and the notes on standard error; or both as one JSON document."""
        if json:
            print(jsonlib.dumps({"files": [str(path) for path in self.files], "notes": self.notes}, indent=1))
            return
        for note in self.notes:
            print(note, file=sys.stderr)
        for path in self.files:
            print(path)


def numbers(text: str | None, kind: Callable[[str], Number], option: str) -> list[Number] | None:
    """Return the numbers of a list with commas.

    Raises:
        BadParameter: naming the option.
    """
    try:
        return None if text is None else [kind(part) for part in text.split(",")]
    except ValueError:
        what = "whole numbers" if kind is int else "numbers"
        raise typer.BadParameter(f"{option}: expected {what} with commas between; got {text!r}") from None


def named(text: str) -> str:
    """Return a label as part of a file's name."""
    return re.sub(r"[^A-Za-z0-9._=,+-]", "_", text)[:80]


def _sampler(text: str, steps: int | None, guidance: float | None) -> Sampler:
    """Return the sampler that a word or a mapping in YAML names, with the options that were given beside it."""
    (named,) = chosen([text])
    given = {"steps": steps, "guidance": guidance}
    changed = {key: value for key, value in given.items() if value is not None}
    return type(named).model_validate({**named.model_dump(exclude_unset=True), **changed})
