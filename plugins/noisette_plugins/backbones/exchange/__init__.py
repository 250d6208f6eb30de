"""Import and export of networks in the file formats of other libraries.

The readers return a `noisette.plugin_api.Pretrained`. The other libraries need not be installed.

    from noisette_plugins.backbones.exchange import export_pipeline, load_diffusers, load_lucidrains
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from noisette.plugin_api import exports

if TYPE_CHECKING:
    from noisette_plugins.backbones.exchange.diffusers_folder import export_pipeline, export_unet, load_diffusers
    from noisette_plugins.backbones.exchange.lucidrains import load_lucidrains

__all__ = ["export_pipeline", "export_unet", "load_diffusers", "load_lucidrains"]

__getattr__, __dir__ = exports(
    __name__,
    {
        "export_pipeline": "noisette_plugins.backbones.exchange.diffusers_folder",
        "export_unet": "noisette_plugins.backbones.exchange.diffusers_folder",
        "load_diffusers": "noisette_plugins.backbones.exchange.diffusers_folder",
        "load_lucidrains": "noisette_plugins.backbones.exchange.lucidrains",
    },
)
