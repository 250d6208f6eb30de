"""The mathematics of diffusion: process, predictions, denoisers, noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from noisette.lazy import exports

if TYPE_CHECKING:
    from noisette.diffusion.denoiser import Clipped, Denoiser
    from noisette.diffusion.guidance import GradientGuided, Guided, Thresholded
    from noisette.diffusion.noise import Noise, derive_seed
    from noisette.diffusion.prediction import Prediction
    from noisette.diffusion.process import Posterior, Process
    from noisette.diffusion.spacing import Spacing

__all__ = [
    "Clipped",
    "Denoiser",
    "GradientGuided",
    "Guided",
    "Noise",
    "Posterior",
    "Prediction",
    "Process",
    "Spacing",
    "Thresholded",
    "derive_seed",
]

__getattr__, __dir__ = exports(
    __name__,
    {
        "Clipped": "noisette.diffusion.denoiser",
        "Denoiser": "noisette.diffusion.denoiser",
        "GradientGuided": "noisette.diffusion.guidance",
        "Guided": "noisette.diffusion.guidance",
        "Noise": "noisette.diffusion.noise",
        "Posterior": "noisette.diffusion.process",
        "Prediction": "noisette.diffusion.prediction",
        "Spacing": "noisette.diffusion.spacing",
        "Process": "noisette.diffusion.process",
        "Thresholded": "noisette.diffusion.guidance",
        "derive_seed": "noisette.diffusion.noise",
    },
)
