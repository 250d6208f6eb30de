"""`noisette sample`: images of an experiment's samplers; with `--to` as files, from any checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from noisette import Run, StorageError
from noisette.checkpoint import Checkpoint
from noisette.comparison.samplers import parse_sampler
from noisette_flows.cli.figure import make_sampler, print_files
from noisette_flows.cli.options import Again, AsJson, Output, Set, TrackingUri, parse_settings, resolve_checkpoint
from noisette_flows.cli.runner import FlowRequest, console_for_progress
from noisette_flows.cli.stages import print_stages

__all__ = ["sample"]

_BATCH = 64


def sample(
    config: Annotated[
        str,
        typer.Argument(
            metavar="CONFIG",
            help="YAML file of the experiment; with --to also a run's or checkpoint's directory.",
            show_default=False,
        ),
    ],
    settings: Set = None,
    sampler: Annotated[
        str | None,
        typer.Option(
            "--sampler",
            metavar="SAMPLER",
            help="Sampler, such as ddpm or ddim:eta=1. Default: the config's; with --to, ddim.",
            show_default=False,
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option("--steps", min=1, help="Sampling steps. Default: the sampler's.", show_default=False),
    ] = None,
    num_images: Annotated[
        int | None,
        typer.Option(
            "--num-images",
            min=1,
            help="Number of images. Default: the config's; with --to, 16.",
            show_default=False,
        ),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(
            "--to",
            metavar="FOLDER",
            help="Folder for a PNG file of each image; not saved by default.",
            show_default=False,
        ),
    ] = None,
    class_name: Annotated[
        str | None,
        typer.Option(
            "--class",
            metavar="NAME",
            help="With --to: class of all images. Default: each class in turn.",
            show_default=False,
        ),
    ] = None,
    guidance_scale: Annotated[
        float | None,
        typer.Option(
            "--guidance-scale",
            min=0,
            help="With --to: scale of classifier-free guidance; 1 is off. Default: the sampler's.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", help="With --to: seed of the noise. Default: the experiment's.", show_default=False),
    ] = None,
    output: Output = "runs",
    again: Again = False,
    json: AsJson = False,
    tracking_uri: TrackingUri = None,
) -> None:
    """Generate images with an experiment's trained network; with --to as PNG files, from any checkpoint."""
    if to is not None:
        if again:
            raise typer.BadParameter(
                "--again: expected the samples of an experiment; got --to: name another folder there"
            )
        if tracking_uri is not None:
            raise typer.BadParameter("--tracking-uri: expected no --to: image files are not logged to MLflow")
        checkpoint = resolve_checkpoint(config, settings, output)
        _sample_files(
            checkpoint, to, sampler or "ddim", steps, guidance_scale, seed, class_name, num_images or 16, json
        )
        return
    file_options = {"--class": class_name, "--guidance-scale": guidance_scale, "--seed": seed}
    for name in (name for name, value in file_options.items() if value is not None):
        raise typer.BadParameter(f"{name}: expected --to FOLDER too, for image files")
    if Path(config).is_dir():
        raise typer.BadParameter(f"{config}: expected an experiment's YAML file, or --to FOLDER too; got a folder")
    overrides = parse_settings(settings) | _sampling_overrides(sampler, steps, num_images)
    request = FlowRequest(config, overrides, output)
    skipped = request.run("sample", request.stages("sample"), tracking_uri, again)
    print_stages(request.stages("sample"), skipped, json)


def _sampling_overrides(sampler: str | None, steps: int | None, num_images: int | None) -> dict[str, Any]:
    if steps is not None and sampler is None:
        raise typer.BadParameter("--steps: expected --sampler too, whose steps they are")
    chosen: dict[str, Any] = {}
    if sampler is not None:
        parsed = parse_sampler(sampler)
        options = parsed if isinstance(parsed, dict) else {"name": parsed}
        chosen["sampling.samplers"] = [options | ({} if steps is None else {"steps": steps})]
    if num_images is not None:
        chosen["sampling.num_images"] = num_images
    return chosen


def _sample_files(
    checkpoint: Checkpoint,
    folder: Path,
    sampler: str,
    steps: int | None,
    guidance_scale: float | None,
    seed: int | None,
    class_name: str | None,
    num_images: int,
    json: bool,
) -> None:
    """Generate images with a trained model and save each as a PNG file: 00000.png, 00001.png, ...

    Args:
        checkpoint: the trained model.
        folder: new or empty.
        sampler: such as ddim:eta=1, with steps and guidance_scale; None takes its own.
        seed: of the noise; None takes the experiment's.
        class_name: of every image; None takes each class in turn, of a model with classes.
        num_images: number of images.
        json: whether to print JSON.

    Raises:
        DataError: if the model does not know the class; StorageError: if the folder is not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise StorageError(f"{folder}: expected a new or empty folder; got one with files")
    from noisette import Events
    from noisette.figures import ImageGenerator, to_image
    from noisette.images import save_png
    from noisette_flows.display.progress import show_progress

    generator = ImageGenerator.open(checkpoint, make_sampler(sampler, steps, guidance_scale), seed=seed)
    run, files = Run("sample", generator.sampler.label, folder, num_images, {}), []
    with show_progress(console_for_progress()) as progress:
        events = Events([progress], installed=False)
        with events.stage(run):
            for start in range(0, num_images, _BATCH):
                indices = range(start, min(start + _BATCH, num_images))
                classes = None if class_name is None else [class_name] * len(indices)
                for index, image in zip(indices, generator.generate(indices, classes), strict=True):
                    files.append(save_png(to_image(image), folder / f"{index:05d}.png"))
                events.step(run, indices.stop, {})
    print_files(files, [], json)
