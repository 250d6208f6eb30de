"""Finding plugins: discovery of installed packages, and the registry that names resolve in."""

from __future__ import annotations

from noisette.plugins.discovery import Broken, Found, Source, discover
from noisette.plugins.registry import Registry, register, registry

__all__ = ["Broken", "Found", "Registry", "Source", "discover", "register", "registry"]
