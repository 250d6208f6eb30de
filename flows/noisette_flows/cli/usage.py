"""How commands are shown: ``noisette export CHECKPOINT FOLDER``, without typer's braces round what is required."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand

__all__ = ["Command"]


class Command(TyperCommand):
    """A command whose required arguments are named as they are everywhere else."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the words of the usage line."""
        return [_plain(piece) for piece in super().collect_usage_pieces(ctx)]


def _plain(piece: str) -> str:
    if piece.startswith("{"):
        name, _, more = piece[1:].rpartition("}")
        return name if "..." in name or " " in name else name + more
    if piece.startswith("[["):
        return piece[1:-1]
    return piece.removesuffix("...") if piece.endswith("...]...") else piece
