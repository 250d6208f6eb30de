"""Using the servers that are up in the working folder."""

from __future__ import annotations

import os
from pathlib import Path

from noisette_flows.serving.background import FOLDER, Background, Standing
from noisette_flows.serving.password import USER, kept_password

__all__ = ["connect", "prefect_up", "shown_by"]


def connect(folder: Path = FOLDER) -> None:
    """Have Prefect use the server that is up here, unless the user has named another; call it before its import.

    Raises:
        ServingError: if its password cannot be used.
    """
    standing = prefect_up(folder)
    if standing is None:
        return
    url = f"{standing.url}/api"
    if os.environ.setdefault("PREFECT_API_URL", url).replace("//localhost:", "//127.0.0.1:").rstrip("/") != url:
        return
    password = kept_password(folder)
    if password:
        os.environ.setdefault("PREFECT_API_AUTH_STRING", f"{USER}:{password}")


def prefect_up(folder: Path = FOLDER) -> Standing | None:
    """Return Prefect's server that is up here, or None."""
    return Background("prefect", folder).standing


def shown_by(store: str, folder: Path = FOLDER) -> str:
    """Return where the MLflow server that is up here shows a store; empty if none does."""
    standing = Background("mlflow", folder).standing
    return standing.url if standing is not None and standing.store == store else ""
