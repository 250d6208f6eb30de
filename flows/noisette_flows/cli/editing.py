"""`noisette edit` and `noisette interpolate`: images that begin at other images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from noisette_flows.cli.generation import (
    IMAGE_HELP,
    At,
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

__all__ = ["edit", "interpolate"]


def edit(
    trained: Trained,
    image: Annotated[str, typer.Argument(metavar="IMAGE_HELP", help=IMAGE_HELP, show_default=False)],
    at: At = None,
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
    """Noise an image to some steps and let the model walk back (SDEdit): the larger the step, the freer."""
    checkpoint = resolve_checkpoint(trained, settings, output)
    from noisette.figures import edit_images, to_image

    session = GenerationSession.open(checkpoint, sampler, steps, guidance_scale, seed, to)
    edits = edit_images(
        session.generator, session.load_image(image)[None], parse_numbers(at, int, "--at"), class_name
    )
    name = f"edit-{file_stem(Path(image).stem)}"
    session.save(f"{name}.png", edits.grid())
    for step, result in zip(edits.steps, edits.results[0], strict=True):
        session.save(f"{name}-t{step}.png", to_image(result))
    session.print_files(json)


def interpolate(
    trained: Trained,
    a: Annotated[str, typer.Argument(metavar="A", help=IMAGE_HELP)] = "generated:0",
    b: Annotated[str, typer.Argument(metavar="B", help="The other image, named as A is.")] = "generated:1",
    at: At = None,
    mixes: Annotated[
        str | None,
        typer.Option(metavar="M,M,...", help="Shares of B; 0,0.1,...,1 if not said.", show_default=False),
    ] = None,
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
    """Draw images between two: both noised alike, mixed, and walked back; a row a step."""
    checkpoint = resolve_checkpoint(trained, settings, output)
    from noisette.figures import make_interpolation_grid
    from noisette.figures.editing import INTERPOLATION_WEIGHTS

    session = GenerationSession.open(checkpoint, sampler, steps, guidance_scale, seed, to)
    shares = parse_numbers(mixes, float, "--mixes") or INTERPOLATION_WEIGHTS
    sources = session.load_image(a), session.load_image(b)
    grid = make_interpolation_grid(session.generator, *sources, parse_numbers(at, int, "--at"), shares, class_name)
    session.save(f"interpolation-{file_stem(Path(a).stem)}-{file_stem(Path(b).stem)}.png", grid)
    session.print_files(json)
