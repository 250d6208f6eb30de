"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from noisette.config.overrides import parse_override

__all__ = ["Again", "AsJson", "Config", "Output", "Set", "TrackingUri", "overrides_of"]

Config = Annotated[str, typer.Argument(metavar="CONFIG", help="YAML file of the experiment.", show_default=False)]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Change the config, such as training.steps=500; repeatable."),
]
Output = Annotated[str, typer.Option("--output", "-o", help="Folder of all results.")]
Again = Annotated[
    bool, typer.Option("--again", help="Do it anew although it is finished; the old result stays until then.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
TrackingUri = Annotated[
    str | None,
    typer.Option(
        "--tracking-uri",
        help='MLflow store; "off" for none. Default: MLFLOW_TRACKING_URI, or mlflow.db here.',
        show_default=False,
    ),
]


def overrides_of(settings: list[str] | None) -> dict[str, Any]:
    """Return the changes that `--set` asks for, by path.

    Raises:
        ConfigError: if one is not PATH=VALUE.
    """
    return dict(parse_override(text) for text in settings or [])
