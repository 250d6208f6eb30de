"""text-to-image: diffusers' pipeline itself, tiny and with random weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor

from noisette.diffusion.noise import seeded_generator
from noisette.figures.text_to_image import Pipeline
from proofs.comparison import Comparison, compare
from proofs.settings import load_recipe

__all__ = ["LatentDiffusion"]


class LatentDiffusion:
    """LDMTextToImagePipeline with its defaults, called as the document calls it."""

    names: ClassVar[tuple[str, ...]] = ("text-to-image",)

    def __init__(self, name: str, changes: Mapping[str, Any], *, narrow: bool = False) -> None:
        self.name, self.changes = name, changes

    def compare(self, *stages: str) -> Iterator[Comparison]:
        """Yield the comparisons; they belong to the stage `sampling`."""
        if stages and "sampling" not in stages:
            return
        from tests.support.pipelines import write_pipeline

        with TemporaryDirectory() as folder:
            write_pipeline(Path(folder) / "pipeline")
            yield from self._compare(str(Path(folder) / "pipeline"))

    def _compare(self, folder: str) -> Iterator[Comparison]:
        from diffusers import DiffusionPipeline

        config = load_recipe(self.name, {**self.changes, "figures.0.pipeline": folder})
        figure: Any = config.figures[0]
        original: Any = DiffusionPipeline.from_pretrained(folder)
        original.set_progress_bar_config(disable=True)
        ours = Pipeline.open(figure)
        (prompt,) = figure.prompts
        generator = seeded_generator(0, "prompt", 0)
        with _calls(original.unet) as theirs_called:
            theirs = original("An image of a cat laughing", generator=generator, output_type="np").images[0]
        with _calls(ours.pipe.unet) as ours_called:
            image = np.asarray(ours.generate(prompt, 0, 0))
        yield compare("calls of the network, and images of each", _count(ours_called), _count(theirs_called))
        rounded = torch.tensor(np.round(theirs * 255) / 255)
        yield compare("image", torch.tensor(image / 255.0), rounded)


def _calls(unet: Any) -> Any:
    class Calls(list[int]):
        """The batch of every call, while it is entered."""

        def __enter__(self) -> Calls:
            forward = unet.forward

            def counted(sample: Tensor, *args: Any, **options: Any) -> Any:
                self.append(len(sample))
                return forward(sample, *args, **options)

            self._patch = patch.object(unet, "forward", counted)
            self._patch.start()
            return self

        def __exit__(self, *_: object) -> None:
            self._patch.stop()

    return Calls()


def _count(batches: list[int]) -> Tensor:
    return torch.tensor([len(batches), *sorted(set(batches))]).float()
