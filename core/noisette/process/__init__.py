"""Pictures of the process: what noise does to a picture, and what a trained model does to noise.

from noisette import find_checkpoint
from noisette.process import Painter, record

painter = Painter.open(find_checkpoint("configs/digits.yaml"))
record(painter, range(4)).strip().save("denoising.png")
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from noisette.lazy import exports

if TYPE_CHECKING:
    from noisette.process.animation import save_animation
    from noisette.process.classes import ClassWalks
    from noisette.process.completing import Filled, box, filled, small_shape, upscaled
    from noisette.process.depicting import depict
    from noisette.process.forward import forward_strip
    from noisette.process.gallery import Gallery
    from noisette.process.mixtures import Edits, edited, interpolation_grid
    from noisette.process.painter import Painter
    from noisette.process.schedules import by_row, ready_schedules
    from noisette.process.sheets import sheet
    from noisette.process.shown import Shown
    from noisette.process.source import fitted, open_picture, to_image
    from noisette.process.walk import Walk, record

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

_HERE = "noisette.process"

__getattr__, __dir__ = exports(
    __name__,
    {
        "ClassWalks": f"{_HERE}.classes",
        "Edits": f"{_HERE}.mixtures",
        "Filled": f"{_HERE}.completing",
        "Gallery": f"{_HERE}.gallery",
        "Painter": f"{_HERE}.painter",
        "Shown": f"{_HERE}.shown",
        "Walk": f"{_HERE}.walk",
        "box": f"{_HERE}.completing",
        "by_row": f"{_HERE}.schedules",
        "depict": f"{_HERE}.depicting",
        "edited": f"{_HERE}.mixtures",
        "filled": f"{_HERE}.completing",
        "fitted": f"{_HERE}.source",
        "forward_strip": f"{_HERE}.forward",
        "interpolation_grid": f"{_HERE}.mixtures",
        "open_picture": f"{_HERE}.source",
        "ready_schedules": f"{_HERE}.schedules",
        "record": f"{_HERE}.walk",
        "save_animation": f"{_HERE}.animation",
        "sheet": f"{_HERE}.sheets",
        "small_shape": f"{_HERE}.completing",
        "to_image": f"{_HERE}.source",
        "upscaled": f"{_HERE}.completing",
    },
)
