"""The password of a working folder's servers: NOISETTE_PASSWORD, or a generated one stored in the folder."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from noisette import NoisetteError
from noisette_flows.serving.background import FOLDER, private_folder

__all__ = ["USER", "ServingError", "ensure_password", "read_password"]

USER = "noisette"

_FILE = "password"


class ServingError(NoisetteError):
    """Servers that cannot be started or used."""


def ensure_password(folder: Path = FOLDER) -> str:
    """Return the password of a folder's servers, generated if there is none yet.

    Raises:
        ServingError: if it is too short, has characters not allowed in a URL, or may have been read or written by
            other users.
    """
    password = read_password(folder)
    if not password:
        private_folder(folder)
        password = secrets.token_urlsafe(18)
        with os.fdopen(os.open(folder / _FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(password)
    return password


def read_password(folder: Path = FOLDER) -> str:
    """Return the password of a folder's servers, or "" if there is none; raises the errors of `ensure_password`."""
    given = os.environ.get("NOISETTE_PASSWORD", "")
    if given:
        if len(given) < 12 or any(letter in given for letter in ":%\n"):  # MLflow requires 12
            raise ServingError("NOISETTE_PASSWORD: expected 12 characters and more, without : and %")
        return given
    path = folder / _FILE
    try:
        found = path.lstat()
    except FileNotFoundError:
        return ""
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise ServingError(
            f"{path}: expected a file that only you can read and write; others may know this password: "
            "`noisette down`, remove the file, and `noisette up` makes another"
        )
    return path.read_text(encoding="utf-8").strip()
