"""No network: the quantiles of each channel's values, sorted; it has no weights and takes any size."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from noisette import Features

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from noisette.contracts.features import Extractor


class Quantiles(Features):
    """No network: the quantiles of each channel's values, sorted; it has no weights and takes any size.

    The number of dimensions hangs on an option, and pixels may be shuffled without a change. It would want to
    declare that it has no weights.
    """

    name: ClassVar[str] = "quantiles"

    count: int = Field(8, ge=2, description="quantiles of each channel, the least and the largest value among them")

    @property
    def dimensions(self) -> int:  # type: ignore[override]
        """Three channels' quantiles."""
        return 3 * self.count

    def weights_sha256(self) -> str:
        """Return the hash of the rule and its option."""
        import hashlib

        return hashlib.sha256(f"quantiles of values / 255, linear, {self.count}".encode()).hexdigest()

    def load(self, device: torch.device) -> Extractor:
        """Return the extractor."""
        import torch

        places = torch.linspace(0, 1, self.count, device=device)

        def extract(images: Tensor) -> Tensor:
            x = images.to(device).float().flatten(2) / 255
            if not len(x):
                return x.new_empty(0, 3 * places.numel())
            found = torch.quantile(x, places, dim=2).permute(1, 2, 0)
            return found.expand(-1, 3, -1).flatten(1)

        return extract


KIND = "features"
PLUGIN = Quantiles
