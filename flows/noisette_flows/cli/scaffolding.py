"""`noisette plugins new`: a package that works, to begin from."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from noisette.contracts import KINDS
from noisette_flows.cli.plugins import check_kind
from noisette_flows.scaffold import HOOKS, Names, write_package

__all__ = ["new_plugin"]

_KINDS = (*KINDS, HOOKS)


def new_plugin(
    kind: Annotated[str, typer.Argument(metavar="KIND", help=f"One of: {', '.join(_KINDS)}.", show_default=False)],
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="How configs will call it, such as my-sampler.", show_default=False),
    ],
    directory: Annotated[
        Path, typer.Option("--directory", "-d", help="Where the package's folder is made.")
    ] = Path(),
) -> None:
    """Write a package with a plugin, or hooks, that work, its tests and its CI."""
    check_kind(kind, _KINDS)
    names = Names.free(kind, name)
    written = write_package(names, directory)
    package = directory / names.distribution
    print("\n".join(map(str, written)))
    print("\nIt works as it is. Install it so that what you edit is what runs, then check it:\n")
    print(f"  pip install -e {quote(str(package))}")
    print("  noisette plugins list" if kind == HOOKS else f"  noisette plugins check {kind} {name}")
