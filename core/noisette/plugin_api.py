"""Names for plugins beyond `noisette` and `noisette.testing`: types, files, images, seeds and storage.

The built-in plugins import from these three modules only. Importing this one loads nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from noisette.lazy import exports

if TYPE_CHECKING:
    from noisette.checkpoint import Checkpoint
    from noisette.config import ScheduleRef
    from noisette.contracts.backbone import Pretrained
    from noisette.contracts.evaluated_model import EvaluatedModel
    from noisette.contracts.features import Classifier, Extractor
    from noisette.contracts.images import LabelledImages
    from noisette.contracts.metric import State
    from noisette.data.decode import decode_image, read_image, to_printable
    from noisette.data.download import fetch
    from noisette.data.files import FileEntry, hash_listing, is_folder, iter_files, natural_key
    from noisette.diffusion import derive_seed
    from noisette.diffusion.bound import get_bound
    from noisette.diffusion.noise import seeded_generator
    from noisette.diffusion.prediction import log_variance
    from noisette.extras import install_command
    from noisette.lazy import exports
    from noisette.model.conditioning import Conditioning, downsample, upsample
    from noisette.pixels import to_unit
    from noisette.storage import cache_directory, committed, digest, verify

__all__ = [
    "Checkpoint",
    "Classifier",
    "Conditioning",
    "EvaluatedModel",
    "Extractor",
    "FileEntry",
    "LabelledImages",
    "Pretrained",
    "ScheduleRef",
    "State",
    "cache_directory",
    "committed",
    "decode_image",
    "derive_seed",
    "digest",
    "downsample",
    "exports",
    "fetch",
    "get_bound",
    "hash_listing",
    "install_command",
    "is_folder",
    "iter_files",
    "log_variance",
    "natural_key",
    "read_image",
    "seeded_generator",
    "to_printable",
    "to_unit",
    "upsample",
    "verify",
]

__getattr__, __dir__ = exports(
    __name__,
    {
        "Checkpoint": "noisette.checkpoint",
        "Classifier": "noisette.contracts.features",
        "Conditioning": "noisette.model.conditioning",
        "EvaluatedModel": "noisette.contracts.evaluated_model",
        "Extractor": "noisette.contracts.features",
        "FileEntry": "noisette.data.files",
        "LabelledImages": "noisette.contracts.images",
        "Pretrained": "noisette.contracts.backbone",
        "ScheduleRef": "noisette.config",
        "State": "noisette.contracts.metric",
        "cache_directory": "noisette.storage",
        "committed": "noisette.storage",
        "decode_image": "noisette.data.decode",
        "derive_seed": "noisette.diffusion",
        "digest": "noisette.storage",
        "downsample": "noisette.model.conditioning",
        "exports": "noisette.lazy",
        "fetch": "noisette.data.download",
        "get_bound": "noisette.diffusion.bound",
        "hash_listing": "noisette.data.files",
        "install_command": "noisette.extras",
        "is_folder": "noisette.data.files",
        "iter_files": "noisette.data.files",
        "log_variance": "noisette.diffusion.prediction",
        "natural_key": "noisette.data.files",
        "read_image": "noisette.data.decode",
        "seeded_generator": "noisette.diffusion.noise",
        "to_printable": "noisette.data.decode",
        "to_unit": "noisette.pixels",
        "upsample": "noisette.model.conditioning",
        "verify": "noisette.storage",
    },
)
