"""Empty databases of Prefect and MLflow, made once on this machine: migrations take longer than most tests."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from functools import cache
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

__all__ = ["copy_mlflow_database", "copy_prefect_database"]


def copy_prefect_database(home: Path) -> None:
    """Copy an empty database into a home of Prefect."""
    home.mkdir(exist_ok=True)
    shutil.copy(_template("prefect", _make_prefect_database), home / "prefect.db")


def copy_mlflow_database(path: Path) -> None:
    """Copy an empty database, as MLflow itself leaves it."""
    shutil.copy(_template("mlflow", _make_mlflow_database), path)


@cache
def _template(package: str, make: Callable[[Path], Path]) -> Path:
    folder = Path(gettempdir()) / f"noisette-tests-{os.getuid()}"
    path = folder / f"{package}-{version(package)}.db"
    if not path.exists():
        folder.mkdir(mode=0o700, exist_ok=True)
        with TemporaryDirectory(dir=folder) as staging:
            make(Path(staging)).replace(path)
    return path


def _make_prefect_database(folder: Path) -> Path:
    command = [Path(sys.executable).with_name("prefect"), "server", "database", "upgrade", "--yes"]
    subprocess.run(command, env={**os.environ, "PREFECT_HOME": str(folder)}, check=True, capture_output=True)
    return folder / "prefect.db"


def _make_mlflow_database(folder: Path) -> Path:
    from noisette_flows.tracking.database import prepare

    path = folder / "mlflow.db"
    prepare(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("drop table noisette_store")  # which identifies a store
    return path
