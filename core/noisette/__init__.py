"""noisette: diffusion models from images to a comparison you can trust, every part a plugin.

`import noisette` imports neither torch nor any plugin; they are imported on first use. The environment variable
OMP_WAIT_POLICY defaults to PASSIVE: threads that spin while they wait make a training many times slower on a busy
machine.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from noisette.contracts import (
    API_VERSION,
    Backbone,
    Batch,
    Curve,
    Dataset,
    Estimate,
    Example,
    Features,
    Metric,
    ModelMetric,
    Neighbours,
    Objective,
    Plugin,
    Sampler,
    Schedule,
    Shape,
    Split,
)
from noisette.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    NoisetteError,
    NotFiniteError,
    PluginError,
    StorageError,
)
from noisette.hooks import Run, hookimpl
from noisette.lazy import exports

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch is imported

if TYPE_CHECKING:
    from noisette.config import Experiment
    from noisette.data import Prepared, prepare
    from noisette.diffusion import Clipped, Denoiser, Noise, Prediction, Process
    from noisette.evaluation import Report, evaluate
    from noisette.events import Events
    from noisette.find import find_checkpoint
    from noisette.model.network_denoiser import NetworkDenoiser
    from noisette.plugins import register, registry
    from noisette.sampling import Samples, sample
    from noisette.training import Model, train
    from noisette.version import __version__

_LAZY = {
    "Clipped": "noisette.diffusion",
    "Denoiser": "noisette.diffusion",
    "Events": "noisette.events",
    "Experiment": "noisette.config",
    "Model": "noisette.training",
    "NetworkDenoiser": "noisette.model.network_denoiser",
    "Noise": "noisette.diffusion",
    "Prediction": "noisette.diffusion",
    "Prepared": "noisette.data",
    "Report": "noisette.evaluation",
    "Samples": "noisette.sampling",
    "Process": "noisette.diffusion",
    "__version__": "noisette.version",
    "evaluate": "noisette.evaluation",
    "find_checkpoint": "noisette.find",
    "prepare": "noisette.data",
    "register": "noisette.plugins",
    "registry": "noisette.plugins",
    "sample": "noisette.sampling",
    "train": "noisette.training",
}

__all__ = [
    "API_VERSION",
    "Backbone",
    "Batch",
    "CheckpointError",
    "Clipped",
    "ConfigError",
    "Curve",
    "DataError",
    "Dataset",
    "Denoiser",
    "Estimate",
    "Events",
    "Example",
    "Experiment",
    "Features",
    "Metric",
    "Model",
    "ModelMetric",
    "Neighbours",
    "NetworkDenoiser",
    "Noise",
    "NoisetteError",
    "NotFiniteError",
    "Objective",
    "Plugin",
    "PluginError",
    "Prediction",
    "Prepared",
    "Process",
    "Report",
    "Run",
    "Sampler",
    "Samples",
    "Schedule",
    "Shape",
    "Split",
    "StorageError",
    "__version__",
    "evaluate",
    "find_checkpoint",
    "hookimpl",
    "prepare",
    "register",
    "registry",
    "sample",
    "train",
]

__getattr__, __dir__ = exports(__name__, _LAZY)
