"""Pictures whose missing part a model fills in, and small ones that it enlarges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from noisette.errors import DataError
from noisette.images import sheet
from noisette.model.conditioning import enlarged, shrunk, small_size
from noisette.pixels import to_bytes, to_unit
from noisette.sampling.inpainting import inpaint
from noisette.sampling.loop import draw

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    from noisette.figures.generator import Painter

__all__ = ["Filled", "box", "filled", "small_shape", "upscaled"]


@dataclass(frozen=True)
class Filled:
    """What a model made of something incomplete.

    Attributes:
        given: what it was shown, as pictures uint8 (K, C, H, W), and what each is called.
        results: several ways to complete it, uint8 (N, C, H, W).
    """

    given: dict[str, NDArray[np.uint8]]
    results: NDArray[np.uint8]

    def grid(self) -> Image.Image:
        """Draw what was given, then the results, in one row."""
        numbered = [f"no. {number}" for number in range(len(self.results))]
        row = np.concatenate([np.stack(list(self.given.values())), self.results])
        return sheet(row[None], [*self.given, *numbered])


def filled(
    painter: Painter,
    picture: NDArray[np.uint8],
    missing: NDArray[np.bool_],
    count: int = 4,
    become: str | None = None,
    *,
    jump: int = 10,
    resample: int = 10,
) -> Filled:
    """Fill in the missing part of a picture in several ways (Lugmayr et al. 2022, RePaint).

    Args:
        painter: the model and its sampler; an ancestral one mixes best.
        picture: uint8 (C, H, W) of the model's shape.
        missing: bool (H, W), True where the picture is to be filled in.
        count: how many ways.
        become: class of the picture, for a network that knows classes; None for no class.
        jump, resample: see `noisette.sampling.inpainting.inpaint`.

    Raises:
        DataError: if the picture or the mask has another shape, nothing is missing, or there is no such class.
    """
    x0 = painter.unit(picture)[None].expand(count, -1, -1, -1)
    if missing.shape != picture.shape[1:]:
        raise DataError(f"mask: expected the picture's height and width, {picture.shape[1:]}; got {missing.shape}")
    if not missing.any():
        raise DataError("mask: nothing is missing of the picture: there is nothing to fill in")
    known = torch.from_numpy(~missing).to(x0.device)
    with painter.computing():
        drawn = inpaint(
            painter.denoiser(painter.one_class(become, count)),
            painter.sampler,
            x0,
            known,
            range(count),
            painter.seed,
            jump=jump,
            resample=resample,
        )
    shown = np.where(missing, np.uint8(128), picture)
    return Filled({"picture": picture, "given": shown}, to_bytes(drawn).cpu().numpy())


def box(shape: tuple[int, int], place: tuple[int, int, int, int] | None = None) -> NDArray[np.bool_]:
    """Return a mask of height and width `shape` that is True inside a box.

    Args:
        shape: height and width.
        place: left, top, width and height in pixels; None takes the middle half.

    Raises:
        DataError: if the box has no pixel in the picture.
    """
    height, width = shape
    left, top, wide, high = place or (width // 4, height // 4, width // 2, height // 2)
    mask = np.zeros(shape, dtype=np.bool_)
    mask[max(top, 0) : max(top + high, 0), max(left, 0) : max(left + wide, 0)] = True
    if not mask.any():
        raise DataError(f"box: {place} is outside the picture, which is {width} wide and {height} high")
    return mask


def small_shape(painter: Painter) -> tuple[int, int, int]:
    """Return channels, height and width of what the model enlarges.

    Raises:
        DataError: if it was not trained to.
    """
    side = painter.model.inputs.low_res_size
    if side is None:
        raise DataError("this network was not trained to enlarge: train one with training.low_res_size=16, say")
    channels, height, width = painter.model.shape
    return channels, *small_size((height, width), side)


def upscaled(painter: Painter, picture: NDArray[np.uint8], count: int = 4, become: str | None = None) -> Filled:
    """Enlarge a picture in several ways (Saharia et al. 2021, SR3).

    Args:
        painter: a model that was trained with `training.low_res_size`.
        picture: uint8 (C, h, w) as small as the model takes it, or of its full shape, which is made small first.
        count: how many ways.
        become: class of the picture, for a network that knows classes; None for no class.

    Raises:
        DataError: if the model does not enlarge, or the picture has another shape.
    """
    shape, given = small_shape(painter), {}
    if picture.shape == shape:
        small = to_unit(torch.from_numpy(np.array(picture)))[None].to(painter.model.machine.device)
    else:
        small, given = shrunk(painter.unit(picture)[None], min(shape[1:])), {"picture": picture}
    size = painter.model.shape[1:]
    hint = enlarged(small, size).expand(count, -1, -1, -1)
    device = painter.model.machine.device
    with painter.computing():
        denoise = painter.denoiser(painter.one_class(become, count), hint)
        drawn = draw(denoise, painter.sampler, painter.model.shape, range(count), painter.seed, device)
    given |= {"bicubic": to_bytes(hint[0]).cpu().numpy()}
    return Filled({"small": _blocks(small[0], size), **given}, to_bytes(drawn).cpu().numpy())


def _blocks(small: torch.Tensor, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return a small picture (C, h, w) at full size with its pixels as blocks, uint8 (C, H, W)."""
    blocks: NDArray[np.uint8] = to_bytes(torch.nn.functional.interpolate(small[None], size)[0]).cpu().numpy()
    return blocks
