"""`noisette --version`."""

from __future__ import annotations

from typing import Annotated

import typer

import noisette

__all__ = ["options"]


def _show(asked: bool) -> None:
    if asked:
        print(f"noisette {noisette.__version__}")
        raise typer.Exit


def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Take the options that belong to no command."""
