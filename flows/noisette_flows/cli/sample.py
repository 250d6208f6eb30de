"""`noisette sample --to`: generated images as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from noisette import Run, StorageError
from noisette.checkpoint import Checkpoint
from noisette_flows.cli.generation import GenerationSession
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
    count: int,
    json: bool,
) -> None:
    """Generate images with a trained model and save each as a PNG file: 00000.png, 00001.png, ...

    Args:
        checkpoint: the trained model.
        folder: must not be there, or be empty: images of two calls in one folder would be taken for one set.
        sampler, steps, guidance_scale, seed: as `GenerationSession.open` takes them.
        class_name: of every image; each class in turn if None and the model knows classes.
        count: how many images.
        json: whether to print JSON.

    Raises:
        DataError: if the model does not know the class; StorageError: if the folder is not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise StorageError(f"{folder}: expected a folder that is empty or not there yet, for images of one kind")
    from noisette import Events
    from noisette.figures import to_image
    from noisette_flows.display.progress import BarProgress, show_progress

    session = GenerationSession.open(checkpoint, sampler, steps, guidance_scale, seed, folder)
    run = Run("sample", session.generator.sampler.label, folder, count, {})
    with show_progress(console_for_progress()) as progress:
        if isinstance(progress, BarProgress):
            progress.hide_waiting()
        events = Events([progress], installed=False)
        with events.stage(run):
            for start in range(0, count, _BATCH):
                indices = range(start, min(start + _BATCH, count))
                classes = None if class_name is None else [class_name] * len(indices)
                for index, image in zip(indices, session.generator.generate(indices, classes), strict=True):
                    session.save(f"{index:05d}.png", to_image(image))
                events.step(run, indices.stop, {})
    session.print_files(json)


def refuse_file_options(source: str, options: dict[str, Any]) -> None:
    """Refuse what makes sense with `--to` only.

    Args:
        source: what is sampled from.
        options: names of options, and what was given for them.

    Raises:
        typer.BadParameter: saying what to do.
    """
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise typer.BadParameter(f"{given[0]} is for image files: say where they go with --to FOLDER")
    if Path(source).is_dir():
        raise typer.BadParameter(f"{source} is a trained model: say where its images go with --to FOLDER")
