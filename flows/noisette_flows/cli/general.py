"""Options of `noisette` itself, before any command."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import Annotated

import typer

import noisette

__all__ = ["options"]


class Device(StrEnum):
    """Where networks may compute."""

    CPU = "cpu"
    CUDA = "cuda"


def _show_version(asked: bool) -> None:
    if asked:
        print(f"noisette {noisette.__version__}")
        raise typer.Exit


def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    device: Annotated[
        Device | None,
        typer.Option(help="Where networks compute; a GPU if there is one. NOISETTE_DEVICE says the same."),
    ] = None,
) -> None:
    """Take the options that belong to no command."""
    if device is not None:
        os.environ["NOISETTE_DEVICE"] = device  # processes that a stage starts compute there too
