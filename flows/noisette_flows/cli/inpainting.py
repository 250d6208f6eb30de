"""`noisette inpaint` and `noisette upscale`: images that a model completes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from noisette_flows.cli.generation import (
    IMAGE_HELP,
    ClassName,
    GenerationSession,
    Guidance,
    SamplerName,
    Seed,
    Steps,
    To,
    file_stem,
    parse_numbers,
)
from noisette_flows.cli.options import AsJson, Output, Set, Trained, resolve_checkpoint

if TYPE_CHECKING:
    from noisette.figures import Completion

__all__ = ["inpaint", "upscale"]

Image = Annotated[str, typer.Argument(metavar="IMAGE_HELP", help=IMAGE_HELP, show_default=False)]
Count = Annotated[int, typer.Option("--count", min=1, help="How many ways to complete the image.")]


def inpaint(
    trained: Trained,
    image: Image,
    mask: Annotated[
        Path | None, typer.Option("--mask", help="An image, white where IMAGE is to be filled in.")
    ] = None,
    place: Annotated[
        str | None,
        typer.Option("--box", metavar="LEFT,TOP,WIDTH,HEIGHT", help="What is filled in, in the model's pixels."),
    ] = None,
    count: Count = 4,
    jump: Annotated[int, typer.Option("--jump", min=1, help="Steps of a piece that is walked again.")] = 10,
    resample: Annotated[int, typer.Option("--resample", min=1, help="How often each piece is walked.")] = 10,
    class_name: ClassName = None,
    sampler: SamplerName = "ddpm",
    steps: Steps = 100,
    guidance_scale: Guidance = None,
    seed: Seed = None,
    settings: Set = None,
    output: Output = "runs",
    to: To = None,
    json: AsJson = False,
) -> None:
    """Fill in a part of an image, the middle if neither mask nor box is given (RePaint)."""
    if mask is not None and place is not None:
        raise typer.BadParameter("expected --mask or --box; got both")
    edges = parse_numbers(place, int, "--box")
    if edges is not None and len(edges) != 4:
        raise typer.BadParameter(f"--box: expected LEFT,TOP,WIDTH,HEIGHT; got {place!r}")
    checkpoint = resolve_checkpoint(trained, settings, output)
    from noisette.figures import box_mask, inpaint_image

    session = GenerationSession.open(checkpoint, sampler, steps, guidance_scale, seed, to)
    source = session.load_image(image)
    if mask is None:
        missing = box_mask(source.shape[1:], None if edges is None else (edges[0], edges[1], edges[2], edges[3]))
    else:
        image_loader = replace(session.image_loader, shape=(1, *source.shape[1:]))
        missing = image_loader(str(mask))[0][0] >= 128
    result = inpaint_image(
        session.generator, source, missing, count, class_name, jump_length=jump, jump_n_sample=resample
    )
    _save(session, f"inpaint-{file_stem(Path(image).stem)}", result)
    session.print_files(json)


def upscale(
    trained: Trained,
    image: Image,
    count: Count = 4,
    class_name: ClassName = None,
    sampler: SamplerName = "ddim",
    steps: Steps = None,
    guidance_scale: Guidance = None,
    seed: Seed = None,
    settings: Set = None,
    output: Output = "runs",
    to: To = None,
    json: AsJson = False,
) -> None:
    """Enlarge an image with a model that was trained with training.low_res_size; a large one is made small."""
    checkpoint = resolve_checkpoint(trained, settings, output)
    from noisette.figures import low_res_shape, open_image, upscale_image

    session = GenerationSession.open(checkpoint, sampler, steps, guidance_scale, seed, to)
    shape = low_res_shape(session.generator)
    if Path(image).exists() and max(open_image(image).size) <= max(shape[1:]):
        session.image_loader = replace(session.image_loader, shape=shape)
    _save(
        session,
        f"upscale-{file_stem(Path(image).stem)}",
        upscale_image(session.generator, session.load_image(image), count, class_name),
    )
    session.print_files(json)


def _save(session: GenerationSession, name: str, result: Completion) -> None:
    from noisette.figures import to_image

    session.save(f"{name}.png", result.grid())
    for number, completed in enumerate(result.results):
        session.save(f"{name}-{number}.png", to_image(completed))
