"""CLIP: features learned from images and their captions."""

from __future__ import annotations

from typing import ClassVar

from noisette_plugins.features.pretrained import Pretrained

__all__ = ["CLIP"]


class CLIP(Pretrained):
    """CLIP's image embedding, projected and not normalised, from weights in a folder.

    Images are scaled to the size of the network's training images by anti-aliased bicubic interpolation.
    """

    name: ClassVar[str] = "clip"
    paper: ClassVar[str] = "Radford et al. 2021; as features of a Frechet distance: Kynkaanniemi et al. 2023"
    model_types: ClassVar[tuple[str, ...]] = ("clip", "clip_vision_model")
    architectures: ClassVar[tuple[str, ...]] = ("_clip_",)
    mean: ClassVar[tuple[float, float, float]] = (0.48145466, 0.4578275, 0.40821073)
    std: ClassVar[tuple[float, float, float]] = (0.26862954, 0.26130258, 0.27577711)

    @property
    def dimensions(self) -> int:  # type: ignore[override]
        """The width of the embedding."""
        config = self.config()
        return int(config["num_classes"] if "architecture" in config else config.get("projection_dim", 512))

    @property
    def input_size(self) -> int:
        """The image size that the network was trained with."""
        config = self.config()
        if "architecture" in config:
            return int(config.get("pretrained_cfg", {}).get("input_size", (3, 224, 224))[-1])
        return int(config.get("vision_config", config).get("image_size", 224))
