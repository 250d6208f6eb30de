"""`noisette process`: images of the forward process and of how a model draws."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from pydantic_core import PydanticCustomError

from noisette import ConfigError, Experiment, Schedule
from noisette.config.reference import make_plugin
from noisette.config.yaml import parse_yaml
from noisette_flows.cli.generation import (
    At,
    GenerationSession,
    Guidance,
    SamplerName,
    Seed,
    Steps,
    To,
    file_stem,
    parse_numbers,
)
from noisette_flows.cli.options import AsJson, Command, Output, Set, Trained, parse_settings, resolve_checkpoint
from noisette_flows.cli.runner import FlowRequest

if TYPE_CHECKING:
    from noisette.figures import ImageLoader

__all__ = ["forward", "process"]

process = typer.Typer(
    name="process", help="See what noise does to images, and how a model draws.", no_args_is_help=True
)


Schedules = Annotated[
    str | None,
    typer.Option(
        metavar="NAME,NAME,...",
        help='Such as linear,cosine or "linear, {name: sigmoid, tau: 0.5}"; "all" takes every one. '
        "Default: the config's.",
        show_default=False,
    ),
]
Size = Annotated[
    int | None, typer.Option(min=1, help="Height and width that images are fitted to.", show_default=False)
]


def forward(
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="An image file.", show_default=False)],
    schedules: Annotated[
        str, typer.Option(metavar="NAME,NAME,...", help='Such as linear,cosine; "all" takes every one.')
    ] = "all",
    at: At = None,
    size: Size = None,
    seed: Annotated[int, typer.Option(help="Seed of the noise.")] = 0,
    output: Output = "runs",
    to: To = None,
    json: AsJson = False,
) -> None:
    """Noise an image step by step, a row a schedule: needs no network and no training.

    `noisette process forward` does it with a config's schedule and prepared images.
    """
    process_forward(None, [image], schedules, at, size, seed, None, output, to, json)


@process.command("forward", cls=Command)
def process_forward(
    config: Annotated[
        str | None,
        typer.Argument(metavar="[CONFIG]", help="YAML file of an experiment; not needed for an image file."),
    ] = None,
    images: Annotated[
        list[str] | None,
        typer.Option("--image", metavar="IMAGE", help="A file, or test:3 of the config's data; repeatable."),
    ] = None,
    schedules: Schedules = None,
    at: At = None,
    size: Size = None,
    seed: Annotated[int, typer.Option(help="Seed of the noise.")] = 0,
    settings: Set = None,
    output: Output = "runs",
    to: To = None,
    json: AsJson = False,
) -> None:
    """Noise images step by step: needs no network and no training."""
    from noisette.figures import make_forward_strip

    if config is None and (not images or settings):
        raise typer.BadParameter("give a CONFIG, or an image file with --image")
    experiment = None if config is None else FlowRequest(config, parse_settings(settings), output).experiment
    chosen = _parse_schedules(schedules, experiment)
    timesteps = 1000 if experiment is None else experiment.timesteps
    processes = {name: schedule.process(timesteps) for name, schedule in chosen.items()}
    session = GenerationSession(to or Path(output) / "figures", _gallery(experiment, Path(output), size))
    names = images or ["test:0"]
    shown = [session.load_image(name) for name in names]
    for name, image in zip(names, shown, strict=True):
        strip = make_forward_strip(image[None], processes, parse_numbers(at, int, "--at"), seed)
        session.save(f"forward-{file_stem(Path(name).stem)}.png", strip)
    session.print_files(json)


@process.command("denoise", cls=Command)
def denoise(
    trained: Trained,
    count: Annotated[int, typer.Option(min=1, help="How many images.")] = 4,
    sampler: SamplerName = "ddim",
    steps: Steps = None,
    guidance_scale: Guidance = None,
    frames: Annotated[int, typer.Option(min=2, help="Frames of the animations, at most.")] = 60,
    columns: Annotated[int, typer.Option(min=2, help="Columns of the strip, at most.")] = 10,
    seed: Seed = None,
    settings: Set = None,
    output: Output = "runs",
    to: To = None,
    json: AsJson = False,
) -> None:
    """Draw images and show how: x_t and the x0 that the model sees in it, as a strip and as GIF and WebP."""
    checkpoint = resolve_checkpoint(trained, settings, output)
    from noisette.figures import record_trajectory

    session = GenerationSession.open(checkpoint, sampler, steps, guidance_scale, seed, to)
    trajectory = record_trajectory(session.generator, range(count), frames=frames)
    name = f"denoising-{file_stem(trajectory.label)}"
    session.save(f"{name}.png", trajectory.strip(columns))
    session.save_frames(name, trajectory.frames())
    session.print_files(json)


@process.command("classes", cls=Command)
def classes(
    trained: Trained,
    scales: Annotated[
        str,
        typer.Option("--guidance-scale", metavar="X,X,...", help="Scales of classifier-free guidance; 1 is off."),
    ] = "1,1.5,3",
    rows: Annotated[int, typer.Option(min=1, help="Images of each class for each scale.")] = 2,
    only: Annotated[
        str | None,
        typer.Option("--classes", metavar="NAME,NAME,...", help="Only these classes.", show_default=False),
    ] = None,
    sampler: SamplerName = "ddim",
    steps: Steps = None,
    frames: Annotated[int, typer.Option(min=2, help="Frames of the animations, at most.")] = 60,
    seed: Seed = None,
    settings: Set = None,
    output: Output = "runs",
    to: To = None,
    json: AsJson = False,
) -> None:
    """Draw each class, a column each, at several guidance scales; and how, as GIF and WebP."""
    checkpoint = resolve_checkpoint(trained, settings, output)
    from noisette.figures import ClassTrajectories

    session = GenerationSession.open(checkpoint, sampler, steps, None, seed, to)
    chosen = [name.strip() for name in only.split(",")] if only else None
    chosen_scales = parse_numbers(scales, float, "--guidance-scale") or []
    trajectories = ClassTrajectories.record(
        session.generator, chosen_scales, rows=rows, classes=chosen, frames=frames
    )
    name = f"classes-{file_stem(session.generator.sampler.label)}"
    session.save(f"{name}.png", trajectories.grid())
    session.save_frames(name, trajectories.frames())
    session.print_files(json)


def _parse_schedules(text: str | None, experiment: Experiment | None) -> dict[str, Schedule]:
    """Return the schedules of an option by the names of their rows."""
    if text is None and experiment is not None:
        return {experiment.schedule.name: experiment.schedule}
    from noisette.figures import default_schedules, label_schedules

    if text == "all":
        return label_schedules(default_schedules())
    values = parse_yaml(f"[{text or 'linear, cosine'}]", f"--schedules {text}")
    return label_schedules(_build_schedule(value) for value in values)


def _build_schedule(value: Any) -> Schedule:
    try:
        return cast(Schedule, make_plugin("schedule", value))
    except PydanticCustomError as error:
        raise ConfigError("--schedules", (error.context or {})["problems"]) from None


def _gallery(experiment: Experiment | None, root: Path, size: int | None) -> ImageLoader:
    """Return where the images come from, as the experiment prepares them, or of `size`."""
    from noisette.figures import ImageLoader
    from noisette.layout import data_directory

    if experiment is None:
        return ImageLoader(shape=(None, size, size))
    preparation = experiment.preparation
    side = size or preparation.size
    return ImageLoader(
        lambda: data_directory(experiment, root), (preparation.channels, side, side), preparation.fit
    )
