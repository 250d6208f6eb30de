"""Pictures of the process: what noise does to a picture, and what a trained model does to noise.

from noisette import find_checkpoint
from noisette.figures import Painter, record

painter = Painter.open(find_checkpoint("configs/digits.yaml"))
record(painter, range(4)).strip().save("denoising.png")
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from noisette.lazy import exports

if TYPE_CHECKING:
    from noisette.figures.animation import save_animation
    from noisette.figures.classes import ClassWalks
    from noisette.figures.editing import Edits, edited, interpolation_grid
    from noisette.figures.engine import depict
    from noisette.figures.forward import by_row, forward_strip, ready_schedules
    from noisette.figures.generator import Painter
    from noisette.figures.images import Gallery, fitted, open_picture, to_image
    from noisette.figures.inpainting import Filled, box, filled, small_shape, upscaled
    from noisette.figures.result import Shown
    from noisette.figures.trajectory import Walk, record
    from noisette.images import sheet

__all__ = [
    "ClassWalks",
    "Edits",
    "Filled",
    "Gallery",
    "Painter",
    "Shown",
    "Walk",
    "box",
    "by_row",
    "depict",
    "edited",
    "filled",
    "fitted",
    "forward_strip",
    "interpolation_grid",
    "open_picture",
    "ready_schedules",
    "record",
    "save_animation",
    "sheet",
    "small_shape",
    "to_image",
    "upscaled",
]

__getattr__, __dir__ = exports(
    __name__,
    {
        "ClassWalks": "noisette.figures.classes",
        "Edits": "noisette.figures.editing",
        "Filled": "noisette.figures.inpainting",
        "Gallery": "noisette.figures.images",
        "Painter": "noisette.figures.generator",
        "Shown": "noisette.figures.result",
        "Walk": "noisette.figures.trajectory",
        "box": "noisette.figures.inpainting",
        "by_row": "noisette.figures.forward",
        "depict": "noisette.figures.engine",
        "edited": "noisette.figures.editing",
        "filled": "noisette.figures.inpainting",
        "fitted": "noisette.figures.images",
        "forward_strip": "noisette.figures.forward",
        "interpolation_grid": "noisette.figures.editing",
        "open_picture": "noisette.figures.images",
        "ready_schedules": "noisette.figures.forward",
        "record": "noisette.figures.trajectory",
        "save_animation": "noisette.figures.animation",
        "sheet": "noisette.images",
        "small_shape": "noisette.figures.inpainting",
        "to_image": "noisette.figures.images",
        "upscaled": "noisette.figures.inpainting",
    },
)
