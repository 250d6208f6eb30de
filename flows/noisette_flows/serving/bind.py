"""Where servers listen, and who is let in.

Both servers ask for a password, on this machine alone (loopback) too: other users of the machine reach them there,
and so does every page in a browser, by blind requests or by a name that it has stand for 127.0.0.1. Prefect's
starts what it is told to, and MLflow's hands out any file that its owner can read. They speak plain HTTP, so what
is beyond a trusted network belongs behind a proxy with TLS.
"""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from noisette_flows.serving.background import FOLDER
from noisette_flows.serving.password import ServingError, ensure_password

__all__ = ["BindAddress", "is_loopback"]

_ALL_INTERFACES = ("0.0.0.0", "::")


@dataclass(frozen=True)
class BindAddress:
    """Where servers listen.

    Attributes:
        address: an IP address or a name of this machine.
        password: asked for by both servers, of the user "noisette".
    """

    address: str
    password: str

    @classmethod
    def of(cls, address: str, folder: Path = FOLDER) -> Self:
        """Return the exposure of an address, with the folder's password, which is made if need be.

        Raises:
            ServingError: without an address; or if the password cannot be used, see `ensure_password`.
        """
        if not address:
            raise ServingError("--listen: expected an address, such as 127.0.0.1; got nothing")
        return cls(address, ensure_password(folder))

    @property
    def local_address(self) -> str:
        """The address at which this machine itself finds what listens there."""
        address = "127.0.0.1" if self.address in _ALL_INTERFACES else self.address
        return f"[{address}]" if ":" in address else address

    @property
    def names(self) -> list[str]:
        """The names and addresses that a browser may call it by."""
        names = [
            self.local_address,
            "localhost" if is_loopback(self.address) or self.address in _ALL_INTERFACES else "",
        ]
        if not is_loopback(self.address):
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


def _addresses() -> list[str]:
    try:
        found = socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)
    except OSError:
        return []
    return sorted({str(entry[4][0]) for entry in found})
