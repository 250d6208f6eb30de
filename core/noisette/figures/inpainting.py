"""Inpainting and super-resolution of an image, in several ways."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from noisette.errors import DataError
from noisette.images import make_sheet
from noisette.model.conditioning import downsample, scaled_size, upsample
from noisette.pixels import to_bytes, to_unit
from noisette.sampling.inpainting import inpaint
from noisette.sampling.loop import generate

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    from noisette.figures.generator import ImageGenerator

__all__ = ["Completion", "box_mask", "inpaint_image", "low_res_shape", "upscale_image"]


@dataclass(frozen=True)
class Completion:
    """An incomplete image and several ways to complete it.

    Attributes:
        given: images that show the input, uint8 (C, H, W), by caption.
        results: the completed images, uint8 (N, C, H, W).
    """

    given: dict[str, NDArray[np.uint8]]
    results: NDArray[np.uint8]

    def grid(self) -> Image.Image:
        """Return a sheet of one row: the input, then the results."""
        numbered = [f"no. {number}" for number in range(len(self.results))]
        row = np.concatenate([np.stack(list(self.given.values())), self.results])
        return make_sheet(row[None], [*self.given, *numbered])


def inpaint_image(
    generator: ImageGenerator,
    image: NDArray[np.uint8],
    missing: NDArray[np.bool_],
    count: int = 4,
    class_name: str | None = None,
    *,
    jump_length: int = 10,
    jump_n_sample: int = 10,
) -> Completion:
    """Fill in the missing part of an image in several ways (Lugmayr et al. 2022, RePaint).

    Args:
        generator: the model and its sampler; an ancestral one mixes best.
        image: uint8 (C, H, W) of the model's shape.
        missing: bool (H, W), True where the image is filled in.
        count: number of results.
        class_name: class of the image, for a class-conditional network; None for no class.
        jump_length, jump_n_sample: see `noisette.sampling.inpainting.inpaint`.

    Raises:
        DataError: if the image or the mask has another shape, nothing is missing, or there is no such class.
    """
    x0 = generator.to_unit(image)[None].expand(count, -1, -1, -1)
    if missing.shape != image.shape[1:]:
        raise DataError(f"mask: expected the image's height and width, {image.shape[1:]}; got {missing.shape}")
    if not missing.any():
        raise DataError("mask: expected at least one pixel to fill in; got none")
    known = torch.from_numpy(~missing).to(x0.device)
    with generator.limit_threads():
        generated = inpaint(
            generator.denoiser(generator.class_labels(class_name, count)),
            generator.sampler,
            x0,
            known,
            range(count),
            generator.seed,
            jump_length=jump_length,
            jump_n_sample=jump_n_sample,
        )
    given = np.where(missing, np.uint8(128), image)
    return Completion({"image": image, "given": given}, to_bytes(generated).cpu().numpy())


def box_mask(shape: tuple[int, int], place: tuple[int, int, int, int] | None = None) -> NDArray[np.bool_]:
    """Return a mask of height and width `shape` that is True inside a box.

    Args:
        shape: height and width.
        place: left, top, width and height in pixels; None takes the middle half.

    Raises:
        DataError: if the box has no pixel in the image.
    """
    height, width = shape
    left, top, wide, high = place or (width // 4, height // 4, width // 2, height // 2)
    mask = np.zeros(shape, dtype=np.bool_)
    mask[max(top, 0) : max(top + high, 0), max(left, 0) : max(left + wide, 0)] = True
    if not mask.any():
        raise DataError(f"box: expected pixels of the image, {width} wide and {height} high; got {place}")
    return mask


def low_res_shape(generator: ImageGenerator) -> tuple[int, int, int]:
    """Return channels, height and width of the low-resolution images of a super-resolution model.

    Raises:
        DataError: if the model was not trained for super-resolution.
    """
    side = generator.model.conditioning.low_res_size
    if side is None:
        raise DataError(
            "upscale: expected a network trained with training.low_res_size, such as 16; got one without"
        )
    channels, height, width = generator.model.shape
    return channels, *scaled_size((height, width), side)


def upscale_image(
    generator: ImageGenerator, image: NDArray[np.uint8], count: int = 4, class_name: str | None = None
) -> Completion:
    """Enlarge an image in several ways (Saharia et al. 2021, SR3).

    Args:
        generator: a model that was trained with `training.low_res_size`.
        image: uint8 (C, h, w) of the low-resolution shape, or of the model's full shape, then downsampled.
        count: number of results.
        class_name: class of the image, for a class-conditional network; None for no class.

    Raises:
        DataError: if the model was not trained for super-resolution, or the image has another shape.
    """
    shape, given = low_res_shape(generator), {}
    if image.shape == shape:
        small = to_unit(torch.from_numpy(np.array(image)))[None].to(generator.model.machine.device)
    else:
        small, given = downsample(generator.to_unit(image)[None], min(shape[1:])), {"image": image}
    size = generator.model.shape[1:]
    low_res = upsample(small, size).expand(count, -1, -1, -1)
    device = generator.model.machine.device
    with generator.limit_threads():
        denoise = generator.denoiser(generator.class_labels(class_name, count), low_res)
        generated = generate(
            denoise, generator.sampler, generator.model.shape, range(count), generator.seed, device
        )
    given |= {"bicubic": to_bytes(low_res[0]).cpu().numpy()}
    return Completion({"small": _blocks(small[0], size), **given}, to_bytes(generated).cpu().numpy())


def _blocks(small: torch.Tensor, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return a small image (C, h, w) at full size with its pixels as blocks, uint8 (C, H, W)."""
    blocks: NDArray[np.uint8] = to_bytes(torch.nn.functional.interpolate(small[None], size)[0]).cpu().numpy()
    return blocks
