"""`noisette edit` and `noisette interpolate`: pictures that begin at other pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from noisette_flows.cli.generation import (
    PICTURE,
    At,
    Desk,
    Guidance,
    OfClass,
    SamplerName,
    Seed,
    Steps,
    To,
    named,
    numbers,
)
from noisette_flows.cli.options import AsJson, Output, Set, Trained, checkpoint_of

__all__ = ["edit", "interpolate"]


def edit(
    trained: Trained,
    picture: Annotated[str, typer.Argument(metavar="PICTURE", help=PICTURE, show_default=False)],
    at: At = None,
    become: OfClass = None,
    sampler: SamplerName = "ddim",
    steps: Steps = None,
    guidance: Guidance = None,
    seed: Seed = None,
    settings: Set = None,
    output: Output = "runs",
    to: To = None,
    json: AsJson = False,
) -> None:
    """Noise a picture to some steps and let the model walk back (SDEdit): the larger the step, the freer."""
    checkpoint = checkpoint_of(trained, settings, output)
    from noisette.figures import edited, to_image

    desk = Desk.open(checkpoint, sampler, steps, guidance, seed, to)
    edits = edited(desk.painter, desk.picture(picture)[None], numbers(at, int, "--at"), become)
    name = f"edit-{named(Path(picture).stem)}"
    desk.save(f"{name}.png", edits.grid())
    for step, result in zip(edits.steps, edits.results[0], strict=True):
        desk.save(f"{name}-t{step}.png", to_image(result))
    desk.tell(json)


def interpolate(
    trained: Trained,
    a: Annotated[str, typer.Argument(metavar="A", help=PICTURE)] = "drawn:0",
    b: Annotated[str, typer.Argument(metavar="B", help="The other picture, named as A is.")] = "drawn:1",
    at: At = None,
    mixes: Annotated[
        str | None,
        typer.Option(metavar="M,M,...", help="Shares of B; 0,0.1,...,1 if not said.", show_default=False),
    ] = None,
    become: OfClass = None,
    sampler: SamplerName = "ddim",
    steps: Steps = None,
    guidance: Guidance = None,
    seed: Seed = None,
    settings: Set = None,
    output: Output = "runs",
    to: To = None,
    json: AsJson = False,
) -> None:
    """Draw pictures between two: both noised alike, mixed, and walked back; a row a step."""
    checkpoint = checkpoint_of(trained, settings, output)
    from noisette.figures import interpolation_grid
    from noisette.figures.editing import MIXES

    desk = Desk.open(checkpoint, sampler, steps, guidance, seed, to)
    shares = numbers(mixes, float, "--mixes") or MIXES
    sources = desk.picture(a), desk.picture(b)
    grid = interpolation_grid(desk.painter, *sources, numbers(at, int, "--at"), shares, become)
    desk.save(f"interpolation-{named(Path(a).stem)}-{named(Path(b).stem)}.png", grid)
    desk.tell(json)
