"""Install commands of the optional dependencies."""

from __future__ import annotations

from importlib.metadata import requires
from shlex import join

__all__ = ["install_command"]


def install_command(extra: str) -> str:
    """Return a command that installs the packages of an extra by name.

    Unlike ``pip install 'noisette[dask]'``, it does not require noisette to be on a package index.
    """
    marked = [requirement.partition(";") for requirement in requires("noisette") or ()]
    packages = [package.strip() for package, _, marker in marked if marker.strip() == f"extra == '{extra}'"]
    return join(["pip", "install", *packages])
