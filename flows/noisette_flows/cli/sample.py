"""`noisette sample --to`: generated images as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from noisette import Run, StorageError
from noisette.checkpoint import Checkpoint
from noisette_flows.cli.figure import make_sampler, print_files
from noisette_flows.cli.runner import console_for_progress

__all__ = ["refuse_file_options", "sample_files"]

_BATCH = 64


def sample_files(
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


def refuse_file_options(source: str, options: dict[str, Any]) -> None:
    """Refuse the options that need `--to`; `options` are their values by name, `source` what is sampled from.

    Raises:
        typer.BadParameter: if one is given, or the source is no config.
    """
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise typer.BadParameter(f"{given[0]}: expected --to FOLDER too, for image files")
    if Path(source).is_dir():
        raise typer.BadParameter(f"{source}: expected an experiment's YAML file, or --to FOLDER too; got a folder")
