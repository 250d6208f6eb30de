"""Clients of the servers of `noisette up` in the working folder."""

from __future__ import annotations

import os
from pathlib import Path

from noisette_flows.serving.background import FOLDER, BackgroundServer, RunningServer
from noisette_flows.serving.password import USER, read_password

__all__ = ["connect", "mlflow_url_of", "running_prefect"]


def connect(folder: Path = FOLDER) -> None:
    """Configure Prefect to use the server of this folder, unless another is configured.

    Call it before importing Prefect.
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
    """Return the running Prefect server of this folder, or None."""
    return BackgroundServer("prefect", folder).running


def mlflow_url_of(store: str, folder: Path = FOLDER) -> str:
    """Return the URL of this folder's MLflow server if it serves `store`; otherwise ""."""
    running = BackgroundServer("mlflow", folder).running
    return running.url if running is not None and running.store == store else ""
