"""How to install what an optional part of noisette needs."""

from __future__ import annotations

from importlib.metadata import requires
from shlex import join

__all__ = ["install_command"]


def install_command(extra: str) -> str:
    """Return a command that installs the packages of an extra by their own names.

    It works wherever noisette itself came from: ``pip install 'noisette[dask]'`` would ask an index for noisette,
    which a clone is not in.
    """
    marked = [requirement.partition(";") for requirement in requires("noisette") or ()]
    packages = [package.strip() for package, _, marker in marked if marker.strip() == f"extra == '{extra}'"]
    return join(["pip", "install", *packages])
