"""DINOv2: features learned without labels."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from noisette_plugins.features.pretrained import Pretrained

__all__ = ["DINOv2"]


class DINOv2(Pretrained):
    """DINOv2's class token after the last normalisation, from weights in a folder.

    Its distances agree better with human judgement of photographs than those of Inception (Stein et al. 2023, who
    use ViT-L/14). Images are scaled to `size` pixels by anti-aliased bicubic interpolation; the library
    interpolates the position embeddings.
    """

    name: ClassVar[str] = "dinov2"
    paper: ClassVar[str] = "Oquab et al. 2023; as features of a Frechet distance: Stein et al. 2023"
    model_types: ClassVar[tuple[str, ...]] = ("dinov2", "dinov2_with_registers")
    architectures: ClassVar[tuple[str, ...]] = ("dinov2",)
    mean: ClassVar[tuple[float, float, float]] = (0.485, 0.456, 0.406)
    std: ClassVar[tuple[float, float, float]] = (0.229, 0.224, 0.225)

    size: int = Field(224, ge=14, le=1024, description="pixels that images are scaled to, a multiple of 14")

    @property
    def dimensions(self) -> int:  # type: ignore[override]
        """The width of the network."""
        config = self.config()
        return int(config["num_features"] if "architecture" in config else config.get("hidden_size", 768))

    @property
    def input_size(self) -> int:
        """The value of `size`."""
        return self.size

    def _timm_options(self, config: dict[str, Any]) -> dict[str, Any]:
        return {"num_classes": 0, "img_size": self.size}
