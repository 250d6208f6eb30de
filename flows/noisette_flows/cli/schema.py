"""`noisette schema`: what a config may say, for editors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from noisette import StorageError

__all__ = ["schema"]


def schema(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write it to this file.", show_default=False)
    ] = None,
) -> None:
    """Print the JSON schema of configs, with the options of all installed plugins.

    A YAML file whose first line is `# yaml-language-server: $schema=FILE` is then completed and checked by editors.
    """
    from noisette.config.schema import config_schema

    text = json.dumps(config_schema(), indent=1, ensure_ascii=False)
    if output is None:
        print(text)
        return
    try:
        output.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise StorageError(f"{output}: cannot be written: {error.strerror or error}") from None
    print(f"{output}: for an editor, begin a config with\n# yaml-language-server: $schema={output}")
