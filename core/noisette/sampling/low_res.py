"""Which small pictures a network that enlarges is shown while it samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from noisette.errors import DataError
from noisette.model.conditioning import enlarged, shrunk
from noisette.pixels import to_unit

if TYPE_CHECKING:
    from noisette.data import Prepared
    from noisette.model.model import Model

__all__ = ["hints_of"]


def hints_of(model: Model, data: Prepared | None, indices: Sequence[int]) -> Tensor | None:
    """Return what the network is shown for the pictures of the given numbers, (N, C, H, W); None if it needs none.

    Picture i enlarges the small version of picture i mod N of the test split, which the network has not seen.

    Raises:
        DataError: if the pictures are not prepared, or there is no test split.
    """
    side = model.inputs.low_res_size
    if side is None:
        return None
    if data is None or not len(data.pictures("test")):
        raise DataError("super-resolution: expected prepared pictures of a test split to enlarge; there are none")
    pictures = data.pictures("test")
    rows = [index % len(pictures) for index in indices]
    x0 = to_unit(torch.from_numpy(pictures[rows]))
    return enlarged(shrunk(x0, side), model.shape[1:]).to(model.machine.device)
