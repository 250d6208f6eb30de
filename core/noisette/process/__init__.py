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
    from noisette.process.forward import forward_strip
    from noisette.process.gallery import Gallery
    from noisette.process.mixtures import Edits, edited, interpolation_grid
    from noisette.process.painter import Painter
    from noisette.process.sheets import sheet
    from noisette.process.source import fitted, open_picture, to_image
    from noisette.process.walk import Walk, record

__all__ = [
    "ClassWalks",
    "Edits",
    "Gallery",
    "Painter",
    "Walk",
    "edited",
    "fitted",
    "forward_strip",
    "interpolation_grid",
    "open_picture",
    "record",
    "save_animation",
    "sheet",
    "to_image",
]

_HERE = "noisette.process"

__getattr__, __dir__ = exports(
    __name__,
    {
        "ClassWalks": f"{_HERE}.classes",
        "Edits": f"{_HERE}.mixtures",
        "Gallery": f"{_HERE}.gallery",
        "Painter": f"{_HERE}.painter",
        "Walk": f"{_HERE}.walk",
        "edited": f"{_HERE}.mixtures",
        "fitted": f"{_HERE}.source",
        "forward_strip": f"{_HERE}.forward",
        "interpolation_grid": f"{_HERE}.mixtures",
        "open_picture": f"{_HERE}.source",
        "record": f"{_HERE}.walk",
        "save_animation": f"{_HERE}.animation",
        "sheet": f"{_HERE}.sheets",
        "to_image": f"{_HERE}.source",
    },
)
