"""Where servers listen, and who is let in.

On this machine alone (loopback) no password is asked for: whoever is logged in here may look. Anywhere else both
servers ask for one. They speak plain HTTP, so what is beyond a trusted network belongs behind a proxy with TLS.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from noisette import NoisetteError
from noisette_flows.serving.background import FOLDER

__all__ = ["USER", "Exposure", "ServingError", "is_loopback"]

USER = "noisette"

_PASSWORD = "password"
_ANYWHERE = ("0.0.0.0", "::")


class ServingError(NoisetteError):
    """Servers that cannot be started as asked for."""


@dataclass(frozen=True)
class Exposure:
    """Where servers listen.

    Attributes:
        address: an IP address or a name of this machine.
        password: asked for by both servers, of the user "noisette"; empty on loopback.
    """

    address: str
    password: str

    @classmethod
    def of(cls, address: str, folder: Path = FOLDER) -> Self:
        """Return the exposure of an address, with the folder's password, made if need be, where it needs one.

        The password is that of NOISETTE_PASSWORD, if it is set.

        Raises:
            ServingError: if the password is too short, or cannot stand in an address.
        """
        if is_loopback(address):
            return cls(address, "")
        return cls(address, _password(folder))

    @property
    def here(self) -> str:
        """The address at which this machine itself finds what listens there."""
        address = "127.0.0.1" if self.address in _ANYWHERE else self.address
        return f"[{address}]" if ":" in address else address

    @property
    def names(self) -> list[str]:
        """The names and addresses that a browser may call it by."""
        names = [self.here, "localhost" if is_loopback(self.address) or self.address in _ANYWHERE else ""]
        if self.password:
            names += [socket.gethostname(), socket.getfqdn(), *_addresses()]
        return list(dict.fromkeys(name for name in names if name))

    def origins(self, port: int) -> list[str]:
        """Return the origins of the pages of a server here."""
        return [f"http://{name}:{port}" for name in self.names]


def is_loopback(address: str) -> bool:
    """Return whether only this machine reaches what listens at an address."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def _password(folder: Path) -> str:
    given = os.environ.get("NOISETTE_PASSWORD", "")
    if given:
        if len(given) < 12 or any(letter in given for letter in ":%\n"):  # MLflow takes 12 and more
            raise ServingError("NOISETTE_PASSWORD: expected 12 characters and more, without : and %")
        return given
    path = folder / _PASSWORD
    if not path.exists():
        folder.mkdir(mode=0o700, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(18))
    return path.read_text(encoding="utf-8").strip()


def _addresses() -> list[str]:
    try:
        found = socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)
    except OSError:
        return []
    return sorted({str(entry[4][0]) for entry in found})
