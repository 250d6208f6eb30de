from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from noisette_plugins.features.extractor import clean, legacy


def images(*shape: int) -> torch.Tensor:
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8).float()


@pytest.mark.parametrize(("high", "wide", "size"), [(8, 8, 112), (28, 28, 64), (97, 61, 32), (400, 300, 299)])
def test_clean_is_pillows_bicubic_on_floats(high: int, wide: int, size: int) -> None:
    """As clean-fid does it: each channel as a float image, anti-aliased bicubic, clipped, not rounded."""
    seen = images(2, 3, high, wide)
    ours = clean(seen, size).numpy()
    for image, scaled in zip(seen.numpy(), ours, strict=True):
        for channel, found in zip(image, scaled, strict=True):
            pillow = np.asarray(Image.fromarray(channel).resize((size, size), Image.Resampling.BICUBIC))
            assert np.abs(pillow.clip(0, 255) - found).max() < 0.01
    aliased = torch.nn.functional.interpolate(seen, (size, size), mode="bicubic").clamp(0, 255).numpy()
    assert np.abs(aliased - ours).max() > 1  # control: the filter matters


@pytest.mark.parametrize(("high", "wide", "size"), [(8, 8, 299), (32, 32, 299), (97, 61, 32), (299, 299, 299)])
def test_legacy_is_tensorflows_bilinear(high: int, wide: int, size: int) -> None:
    from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

    seen = images(2, 3, high, wide)
    theirs = interpolate_bilinear_2d_like_tensorflow1x(seen, (size, size), align_corners=False)
    assert float((legacy(seen, size) - theirs).abs().max()) < 1e-3


def test_the_right_size_is_left_alone() -> None:
    seen = images(1, 1, 40, 40)
    assert torch.equal(clean(seen, 40), seen)
    assert torch.equal(legacy(seen, 40), seen)


def test_a_constant_stays_constant() -> None:
    grey = torch.full((1, 1, 13, 7), 200.0)
    for resize in (clean, legacy):
        assert float((resize(grey, 31) - 200).abs().max()) < 1e-3
