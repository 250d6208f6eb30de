"""`noisette inpaint` and `noisette upscale`: pictures that a model completes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from noisette_flows.cli.generation import (
    PICTURE,
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

if TYPE_CHECKING:
    from noisette.figures import Filled

__all__ = ["inpaint", "upscale"]

Picture = Annotated[str, typer.Argument(metavar="PICTURE", help=PICTURE, show_default=False)]
Count = Annotated[int, typer.Option("--count", min=1, help="How many ways to complete the picture.")]


def inpaint(
    trained: Trained,
    picture: Picture,
    mask: Annotated[
        Path | None, typer.Option("--mask", help="A picture, white where PICTURE is to be filled in.")
    ] = None,
    place: Annotated[
        str | None,
        typer.Option("--box", metavar="LEFT,TOP,WIDTH,HEIGHT", help="What is filled in, in the model's pixels."),
    ] = None,
    count: Count = 4,
    jump: Annotated[int, typer.Option("--jump", min=1, help="Steps of a piece that is walked again.")] = 10,
    resample: Annotated[int, typer.Option("--resample", min=1, help="How often each piece is walked.")] = 10,
    become: OfClass = None,
    sampler: SamplerName = "ddpm",
    steps: Steps = 100,
    guidance: Guidance = None,
    seed: Seed = None,
    settings: Set = None,
    output: Output = "runs",
    to: To = None,
    json: AsJson = False,
) -> None:
    """Fill in a part of a picture, the middle if neither mask nor box is given (RePaint)."""
    if mask is not None and place is not None:
        raise typer.BadParameter("expected --mask or --box; got both")
    edges = numbers(place, int, "--box")
    if edges is not None and len(edges) != 4:
        raise typer.BadParameter(f"--box: expected LEFT,TOP,WIDTH,HEIGHT; got {place!r}")
    checkpoint = checkpoint_of(trained, settings, output)
    from noisette.figures import box, filled

    desk = Desk.open(checkpoint, sampler, steps, guidance, seed, to)
    source = desk.picture(picture)
    if mask is None:
        missing = box(source.shape[1:], None if edges is None else (edges[0], edges[1], edges[2], edges[3]))
    else:
        gallery = replace(desk.gallery, shape=(1, *source.shape[1:]))
        missing = gallery(str(mask))[0][0] >= 128
    result = filled(desk.painter, source, missing, count, become, jump=jump, resample=resample)
    _save(desk, f"inpaint-{named(Path(picture).stem)}", result)
    desk.tell(json)


def upscale(
    trained: Trained,
    picture: Picture,
    count: Count = 4,
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
    """Enlarge a picture with a model that was trained with training.low_res_size; a large one is made small."""
    checkpoint = checkpoint_of(trained, settings, output)
    from noisette.figures import open_picture, small_shape, upscaled

    desk = Desk.open(checkpoint, sampler, steps, guidance, seed, to)
    shape = small_shape(desk.painter)
    if Path(picture).exists() and max(open_picture(picture).size) <= max(shape[1:]):
        desk.gallery = replace(desk.gallery, shape=shape)
    _save(
        desk, f"upscale-{named(Path(picture).stem)}", upscaled(desk.painter, desk.picture(picture), count, become)
    )
    desk.tell(json)


def _save(desk: Desk, name: str, result: Filled) -> None:
    from noisette.figures import to_image

    desk.save(f"{name}.png", result.grid())
    for number, completed in enumerate(result.results):
        desk.save(f"{name}-{number}.png", to_image(completed))
