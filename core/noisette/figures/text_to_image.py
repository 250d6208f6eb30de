"""Images for prompts by a pretrained pipeline of diffusers, which is imported only here.

A pipeline is a directory, or a name on the hub that diffusers downloads into its cache. Weights are loaded from
safetensors if present, and otherwise as tensors only: no object is unpickled and no code of a pipeline is run.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from noisette.config.figures import TextToImage
from noisette.diffusion.noise import seeded_generator
from noisette.errors import DataError, NotFiniteError
from noisette.extras import install_command
from noisette.images import make_sheet
from noisette.machine import Machine
from noisette.sources import resolve_source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image

__all__ = ["Pipeline"]

_REQUIRED_PACKAGES = ("diffusers", "transformers")
_MIN_DIFFUSERS = (0, 38)
"""Older versions of diffusers run code in a local pipeline without asking."""
_PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
_CAPTION = 96
"""Characters of a prompt above its images."""


@dataclass(frozen=True)
class Pipeline:
    """A loaded pipeline.

    Attributes:
        figure: prompts and options.
        pipe: the pipeline of diffusers.
    """

    figure: TextToImage
    pipe: Any

    @classmethod
    def open(cls, figure: TextToImage) -> Pipeline:
        """Load a pipeline from its directory or from the hub.

        Raises:
            DataError: if a library is missing or too old, the pipeline cannot be loaded, does not take one of the
                options, or is too large for the GPU.
        """
        missing = [name for name in _REQUIRED_PACKAGES if find_spec(name) is None]
        if missing:
            raise DataError(
                f"text-to-image needs {' and '.join(missing)}, which are not installed: "
                f"{install_command('text-to-image')}"
            )
        _require_safe_diffusers()
        machine = Machine.detect("fp32")
        with _quiet_libraries(), _explain_out_of_memory(figure):
            pipe = _load_pipeline(figure)
            pipe.to(machine.device, _PRECISIONS[figure.precision])
            pipe.set_progress_bar_config(disable=True)
        pipeline = cls(figure, pipe)
        pipeline._check_options()
        return pipeline

    def generate(self, prompt: str, seed: int, number: int) -> Image.Image:
        """Generate an image for a prompt: a function of pipeline, prompt, seed and number.

        Raises:
            NotFiniteError: if the image is not finite.
        """
        generator = seeded_generator(seed, "prompt", number)
        with _quiet_libraries(), _explain_out_of_memory(self.figure), torch.inference_mode():
            generated = self.pipe(prompt, generator=generator, output_type="np", **self._options()).images[0]
        image = np.asarray(generated)
        if not np.isfinite(image).all():
            raise NotFiniteError(
                f"{self.figure.pipeline}: the image for {prompt!r} is not finite; try precision: fp32"
            )
        from PIL import Image

        return Image.fromarray((image * 255).round().clip(0, 255).astype(np.uint8))

    def make_sheet(self, rows: Sequence[Sequence[Image.Image]]) -> Image.Image:
        """Return a sheet with a row of images below each prompt."""
        from PIL import Image

        sheets = []
        for prompt, row in zip(self.figure.prompts, rows, strict=True):
            images = np.stack([np.asarray(image.convert("RGB")).transpose(2, 0, 1) for image in row])
            sheets.append(make_sheet(images[None], title=_shorten(prompt)))
        size = max(sheet.width for sheet in sheets), sum(sheet.height for sheet in sheets)
        page, top = Image.new("RGB", size, (228,) * 3), 0
        for sheet in sheets:
            page.paste(sheet, (0, top))
            top += sheet.height
        return page

    def _options(self) -> dict[str, Any]:
        figure = self.figure
        options = {"num_inference_steps": figure.steps, "guidance_scale": figure.guidance_scale}
        size = {"height": figure.size, "width": figure.size}
        return {key: value for key, value in (options | size).items() if value is not None}

    def _check_options(self) -> None:
        """Refuse options that the pipeline does not take, before a long computation."""
        supported = inspect.signature(self.pipe.__call__).parameters
        unsupported = [key for key in ("prompt", "generator", *self._options()) if key not in supported]
        if unsupported:
            raise DataError(
                f"{self.figure.pipeline}: {type(self.pipe).__name__} does not take {', '.join(unsupported)}"
            )


def _require_safe_diffusers() -> None:
    installed = version("diffusers")
    if tuple(map(int, installed.split(".")[:2])) < _MIN_DIFFUSERS:
        raise DataError(
            f"text-to-image needs diffusers {'.'.join(map(str, _MIN_DIFFUSERS))} or newer; got {installed}, which "
            f"runs code from a pipeline's folder: {install_command('text-to-image')}"
        )


def _load_pipeline(figure: TextToImage) -> Any:
    from diffusers import DiffusionPipeline

    path = resolve_source(figure.pipeline)
    name_or_path = str(path) if path.is_dir() else figure.pipeline
    load: Any = DiffusionPipeline.from_pretrained  # untyped
    try:
        return load(name_or_path, revision=figure.revision)
    except Exception as error:  # diffusers, transformers, the hub and its transport raise nearly anything
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError(
            f"{figure.pipeline}: expected the directory of a diffusers pipeline, or its name on the hub: {reason}\n"
            "without a connection, copy the directory from another machine, and give its path"
        ) from None


@contextlib.contextmanager
def _quiet_libraries() -> Iterator[None]:
    """Silence progress bars and hints of the libraries, except those of a download, which may take long."""
    from diffusers.utils import logging as diffusers
    from transformers.utils import logging as transformers

    libraries: tuple[Any, ...] = (diffusers, transformers)
    before = [(library, library.get_verbosity(), library.is_progress_bar_enabled()) for library in libraries]
    for library in libraries:
        library.set_verbosity_error()
        library.disable_progress_bar()
    try:
        yield
    finally:
        for library, verbosity, shown in before:
            library.set_verbosity(verbosity)
            if shown:
                library.enable_progress_bar()


@contextlib.contextmanager
def _explain_out_of_memory(figure: TextToImage) -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError:
        raise DataError(
            f"{figure.pipeline}: is too large for the GPU in {figure.precision}; try precision: fp16, or a size"
        ) from None


def _shorten(prompt: str) -> str:
    words = " ".join(prompt.split())
    return words if len(words) <= _CAPTION else f"{words[: _CAPTION - 2]}.."
