"""Plugins: discovery of installed packages, and the registry."""

from __future__ import annotations

from noisette.plugins.discovery import BrokenPlugin, FoundPlugin, PluginSource, discover
from noisette.plugins.registry import Registry, register, registry

__all__ = ["BrokenPlugin", "FoundPlugin", "PluginSource", "Registry", "discover", "register", "registry"]
