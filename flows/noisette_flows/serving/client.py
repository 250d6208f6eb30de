"""Using the servers that are up in the working folder."""

from __future__ import annotations

import os
from pathlib import Path

from noisette_flows.serving.background import FOLDER, BackgroundServer, RunningServer
from noisette_flows.serving.password import USER, read_password

__all__ = ["connect", "mlflow_url_of", "running_prefect"]


def connect(folder: Path = FOLDER) -> None:
    """Have Prefect use the server that is up here, unless the user has named another; call it before its import.

    Raises:
        ServingError: if its password cannot be used.
    """
    running = running_prefect(folder)
    if running is None:
        return
    url = f"{running.url}/api"
    if os.environ.setdefault("PREFECT_API_URL", url).replace("//localhost:", "//127.0.0.1:").rstrip("/") != url:
        return
    password = read_password(folder)
    if password:
        os.environ.setdefault("PREFECT_API_AUTH_STRING", f"{USER}:{password}")


def running_prefect(folder: Path = FOLDER) -> RunningServer | None:
    """Return Prefect's server that is up here, or None."""
    return BackgroundServer("prefect", folder).running


def mlflow_url_of(store: str, folder: Path = FOLDER) -> str:
    """Return where the MLflow server that is up here shows a store; empty if none does."""
    running = BackgroundServer("mlflow", folder).running
    return running.url if running is not None and running.store == store else ""
