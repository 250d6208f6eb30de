"""Images for prompts, by a pretrained pipeline of the diffusers library, which is imported only here.

A pipeline is a folder, or a name on the hub, which diffusers downloads once and keeps in its own cache. Its weights
are read as safetensors where there are some, and otherwise as tensors alone: nothing is unpickled, and no code of
its authors is run.
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
"""Version of diffusers before which the code that lies in a local folder is run unasked."""
_PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
_CAPTION = 96
"""Letters of a prompt above its images."""


@dataclass(frozen=True)
class Pipeline:
    """A pipeline that is ready to draw.

    Attributes:
        figure: what is asked of it.
        pipe: diffusers' pipeline.
    """

    figure: TextToImage
    pipe: Any

    @classmethod
    def open(cls, figure: TextToImage) -> Pipeline:
        """Load a pipeline, from its folder or from the hub.

        Raises:
            DataError: if a library is missing or too old, the pipeline cannot be had or read, takes no such
                option, or is too large for the GPU.
        """
        missing = [name for name in _REQUIRED_PACKAGES if find_spec(name) is None]
        if missing:
            raise DataError(
                f"text-to-image needs {' and '.join(missing)}, which noisette does without elsewhere: "
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
        """Draw the image of this number for a prompt: a function of pipeline, prompt, seed and number.

        Raises:
            NotFiniteError: if the image is not finite.
        """
        generator = seeded_generator(seed, "prompt", number)
        with _quiet_libraries(), _explain_out_of_memory(self.figure), torch.inference_mode():
            generated = self.pipe(prompt, generator=generator, output_type="np", **self._options()).images[0]
        image = np.asarray(generated)
        if not np.isfinite(image).all():
            raise NotFiniteError(
                f"{self.figure.pipeline}: its image for {prompt!r} is not finite; try precision: fp32"
            )
        from PIL import Image

        return Image.fromarray((image * 255).round().clip(0, 255).astype(np.uint8))

    def make_sheet(self, rows: Sequence[Sequence[Image.Image]]) -> Image.Image:
        """Lay the images out: those of each prompt in a row, beneath it."""
        from PIL import Image

        shown = []
        for prompt, row in zip(self.figure.prompts, rows, strict=True):
            images = np.stack([np.asarray(image.convert("RGB")).transpose(2, 0, 1) for image in row])
            shown.append(make_sheet(images[None], title=_shorten(prompt)))
        page = Image.new("RGB", (max(one.width for one in shown), sum(one.height for one in shown)), (228,) * 3)
        for number, one in enumerate(shown):
            page.paste(one, (0, sum(above.height for above in shown[:number])))
        return page

    def _options(self) -> dict[str, Any]:
        figure = self.figure
        options = {"num_inference_steps": figure.steps, "guidance_scale": figure.guidance_scale}
        size = {"height": figure.size, "width": figure.size}
        return {key: value for key, value in (options | size).items() if value is not None}

    def _check_options(self) -> None:
        """Refuse options that the pipeline would not take, before it has drawn for minutes."""
        taken = inspect.signature(self.pipe.__call__).parameters
        strange = [key for key in ("prompt", "generator", *self._options()) if key not in taken]
        if strange:
            raise DataError(
                f"{self.figure.pipeline}: {type(self.pipe).__name__} does not take {', '.join(strange)}"
            )


def _require_safe_diffusers() -> None:
    there = version("diffusers")
    if tuple(map(int, there.split(".")[:2])) < _MIN_DIFFUSERS:
        raise DataError(
            f"text-to-image needs diffusers {'.'.join(map(str, _MIN_DIFFUSERS))} or newer; got {there}, which runs "
            f"code from a pipeline's folder: {install_command('text-to-image')}"
        )


def _load_pipeline(figure: TextToImage) -> Any:
    from diffusers import DiffusionPipeline

    path = resolve_source(figure.pipeline)
    place = str(path) if path.is_dir() else figure.pipeline
    load: Any = DiffusionPipeline.from_pretrained  # which has no types
    try:
        return load(place, revision=figure.revision)
    except Exception as error:  # diffusers, transformers, the hub and its transport raise nearly anything
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError(
            f"{figure.pipeline}: expected the folder of a diffusers pipeline, or its name on the hub: {reason}\n"
            "without a connection, copy its folder here from a machine that has one, and name the folder"
        ) from None


@contextlib.contextmanager
def _quiet_libraries() -> Iterator[None]:
    """Keep the libraries' bars and hints out of the way of ours; a download shows its own, as it may take long."""
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
            f"{figure.pipeline}: is too large for the GPU in {figure.precision}: try precision: fp16, or a size"
        ) from None


def _shorten(prompt: str) -> str:
    words = " ".join(prompt.split())
    return words if len(words) <= _CAPTION else f"{words[: _CAPTION - 2]}.."
