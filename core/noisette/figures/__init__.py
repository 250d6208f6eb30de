"""Figures: what noise does to an image, and what a trained model does to noise.

from noisette import find_checkpoint
from noisette.figures import ImageGenerator, record_trajectory

generator = ImageGenerator.open(find_checkpoint("configs/digits.yaml"))
record_trajectory(generator, range(4)).strip().save("denoising.png")
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from noisette.lazy import exports

if TYPE_CHECKING:
    from noisette.figures.editing import Edits, edit_images, make_interpolation_grid
    from noisette.figures.engine import make_figure
    from noisette.figures.forward import default_schedules, label_schedules, make_forward_strip
    from noisette.figures.generator import ImageGenerator
    from noisette.figures.images import ImageLoader, fit_image, open_image, to_image
    from noisette.figures.inpainting import Completion, box_mask, inpaint_image, low_res_shape, upscale_image
    from noisette.figures.render import FigureFiles, render_figure
    from noisette.figures.result import FigureResult
    from noisette.figures.trajectory import ClassTrajectories, Trajectory, record_trajectory
    from noisette.images import make_sheet, save_animation

__all__ = [
    "ClassTrajectories",
    "Completion",
    "Edits",
    "FigureFiles",
    "FigureResult",
    "ImageGenerator",
    "ImageLoader",
    "Trajectory",
    "box_mask",
    "default_schedules",
    "edit_images",
    "fit_image",
    "inpaint_image",
    "label_schedules",
    "low_res_shape",
    "make_figure",
    "make_forward_strip",
    "make_interpolation_grid",
    "make_sheet",
    "open_image",
    "record_trajectory",
    "render_figure",
    "save_animation",
    "to_image",
    "upscale_image",
]

__getattr__, __dir__ = exports(
    __name__,
    {
        "ClassTrajectories": "noisette.figures.trajectory",
        "Edits": "noisette.figures.editing",
        "Completion": "noisette.figures.inpainting",
        "ImageLoader": "noisette.figures.images",
        "ImageGenerator": "noisette.figures.generator",
        "FigureFiles": "noisette.figures.render",
        "render_figure": "noisette.figures.render",
        "FigureResult": "noisette.figures.result",
        "Trajectory": "noisette.figures.trajectory",
        "box_mask": "noisette.figures.inpainting",
        "label_schedules": "noisette.figures.forward",
        "make_figure": "noisette.figures.engine",
        "edit_images": "noisette.figures.editing",
        "inpaint_image": "noisette.figures.inpainting",
        "fit_image": "noisette.figures.images",
        "make_forward_strip": "noisette.figures.forward",
        "make_interpolation_grid": "noisette.figures.editing",
        "open_image": "noisette.figures.images",
        "default_schedules": "noisette.figures.forward",
        "record_trajectory": "noisette.figures.trajectory",
        "save_animation": "noisette.images",
        "make_sheet": "noisette.images",
        "low_res_shape": "noisette.figures.inpainting",
        "to_image": "noisette.figures.images",
        "upscale_image": "noisette.figures.inpainting",
    },
)
