"""The low-resolution images that a super-resolution network enlarges while sampling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from noisette.errors import DataError
from noisette.model.conditioning import downsample, upsample
from noisette.pixels import to_unit

if TYPE_CHECKING:
    from noisette.data import Prepared
    from noisette.model.model import Model

__all__ = ["load_low_res"]


def load_low_res(model: Model, data: Prepared | None, indices: Sequence[int]) -> Tensor | None:
    """Return low-resolution images enlarged to full size, (N, C, H, W); None if the network takes none.

    Image i is image i mod N of the test split, made small and enlarged.

    Raises:
        DataError: if there are no prepared images of a test split.
    """
    side = model.conditioning.low_res_size
    if side is None:
        return None
    if data is None or not len(data.images("test")):
        raise DataError("super-resolution: expected prepared images of a test split; got none")
    images = data.images("test")
    rows = [index % len(images) for index in indices]
    x0 = to_unit(torch.from_numpy(images[rows]))
    return upsample(downsample(x0, side), model.shape[1:]).to(model.machine.device)
