"""Installing small packages into a folder, as pip would leave them there."""

from __future__ import annotations

import sys
from pathlib import Path

from noisette.plugins import Registry, discover

__all__ = ["RALSTON", "Site", "install"]

RALSTON = '''
from typing import ClassVar
from noisette import Sampler, hookimpl

class Ralston(Sampler):
    """Second order."""
    name: ClassVar[str] = "ralston"
    order: ClassVar[int] = 2

    def trajectory(self, denoise, x, noise):
        yield x

@hookimpl
def plugins():
    yield Ralston
'''
"""A package's module that is whole."""


def install(
    folder: Path, name: str, source: str, *, points: str = "main = {module}", version: str = "1.5", file: str = ""
) -> str:
    """Write a module and its distribution's metadata; return the module's name."""
    module = name.replace("-", "_")
    (folder / (file or f"{module}.py")).write_text(source)
    metadata = folder / f"{module}-{version}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (metadata / "RECORD").write_text("")
    (metadata / "entry_points.txt").write_text("[noisette]\n" + points.format(module=module) + "\n")
    return module


class Site:
    """A folder of installed packages beside the built-in ones."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(self, name: str, source: str = RALSTON, **metadata: str) -> None:
        install(self.folder, name, source, **metadata)

    def registry(self) -> Registry:
        return Registry(discover())

    def forget(self) -> None:
        """Take the modules that were imported from here out of the interpreter."""
        for name, module in list(sys.modules.items()):
            if str(getattr(module, "__file__", None) or "").startswith(str(self.folder)):
                del sys.modules[name]
