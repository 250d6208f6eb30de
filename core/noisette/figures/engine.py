"""The stage `figures`: what a config lists is made once, and found again by its manifest."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from noisette.checkpoint import Checkpoint
from noisette.config import Experiment, Figure, FiguresConfig
from noisette.config.figures import Classes, Denoise, Edit, Forward, Inpaint, Interpolate, TextToImage, Upscale
from noisette.edited import warn_if_code_changed
from noisette.events import Events
from noisette.figures.classes import ClassTrajectories
from noisette.figures.context import FigureContext
from noisette.figures.editing import INTERPOLATION_WEIGHTS, edit_images, make_interpolation_grid
from noisette.figures.forward import default_schedules, label_schedules, make_forward_strip
from noisette.figures.images import ImageLoader, open_image, to_image
from noisette.figures.inpainting import box_mask, inpaint_image, low_res_shape, upscale_image
from noisette.figures.result import FigureResult
from noisette.figures.trajectory import record_trajectory
from noisette.hooks import Run
from noisette.layout import figures_directory, run_directory
from noisette.machine import use_threads
from noisette.plugins import registry
from noisette.plugins.registry import iter_plugins
from noisette.progress import default_events
from noisette.sources import resolve_source
from noisette.storage import committed

__all__ = ["make_figures"]


def make_figures(
    config: Experiment | FiguresConfig,
    figure: Figure,
    root: Path | str = "runs",
    *,
    checkpoint: Checkpoint | None = None,
    again: bool = False,
    events: Events | None = None,
) -> FigureResult:
    """Make one item of a config's `images`; finished ones are returned at once.

    Args:
        config: its data, seed and sampling decide the images.
        figure: the item.
        root: folder of all results.
        checkpoint: the trained network, for what needs one; the images lie beside it.
        again: make them anew; finished ones are replaced when the new ones are complete.
        events: who is told of it.

    Raises:
        DataError: if an image that it begins at cannot be had, or a pretrained pipeline.
        NotFiniteError: if the network's images are not finite; StorageError: if they cannot be written.
    """
    checkpoint = checkpoint if figure.needs_model else None
    run = run_directory(config, Path(root)) if checkpoint is None else checkpoint.run
    directory = figures_directory(run, "" if checkpoint is None else checkpoint.digest, figure, config)
    done = FigureResult.finished(directory)
    if done is not None and not again:
        return done
    events = events or default_events()
    task = Run("figures", figure.label, directory, _count_parts(figure), figure.model_dump(mode="json"))
    with events.stage(task):
        result = _make(config, figure, Path(root), checkpoint, task, events)
        for path in result.files:
            events.images(task, task.total, f"figures/{figure.label}", path)
    return result


def _make(
    config: Experiment | FiguresConfig,
    figure: Figure,
    root: Path,
    checkpoint: Checkpoint | None,
    task: Run,
    events: Events,
) -> FigureResult:
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        events.step(task, done, {})

    begun = time.perf_counter()
    about = _about(config, figure, checkpoint)
    origins = registry().origins_of(iter_plugins(figure))
    warn_if_code_changed(task.directory, "figures", origins, about, "making its figures again")
    about["plugins"] = origins
    with committed(task.directory, "figures", about) as staging, use_threads(config.threads):
        context = FigureContext(config, root, staging, figure.label, step, checkpoint)
        _MAKERS[type(figure)](figure, context)
        seconds = time.perf_counter() - begun
        about |= {"files": context.files, "notes": context.notes, "seconds": seconds}
    finished = FigureResult.finished(task.directory)
    if finished is None:
        raise RuntimeError(f"{task.directory}: what was just written is not there")
    return finished


def _about(config: Experiment | FiguresConfig, figure: Figure, checkpoint: Checkpoint | None) -> dict[str, Any]:
    generated = {} if checkpoint is None else {"checkpoint": checkpoint.digest, "step": checkpoint.step}
    about = {"label": figure.label, "scene": figure.model_dump(mode="json"), "seed": config.seed, **generated}
    return {**about, "versions": {"torch": torch.__version__}}


def _count_parts(figure: Figure) -> int:
    """Return how often `step` is called."""
    if isinstance(figure, TextToImage):
        return len(figure.prompts) * figure.num_images
    return len(figure.images) if isinstance(figure, Forward) else 1


def _forward(figure: Forward, context: FigureContext) -> None:
    config = context.config
    chosen = figure.schedules or ((config.schedule,) if isinstance(config, Experiment) else default_schedules())
    timesteps = figure.num_timesteps or (config.timesteps if isinstance(config, Experiment) else 1000)
    processes = {row: schedule.process(timesteps) for row, schedule in label_schedules(chosen).items()}
    image_loader = context.image_loader(size=figure.size)
    for number, name in enumerate(figure.images):
        image = context.image(image_loader, name)
        strip = make_forward_strip(image[None], processes, figure.timesteps, config.seed)
        context.save(strip, f"-{number}" if len(figure.images) > 1 else "")
        context.step()


def _denoise(figure: Denoise, context: FigureContext) -> None:
    trajectory = record_trajectory(
        context.generator(figure.sampler), range(figure.num_images), frames=figure.frames, at=figure.timesteps or ()
    )
    context.save(trajectory.strip(at=figure.timesteps))
    if figure.animate:
        context.animate(trajectory.frames())
    context.step()


def _classes(figure: Classes, context: FigureContext) -> None:
    generator, frames = context.generator(figure.sampler), figure.frames if figure.animate else 1
    trajectories = ClassTrajectories.record(
        generator, figure.guidance_scale, rows=figure.rows, classes=figure.classes, frames=frames
    )
    context.save(trajectories.grid())
    if figure.animate:
        context.animate(trajectories.frames())
    context.step()


def _edit(figure: Edit, context: FigureContext) -> None:
    generator = context.generator(figure.sampler)
    image = context.image(context.image_loader(generator), figure.image)
    edits = edit_images(generator, image[None], figure.timesteps, figure.class_name)
    context.save(edits.grid())
    for t, result in zip(edits.steps, edits.results[0], strict=True):
        context.save_single(to_image(result), f"t{t}")
    context.step()


def _interpolate(figure: Interpolate, context: FigureContext) -> None:
    generator = context.generator(figure.sampler)
    image_loader = context.image_loader(generator)
    a, b = context.image(image_loader, figure.first), context.image(image_loader, figure.second)
    context.save(
        make_interpolation_grid(
            generator, a, b, figure.timesteps, figure.weights or INTERPOLATION_WEIGHTS, figure.class_name
        )
    )
    context.step()


def _inpaint(figure: Inpaint, context: FigureContext) -> None:
    generator = context.generator(figure.sampler)
    image_loader = context.image_loader(generator)
    source = context.image(image_loader, figure.image)
    missing = context.mask(image_loader, figure.mask) if figure.mask else box_mask(source.shape[1:], figure.box)
    context.save_completion(
        inpaint_image(
            generator,
            source,
            missing,
            figure.num_images,
            figure.class_name,
            jump_length=figure.jump_length,
            jump_n_sample=figure.jump_n_sample,
        )
    )
    context.step()


def _enlarge(figure: Upscale, context: FigureContext) -> None:
    generator = context.generator(figure.sampler)
    image_loader, shape, path = (
        context.image_loader(generator),
        low_res_shape(generator),
        resolve_source(figure.image),
    )
    if path.is_file() and max(open_image(path).size) <= max(shape[1:]):
        image_loader = ImageLoader(shape=shape, fit=image_loader.fit)
    context.save_completion(
        upscale_image(generator, context.image(image_loader, figure.image), figure.num_images, figure.class_name)
    )
    context.step()


def _text_to_image(figure: TextToImage, context: FigureContext) -> None:
    from noisette.figures.text_to_image import Pipeline

    pipeline = Pipeline.open(figure)
    rows: list[list[Image.Image]] = []
    for prompt in figure.prompts:
        row: list[Image.Image] = []
        for _ in range(figure.num_images):
            row.append(pipeline.generate(prompt, context.config.seed, len(rows) * figure.num_images + len(row)))
            context.save_single(row[-1], f"{len(rows)}-{len(row) - 1}")
            context.step()
        rows.append(row)
    context.save(pipeline.make_sheet(rows))


_MAKERS: dict[type[Figure], Callable[[Any, FigureContext], None]] = {
    Forward: _forward,
    Denoise: _denoise,
    Classes: _classes,
    Edit: _edit,
    Interpolate: _interpolate,
    Inpaint: _inpaint,
    Upscale: _enlarge,
    TextToImage: _text_to_image,
}
