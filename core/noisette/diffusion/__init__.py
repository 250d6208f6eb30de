"""The mathematics of diffusion: tables, predictions, denoisers, noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from noisette.lazy import exports

if TYPE_CHECKING:
    from noisette.diffusion.denoiser import Clipped, Denoiser, NetworkDenoiser
    from noisette.diffusion.noise import Noise, derive_seed
    from noisette.diffusion.prediction import Prediction
    from noisette.diffusion.spacing import Spacing
    from noisette.diffusion.tables import Posterior, Tables

__all__ = [
    "Clipped",
    "Denoiser",
    "NetworkDenoiser",
    "Noise",
    "Posterior",
    "Prediction",
    "Spacing",
    "Tables",
    "derive_seed",
]

__getattr__, __dir__ = exports(
    __name__,
    {
        "Clipped": "noisette.diffusion.denoiser",
        "Denoiser": "noisette.diffusion.denoiser",
        "NetworkDenoiser": "noisette.diffusion.denoiser",
        "Noise": "noisette.diffusion.noise",
        "Posterior": "noisette.diffusion.tables",
        "Prediction": "noisette.diffusion.prediction",
        "Spacing": "noisette.diffusion.spacing",
        "Tables": "noisette.diffusion.tables",
        "derive_seed": "noisette.diffusion.noise",
    },
)
