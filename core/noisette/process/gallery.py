"""Pictures by name: a file, one of the prepared pictures, or one that the model draws itself."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from noisette.checkpoint import Checkpoint
from noisette.config import Experiment
from noisette.contracts import Split
from noisette.data import Prepared
from noisette.errors import DataError
from noisette.layout import data_directory
from noisette.process.source import Fit, fitted, open_picture, to_image
from noisette.sources import located

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    from noisette.process.painter import Painter

__all__ = ["Gallery"]

_NUMBERED = re.compile(r"(test|train|drawn):(\d+)")
_LONGEST = 96
"""Pixels of the longer side that a picture is reduced to where nothing says its size: ten of it fill a screen."""


@dataclass(frozen=True)
class Gallery:
    """Where pictures come from, and what they are fitted to.

    Attributes:
        data: says where the experiment's prepared pictures lie; None if there is no experiment.
        shape: channels, height and width that they are fitted to; None stands for their own, but a file of any size
            is made small.
        fit: how they are fitted; see `noisette.process.fitted`.
        painter: draws the model's own; None if there is no model.
    """

    data: Callable[[], Path] | None = None
    shape: tuple[int | None, int | None, int | None] = (None, None, None)
    fit: Fit = "crop"
    painter: Painter | None = None

    @classmethod
    def of(cls, checkpoint: Checkpoint, painter: Painter) -> Gallery:
        """Return the gallery of a trained model: its data are looked for beside its run."""
        options, root = checkpoint.about["experiment"], checkpoint.root.resolve()
        fit = cast(Fit, options["preparation"]["fit"])
        return cls(lambda: data_directory(Experiment.parse(options), root), painter.model.shape, fit, painter)

    def __call__(self, name: str) -> tuple[NDArray[np.uint8], str]:
        """Return a picture, uint8 (C, H, W), and what was done to it in words; "" for nothing.

        Args:
            name: a file; package:sklearn/datasets/images/china.jpg, one inside a package; test:3 or train:3 for a
                prepared picture; or drawn:3 for number 3 of what the model draws.

        Raises:
            DataError: if there is no such picture.
        """
        numbered = None if Path(name).exists() else _NUMBERED.fullmatch(name)
        if numbered is None:
            return self._fitted(open_picture(located(name)))
        source, number = numbered[1], int(numbered[2])
        if source == "drawn":
            return self._drawn(name, number), ""
        picture = self._prepared(name, cast(Split, source), number)
        if all(wanted in (None, side) for wanted, side in zip(self.shape, picture.shape, strict=True)):
            return picture, ""
        return self._fitted(to_image(picture))

    def _fitted(self, image: Image.Image) -> tuple[NDArray[np.uint8], str]:
        channels, height, width = self.shape
        factor = min(1, _LONGEST / max(image.size))
        small = [max(1, round(side * factor)) for side in image.size]
        shape = (channels or len(image.getbands()), height or small[1], width or small[0])
        return fitted(image, shape, self.fit)

    def _drawn(self, name: str, number: int) -> NDArray[np.uint8]:
        if self.painter is None:
            raise DataError(f"{name}: only a trained model draws; give a picture file")
        picture: NDArray[np.uint8] = self.painter.draw([number])[0]
        return picture

    def _prepared(self, name: str, split: Split, number: int) -> NDArray[np.uint8]:
        if self.data is None:
            raise DataError(f"{name}: there is no such file; prepared pictures are those of a config: give one")
        directory = self.data()
        data = Prepared.finished(directory)
        if data is None:
            raise DataError(f"{name}: {directory} is not prepared; prepare it, or give a picture file")
        if number >= data.count(split):
            raise DataError(f"{name}: there are {data.count(split)} pictures, numbered from 0")
        picture: NDArray[np.uint8] = data.pictures(split)[number]
        return picture
