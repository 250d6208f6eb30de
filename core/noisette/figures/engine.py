"""The stage `figures`: what a config lists is made once, and found again by its manifest."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from noisette.checkpoint import Checkpoint
from noisette.config import Experiment, Scene, Show
from noisette.config.figures import Classes, Denoise, Edit, Enlarge, Forward, Inpaint, Interpolate, TextToImage
from noisette.edited import warn_of_edits
from noisette.events import Events
from noisette.figures.classes import ClassWalks
from noisette.figures.context import Studio
from noisette.figures.editing import MIXES, edited, interpolation_grid
from noisette.figures.forward import by_row, forward_strip, ready_schedules
from noisette.figures.images import Gallery, open_picture, to_image
from noisette.figures.inpainting import box, filled, small_shape, upscaled
from noisette.figures.result import Shown
from noisette.figures.trajectory import record
from noisette.hooks import Run
from noisette.layout import pictures_directory, run_directory
from noisette.machine import threads
from noisette.plugins import registry
from noisette.plugins.registry import plugins_in
from noisette.progress import default_events
from noisette.sources import located
from noisette.storage import committed

__all__ = ["depict"]


def depict(
    config: Experiment | Show,
    scene: Scene,
    root: Path | str = "runs",
    *,
    checkpoint: Checkpoint | None = None,
    again: bool = False,
    events: Events | None = None,
) -> Shown:
    """Make one item of a config's `pictures`; finished ones are returned at once.

    Args:
        config: its data, seed and sampling decide the pictures.
        scene: the item.
        root: folder of all results.
        checkpoint: the trained network, for what needs one; the pictures lie beside it.
        again: make them anew; finished ones are replaced when the new ones are complete.
        events: who is told of it.

    Raises:
        DataError: if a picture that it begins at cannot be had, or a pretrained pipeline.
        NotFiniteError: if the network's pictures are not finite; StorageError: if they cannot be written.
    """
    checkpoint = checkpoint if scene.needs_model else None
    run = run_directory(config, Path(root)) if checkpoint is None else checkpoint.run
    directory = pictures_directory(run, "" if checkpoint is None else checkpoint.digest, scene, config)
    done = Shown.finished(directory)
    if done is not None and not again:
        return done
    events = events or default_events()
    task = Run("pictures", scene.label, directory, _parts(scene), scene.model_dump(mode="json"))
    events.run_start(task)
    try:
        shown = _made(config, scene, Path(root), checkpoint, task, events)
    except BaseException as error:
        events.run_end(task, "failed" if isinstance(error, Exception) else "stopped")
        raise
    for path in shown.files:
        events.pictures(task, task.total, f"pictures/{scene.label}", path)
    events.run_end(task, "finished")
    return shown


def _made(
    config: Experiment | Show, scene: Scene, root: Path, checkpoint: Checkpoint | None, task: Run, events: Events
) -> Shown:
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        events.step(task, done, {})

    begun = time.perf_counter()
    about = _about(config, scene, checkpoint)
    origins = registry().origins_of(plugins_in(scene))
    warn_of_edits(task.directory, "pictures", origins, about, "making its pictures again")
    about["plugins"] = origins
    with committed(task.directory, "pictures", about) as staging, threads(config.threads):
        studio = Studio(config, root, staging, scene.label, step, checkpoint)
        _PAINTS[type(scene)](scene, studio)
        seconds = time.perf_counter() - begun
        about |= {"files": studio.files, "notes": studio.notes, "seconds": seconds}
    finished = Shown.finished(task.directory)
    if finished is None:
        raise RuntimeError(f"{task.directory}: what was just written is not there")
    return finished


def _about(config: Experiment | Show, scene: Scene, checkpoint: Checkpoint | None) -> dict[str, Any]:
    drawn = {} if checkpoint is None else {"checkpoint": checkpoint.digest, "step": checkpoint.step}
    about = {"label": scene.label, "scene": scene.model_dump(mode="json"), "seed": config.seed, **drawn}
    return {**about, "versions": {"torch": torch.__version__}}


def _parts(scene: Scene) -> int:
    """Return how often `step` is called."""
    if isinstance(scene, TextToImage):
        return len(scene.prompts) * scene.count
    return len(scene.pictures) if isinstance(scene, Forward) else 1


def _forward(scene: Forward, studio: Studio) -> None:
    config = studio.config
    chosen = scene.schedules or ((config.schedule,) if isinstance(config, Experiment) else ready_schedules())
    timesteps = scene.timesteps or (config.timesteps if isinstance(config, Experiment) else 1000)
    tables = {row: schedule.process(timesteps) for row, schedule in by_row(chosen).items()}
    gallery = studio.gallery(size=scene.size)
    for number, name in enumerate(scene.pictures):
        picture = studio.picture(gallery, name)
        strip = forward_strip(picture[None], tables, scene.at, config.seed)
        studio.save(strip, f"-{number}" if len(scene.pictures) > 1 else "")
        studio.step()


def _denoise(scene: Denoise, studio: Studio) -> None:
    walk = record(studio.painter(scene.sampler), range(scene.count), frames=scene.frames, at=scene.at or ())
    studio.save(walk.strip(at=scene.at))
    if scene.animate:
        studio.animate(walk.frames())
    studio.step()


def _classes(scene: Classes, studio: Studio) -> None:
    painter, frames = studio.painter(scene.sampler), scene.frames if scene.animate else 1
    walks = ClassWalks.record(painter, scene.guidance, rows=scene.rows, classes=scene.classes, frames=frames)
    studio.save(walks.grid())
    if scene.animate:
        studio.animate(walks.frames())
    studio.step()


def _edit(scene: Edit, studio: Studio) -> None:
    painter = studio.painter(scene.sampler)
    picture = studio.picture(studio.gallery(painter), scene.picture)
    edits = edited(painter, picture[None], scene.at, scene.become)
    studio.save(edits.grid())
    for t, result in zip(edits.steps, edits.results[0], strict=True):
        studio.save_single(to_image(result), f"t{t}")
    studio.step()


def _interpolate(scene: Interpolate, studio: Studio) -> None:
    painter = studio.painter(scene.sampler)
    gallery = studio.gallery(painter)
    a, b = studio.picture(gallery, scene.a), studio.picture(gallery, scene.b)
    studio.save(interpolation_grid(painter, a, b, scene.at, scene.mixes or MIXES, scene.become))
    studio.step()


def _inpaint(scene: Inpaint, studio: Studio) -> None:
    painter = studio.painter(scene.sampler)
    gallery = studio.gallery(painter)
    source = studio.picture(gallery, scene.picture)
    missing = studio.mask(gallery, scene.mask) if scene.mask else box(source.shape[1:], scene.box)
    studio.save_filled(
        filled(painter, source, missing, scene.count, scene.become, jump=scene.jump, resample=scene.resample)
    )
    studio.step()


def _enlarge(scene: Enlarge, studio: Studio) -> None:
    painter = studio.painter(scene.sampler)
    gallery, shape, path = studio.gallery(painter), small_shape(painter), located(scene.picture)
    if path.is_file() and max(open_picture(path).size) <= max(shape[1:]):
        gallery = Gallery(shape=shape, fit=gallery.fit)
    studio.save_filled(upscaled(painter, studio.picture(gallery, scene.picture), scene.count, scene.become))
    studio.step()


def _text_to_image(scene: TextToImage, studio: Studio) -> None:
    from noisette.figures.text_to_image import Pipeline

    pipeline = Pipeline.open(scene)
    rows: list[list[Image.Image]] = []
    for prompt in scene.prompts:
        row: list[Image.Image] = []
        for _ in range(scene.count):
            row.append(pipeline.draw(prompt, studio.config.seed, len(rows) * scene.count + len(row)))
            studio.save_single(row[-1], f"{len(rows)}-{len(row) - 1}")
            studio.step()
        rows.append(row)
    studio.save(pipeline.sheet(rows))


_PAINTS: dict[type[Scene], Callable[[Any, Studio], None]] = {
    Forward: _forward,
    Denoise: _denoise,
    Classes: _classes,
    Edit: _edit,
    Interpolate: _interpolate,
    Inpaint: _inpaint,
    Enlarge: _enlarge,
    TextToImage: _text_to_image,
}
