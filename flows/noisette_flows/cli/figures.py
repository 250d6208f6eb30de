"""`noisette process`: pictures of the forward process and of how a model draws."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from pydantic_core import PydanticCustomError

from noisette import ConfigError, Experiment, Schedule
from noisette.config.reference import make_plugin
from noisette.config.yaml import parse_yaml
from noisette_flows.cli.generation import At, Desk, Guidance, SamplerName, Seed, Steps, To, named, numbers
from noisette_flows.cli.options import AsJson, Command, Output, Set, Trained, checkpoint_of, overrides_of
from noisette_flows.cli.runner import Order

if TYPE_CHECKING:
    from noisette.figures import Gallery

__all__ = ["forward", "process"]

process = typer.Typer(
    name="process", help="See what noise does to pictures, and how a model draws.", no_args_is_help=True
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
    int | None, typer.Option(min=1, help="Height and width that pictures are fitted to.", show_default=False)
]


def forward(
    picture: Annotated[str, typer.Argument(metavar="PICTURE", help="A picture file.", show_default=False)],
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
    """Noise a picture step by step, a row a schedule: needs no network and no training.

    `noisette process forward` does it with a config's schedule and prepared pictures.
    """
    forward_of(None, [picture], schedules, at, size, seed, None, output, to, json)


@process.command("forward", cls=Command)
def forward_of(
    config: Annotated[
        str | None,
        typer.Argument(metavar="[CONFIG]", help="YAML file of an experiment; not needed for a picture file."),
    ] = None,
    pictures: Annotated[
        list[str] | None,
        typer.Option("--picture", metavar="PICTURE", help="A file, or test:3 of the config's data; repeatable."),
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
    """Noise pictures step by step: needs no network and no training."""
    from noisette.figures import forward_strip

    if config is None and (not pictures or settings):
        raise typer.BadParameter("give a CONFIG, or a picture file with --picture")
    experiment = None if config is None else Order(config, overrides_of(settings), output).experiment()
    chosen = _schedules(schedules, experiment)
    timesteps = 1000 if experiment is None else experiment.timesteps
    tables = {name: schedule.process(timesteps) for name, schedule in chosen.items()}
    desk = Desk(to or Path(output) / "pictures", _gallery(experiment, Path(output), size))
    names = pictures or ["test:0"]
    shown = [desk.picture(name) for name in names]
    for name, picture in zip(names, shown, strict=True):
        strip = forward_strip(picture[None], tables, numbers(at, int, "--at"), seed)
        desk.save(f"forward-{named(Path(name).stem)}.png", strip)
    desk.tell(json)


@process.command("denoise", cls=Command)
def denoise(
    trained: Trained,
    count: Annotated[int, typer.Option(min=1, help="How many pictures.")] = 4,
    sampler: SamplerName = "ddim",
    steps: Steps = None,
    guidance: Guidance = None,
    frames: Annotated[int, typer.Option(min=2, help="Frames of the animations, at most.")] = 60,
    columns: Annotated[int, typer.Option(min=2, help="Columns of the strip, at most.")] = 10,
    seed: Seed = None,
    settings: Set = None,
    output: Output = "runs",
    to: To = None,
    json: AsJson = False,
) -> None:
    """Draw pictures and show how: x_t and the x0 that the model sees in it, as a strip and as GIF and WebP."""
    checkpoint = checkpoint_of(trained, settings, output)
    from noisette.figures import record

    desk = Desk.open(checkpoint, sampler, steps, guidance, seed, to)
    walk = record(desk.painter, range(count), frames=frames)
    name = f"denoising-{named(walk.label)}"
    desk.save(f"{name}.png", walk.strip(columns))
    desk.animate(name, walk.frames())
    desk.tell(json)


@process.command("classes", cls=Command)
def classes(
    trained: Trained,
    strengths: Annotated[
        str, typer.Option("--guidance", metavar="W,W,...", help="Strengths of classifier-free guidance.")
    ] = "0,0.5,2",
    rows: Annotated[int, typer.Option(min=1, help="Pictures of each class for each strength.")] = 2,
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
    """Draw each class, a column each, with several strengths of guidance; and how, as GIF and WebP."""
    checkpoint = checkpoint_of(trained, settings, output)
    from noisette.figures import ClassWalks

    desk = Desk.open(checkpoint, sampler, steps, None, seed, to)
    chosen = [name.strip() for name in only.split(",")] if only else None
    w = numbers(strengths, float, "--guidance") or []
    walks = ClassWalks.record(desk.painter, w, rows=rows, classes=chosen, frames=frames)
    name = f"classes-{named(desk.painter.sampler.label)}"
    desk.save(f"{name}.png", walks.grid())
    desk.animate(name, walks.frames())
    desk.tell(json)


def _schedules(text: str | None, experiment: Experiment | None) -> dict[str, Schedule]:
    """Return the schedules of an option by the names of their rows."""
    if text is None and experiment is not None:
        return {experiment.schedule.name: experiment.schedule}
    from noisette.figures import by_row, ready_schedules

    if text == "all":
        return by_row(ready_schedules())
    named = parse_yaml(f"[{text or 'linear, cosine'}]", f"--schedules {text}")
    return by_row(_made(value) for value in named)


def _made(value: Any) -> Schedule:
    try:
        return cast(Schedule, make_plugin("schedule", value))
    except PydanticCustomError as error:
        raise ConfigError("--schedules", (error.context or {})["problems"]) from None


def _gallery(experiment: Experiment | None, root: Path, size: int | None) -> Gallery:
    """Return where the pictures come from, as the experiment prepares them, or of `size`."""
    from noisette.figures import Gallery
    from noisette.layout import data_directory

    if experiment is None:
        return Gallery(shape=(None, size, size))
    preparation = experiment.preparation
    side = size or preparation.size
    return Gallery(lambda: data_directory(experiment, root), (preparation.channels, side, side), preparation.fit)
