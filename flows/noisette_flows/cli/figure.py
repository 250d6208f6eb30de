"""`noisette figure KIND`: one figure from options, as a config lists it under `figures`."""

from __future__ import annotations

import inspect
import json as jsonlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from noisette import ConfigError, Sampler
from noisette.comparison.samplers import parse_samplers
from noisette.config.consistency import cap_steps
from noisette.config.figures import Classes, Denoise, Edit, Figure, Forward, Inpaint, Interpolate, Upscale
from noisette.config.problems import to_problems
from noisette.config.yaml import parse_yaml
from noisette.formatting import slug
from noisette_flows.cli.options import AsJson, Command, Output, Set, Trained, parse_settings, resolve_checkpoint
from noisette_flows.cli.runner import FlowRequest

__all__ = ["figure", "make_sampler", "print_files"]

figure = typer.Typer(
    name="figure", help="Make one figure: of the forward process, or with a trained network.", no_args_is_help=True
)


def _parse_integers(text: str) -> tuple[int, ...]:
    try:
        return tuple(map(int, text.split(",")))
    except ValueError:
        raise typer.BadParameter(f"expected whole numbers with commas between; got {text!r}") from None


def _parse_numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(map(float, text.split(",")))
    except ValueError:
        raise typer.BadParameter(f"expected numbers with commas between; got {text!r}") from None


def _parse_box(text: str) -> tuple[int, ...]:
    box = _parse_integers(text)
    if len(box) != 4:
        raise typer.BadParameter(f"expected LEFT,TOP,WIDTH,HEIGHT; got {text!r}")
    return box


def _parse_names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(","))


def _option(name: str, metavar: str | None, text: str, **options: Any) -> Any:
    return typer.Option(name, metavar=metavar, help=text, show_default=False, **options)


_SOURCE = "File; or test:3 or train:3, a prepared image; or generated:3, an image of the model."
Image = Annotated[str, typer.Argument(metavar="IMAGE", help=_SOURCE, show_default=False)]
ClassName = Annotated[str | None, _option("--class", "NAME", "Class to generate. Default: none.")]
NumImages = Annotated[int, typer.Option("--num-images", min=1, help="Number of images.")]
Frames = Annotated[int, typer.Option("--frames", min=2, help="Maximum number of frames of the animations.")]
Timesteps = Annotated[
    str | None,
    _option("--timesteps", "T,T,...", "Timesteps. Default: some over the process.", parser=_parse_integers),
]
To = Annotated[Path | None, _option("--to", "FOLDER", "Folder for the files. Default: figures in the run's.")]


@figure.command("forward", cls=Command)
def forward(
    images: Annotated[
        list[str] | None,
        typer.Argument(metavar="IMAGE...", help="Files; with --config also test:3 or train:3.", show_default=False),
    ] = None,
    config: Annotated[
        str | None,
        _option("--config", "CONFIG", "YAML file of an experiment, for its images and schedule. Default: none."),
    ] = None,
    schedules: Annotated[
        str | None,
        _option("--schedules", "LIST", "Schedules, such as linear,cosine, or all. Default: the config's, or all."),
    ] = None,
    timesteps: Timesteps = None,
    chain: Annotated[
        bool, typer.Option("--chain", help="Show below each row the chain, noised step by step.")
    ] = False,
    size: Annotated[
        int | None, _option("--size", None, "Height and width of the images. Default: their own.", min=1)
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the noise.")] = 0,
    settings: Set = None,
    output: Output = "runs",
    to: Annotated[
        Path | None, _option("--to", "FOLDER", "Folder for the files. Default: figures in that of all results.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Add noise to images, a row for each schedule; no network is needed."""
    if config is None and (not images or settings):
        raise typer.BadParameter(
            "expected an IMAGE, or --config CONFIG to take images from and to change with --set"
        )
    names = tuple(images or ["test:0"])
    options = {"images": names, "schedules": _parse_schedules(schedules), "timesteps": timesteps, "size": size}
    options["chain"] = chain
    description = _describe(Forward, options, names if len(names) == 1 else ())
    experiment = None if config is None else FlowRequest(config, parse_settings(settings), output).experiment
    from noisette.figures import render_figure

    folder = to or Path(output) / "figures"
    rendered = render_figure(description, folder, experiment=experiment, root=output, seed=seed)
    print_files(rendered.files, rendered.notes, json)


def _parse_schedules(text: str | None) -> Any:
    if text != "all":
        return None if text is None else parse_yaml(f"[{text}]", f"--schedules {text}")
    from noisette.figures import default_schedules

    return tuple(default_schedules())


def _add_command(kind: type[Figure]) -> Callable[[Callable[..., None]], None]:
    """Return a decorator that adds `noisette figure KIND`.

    The function's parameters are the options of the figure, its docstring is the help. The command has the
    options of `_render` too.
    """

    def register(options: Callable[..., None]) -> None:
        own = inspect.signature(options, eval_str=True).parameters
        _, checkpoint, _, *common = inspect.signature(_render, eval_str=True).parameters.values()

        def command(**values: Any) -> None:
            _render(kind, values.pop("checkpoint"), {name: values.pop(name) for name in own}, **values)

        parameters = [checkpoint, *own.values(), *(it for it in common if it.name not in own)]
        keywords = [it.replace(kind=inspect.Parameter.KEYWORD_ONLY) for it in parameters]
        command.__signature__ = inspect.Signature(keywords)  # type: ignore[attr-defined]
        command.__annotations__ = {it.name: it.annotation for it in parameters}
        command.__doc__ = options.__doc__
        figure.command(options.__name__, cls=Command)(command)

    return register


def _render(
    kind: type[Figure],
    checkpoint: Trained,
    options: dict[str, Any],
    sampler: Annotated[
        str, typer.Option("--sampler", metavar="SAMPLER", help="Sampler, such as ddim:eta=1.")
    ] = "ddim",
    steps: Annotated[int | None, _option("--steps", None, "Sampling steps. Default: the sampler's.", min=1)] = None,
    guidance_scale: Annotated[
        float | None,
        _option("--guidance-scale", None, "Scale of guidance; 1 is off. Default: the sampler's.", min=0),
    ] = None,
    seed: Annotated[int | None, _option("--seed", None, "Seed of the noise. Default: the experiment's.")] = None,
    settings: Set = None,
    output: Output = "runs",
    to: To = None,
    json: AsJson = False,
) -> None:
    if options.get("mask") is not None and options.get("box") is not None:
        raise typer.BadParameter("expected --mask or --box; got both")
    trained = resolve_checkpoint(checkpoint, settings, output)
    given = make_sampler(options.pop("sampler", sampler), options.pop("steps", steps), guidance_scale)
    chosen = cap_steps(given, trained.about["experiment"]["timesteps"])
    names = [options[key] for key in ("image", "first", "second") if key in options] or [chosen.label]
    description = _describe(kind, {**options, "sampler": chosen}, names)
    from noisette.figures import render_figure

    rendered = render_figure(description, to or trained.run / "figures", checkpoint=trained, seed=seed)
    print_files([*rendered.files, *rendered.single_images], rendered.notes, json)


@_add_command(Denoise)
def denoise(num_images: NumImages = 4, timesteps: Timesteps = None, frames: Frames = 60) -> None:
    """Show how images are generated: x_t and the predicted x0, as PNG, GIF and WebP."""


@_add_command(Classes)
def classes(
    guidance_scale: Annotated[
        str,
        typer.Option(
            "--guidance-scale",
            metavar="X,X,...",
            help="Scales of classifier-free guidance; 1 is off.",
            parser=_parse_numbers,
        ),
    ] = "1,1.5,3",
    rows: Annotated[int, typer.Option("--rows", min=1, help="Images of each class for each scale.")] = 2,
    classes: Annotated[
        str | None, _option("--classes", "NAME,NAME,...", "Classes. Default: all.", parser=_parse_names)
    ] = None,
    frames: Frames = 60,
) -> None:
    """Generate images of each class, a column each, at several guidance scales, as PNG, GIF and WebP."""


@_add_command(Edit)
def edit(image: Image, timesteps: Timesteps = None, class_name: ClassName = None) -> None:
    """Add noise to an image up to some timesteps, then denoise it (SDEdit); later timesteps change more."""


@_add_command(Interpolate)
def interpolate(
    first: Annotated[str, typer.Argument(metavar="FIRST", help=_SOURCE)] = "generated:0",
    second: Annotated[str, typer.Argument(metavar="SECOND", help=_SOURCE)] = "generated:1",
    timesteps: Timesteps = None,
    weights: Annotated[
        str | None,
        _option("--weights", "W,W,...", "Weights of SECOND. Default: 0,0.1,...,1.", parser=_parse_numbers),
    ] = None,
    class_name: ClassName = None,
) -> None:
    """Interpolate between two images: add the same noise to both, mix and denoise them, a row for each timestep."""


@_add_command(Inpaint)
def inpaint(
    image: Image,
    mask: Annotated[
        Path | None, _option("--mask", "FILE", "Image that is white where IMAGE is filled in. Default: the box.")
    ] = None,
    box: Annotated[
        str | None,
        _option(
            "--box",
            "LEFT,TOP,WIDTH,HEIGHT",
            "Box to fill in, in pixels of the model. Default: the middle.",
            parser=_parse_box,
        ),
    ] = None,
    num_images: NumImages = 4,
    jump_length: Annotated[
        int, typer.Option("--jump-length", min=1, help="Sampling steps of each jump back to more noise.")
    ] = 10,
    jump_n_sample: Annotated[
        int, typer.Option("--jump-n-sample", min=1, help="Times that each part of the trajectory is sampled.")
    ] = 10,
    class_name: ClassName = None,
    sampler: Annotated[
        str, typer.Option("--sampler", metavar="SAMPLER", help="Sampler, such as ddim:eta=1.")
    ] = "ddpm",
    steps: Annotated[int, typer.Option("--steps", min=1, help="Sampling steps.")] = 100,
) -> None:
    """Fill in a part of an image (RePaint)."""


@_add_command(Upscale)
def upscale(image: Image, num_images: NumImages = 4, class_name: ClassName = None) -> None:
    """Enlarge an image with a model trained with training.low_res_size; a large image is made small first."""


def print_files(files: list[Path], notes: list[str], json: bool) -> None:
    """Print the files of a command, with notes on standard error; or all as one JSON document."""
    if json:
        print(jsonlib.dumps({"files": [str(path) for path in files], "notes": notes}, indent=1))
        return
    for note in notes:
        print(note, file=sys.stderr)
    for path in files:
        print(path)


def make_sampler(text: str, steps: int | None, guidance_scale: float | None) -> Sampler:
    """Return the sampler of a name, ddim:eta=1 or a mapping in YAML, with options that are given apart.

    Raises:
        ConfigError: if there is no such sampler, or it has no such option.
    """
    (sampler,) = parse_samplers([text])
    options = {"steps": steps, "guidance_scale": guidance_scale}
    changes = {key: value for key, value in options.items() if value is not None}
    return type(sampler).model_validate({**sampler.model_dump(exclude_unset=True), **changes})


def _describe(kind: type[Figure], options: dict[str, Any], names: list[str] | tuple[str, ...]) -> Figure:
    """Return a figure with the options that are given, its files called by its kind and `names`.

    Raises:
        ConfigError: with every problem of the options.
    """
    name = kind.model_fields["name"].default
    title = slug("-".join([name, *(Path(it).stem for it in names)]))[:64]
    try:
        return kind.model_validate({key: it for key, it in {**options, "title": title}.items() if it is not None})
    except ValidationError as error:
        raise ConfigError(f"noisette figure {name}", to_problems(error, kind)) from None
