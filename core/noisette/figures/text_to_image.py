"""Pictures for prompts, by a pretrained pipeline of the diffusers library, which is imported only here.

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
from noisette.images import sheet
from noisette.machine import Machine
from noisette.sources import located

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image

__all__ = ["Pipeline"]

_NEEDED = ("diffusers", "transformers")
_OLDEST = (0, 38)
"""Version of diffusers before which the code that lies in a local folder is run unasked."""
_PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
_CAPTION = 96
"""Letters of a prompt above its pictures."""


@dataclass(frozen=True)
class Pipeline:
    """A pipeline that is ready to draw.

    Attributes:
        scene: what is asked of it.
        pipe: diffusers' pipeline.
    """

    scene: TextToImage
    pipe: Any

    @classmethod
    def open(cls, scene: TextToImage) -> Pipeline:
        """Load a pipeline, from its folder or from the hub.

        Raises:
            DataError: if a library is missing or too old, the pipeline cannot be had or read, takes no such
                option, or is too large for the GPU.
        """
        missing = [name for name in _NEEDED if find_spec(name) is None]
        if missing:
            raise DataError(
                f"text-to-image needs {' and '.join(missing)}, which noisette does without elsewhere: "
                f"{install_command('text-to-image')}"
            )
        _require_a_careful_library()
        machine = Machine.here("fp32")
        with _quietly(), _enough_memory(scene):
            pipe = _loaded(scene)
            pipe.to(machine.device, _PRECISIONS[scene.precision])
            pipe.set_progress_bar_config(disable=True)
        pipeline = cls(scene, pipe)
        pipeline._accept()
        return pipeline

    def draw(self, prompt: str, seed: int, number: int) -> Image.Image:
        """Draw the picture of this number for a prompt: a function of pipeline, prompt, seed and number.

        Raises:
            NotFiniteError: if the picture is not finite.
        """
        generator = seeded_generator(seed, "prompt", number)
        with _quietly(), _enough_memory(self.scene), torch.inference_mode():
            drawn = self.pipe(prompt, generator=generator, output_type="np", **self._options()).images[0]
        picture = np.asarray(drawn)
        if not np.isfinite(picture).all():
            raise NotFiniteError(
                f"{self.scene.pipeline}: its picture for {prompt!r} is not finite; try precision: fp32"
            )
        from PIL import Image

        return Image.fromarray((picture * 255).round().clip(0, 255).astype(np.uint8))

    def sheet(self, rows: Sequence[Sequence[Image.Image]]) -> Image.Image:
        """Lay the pictures out: those of each prompt in a row, beneath it."""
        from PIL import Image

        shown = []
        for prompt, row in zip(self.scene.prompts, rows, strict=True):
            pictures = np.stack([np.asarray(image.convert("RGB")).transpose(2, 0, 1) for image in row])
            shown.append(sheet(pictures[None], title=_shortened(prompt)))
        page = Image.new("RGB", (max(one.width for one in shown), sum(one.height for one in shown)), (228,) * 3)
        for number, one in enumerate(shown):
            page.paste(one, (0, sum(above.height for above in shown[:number])))
        return page

    def _options(self) -> dict[str, Any]:
        scene = self.scene
        asked = {"num_inference_steps": scene.steps, "guidance_scale": scene.guidance}
        size = {"height": scene.size, "width": scene.size}
        return {key: value for key, value in (asked | size).items() if value is not None}

    def _accept(self) -> None:
        """Refuse options that the pipeline would not take, before it has drawn for minutes."""
        taken = inspect.signature(self.pipe.__call__).parameters
        strange = [key for key in ("prompt", "generator", *self._options()) if key not in taken]
        if strange:
            raise DataError(f"{self.scene.pipeline}: {type(self.pipe).__name__} does not take {', '.join(strange)}")


def _require_a_careful_library() -> None:
    there = version("diffusers")
    if tuple(map(int, there.split(".")[:2])) < _OLDEST:
        raise DataError(
            f"text-to-image needs diffusers {'.'.join(map(str, _OLDEST))} or newer; got {there}, which runs code "
            f"that lies in a pipeline's folder: {install_command('text-to-image')}"
        )


def _loaded(scene: TextToImage) -> Any:
    from diffusers import DiffusionPipeline

    path = located(scene.pipeline)
    place = str(path) if path.is_dir() else scene.pipeline
    load: Any = DiffusionPipeline.from_pretrained  # which has no types
    try:
        return load(place, revision=scene.revision)
    except Exception as error:  # diffusers, transformers, the hub and its transport raise nearly anything
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError(
            f"{scene.pipeline}: expected the folder of a diffusers pipeline, or its name on the hub: {reason}\n"
            "without a connection, copy its folder here from a machine that has one, and name the folder"
        ) from None


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
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
def _enough_memory(scene: TextToImage) -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError:
        raise DataError(
            f"{scene.pipeline}: is too large for the GPU in {scene.precision}: try precision: fp16, or another size"
        ) from None


def _shortened(prompt: str) -> str:
    words = " ".join(prompt.split())
    return words if len(words) <= _CAPTION else f"{words[: _CAPTION - 2]}.."
