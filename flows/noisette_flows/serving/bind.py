"""The address that servers listen on, and their password.

Both servers require a password, also on loopback addresses: other users of the machine can reach them there, and so
can any web page, by blind requests or by DNS rebinding to 127.0.0.1. Prefect's server starts any command that it is
asked to, and MLflow's serves any file that its owner can read. Both use plain HTTP, so access from outside a
trusted network requires a proxy with TLS.
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
    """The address that servers listen on.

    Attributes:
        address: an IP address or a name of this machine.
        password: required by both servers, for the user "noisette".
    """

    address: str
    password: str

    @classmethod
    def of(cls, address: str, folder: Path = FOLDER) -> Self:
        """Return the bind address with the folder's password, which is generated if there is none.

        Raises:
            ServingError: if the address is empty, or the password cannot be used, see `ensure_password`.
        """
        if not address:
            raise ServingError("--listen: expected an address, such as 127.0.0.1; got nothing")
        return cls(address, ensure_password(folder))

    @property
    def local_address(self) -> str:
        """The address by which this machine itself reaches the server."""
        address = "127.0.0.1" if self.address in _ALL_INTERFACES else self.address
        return f"[{address}]" if ":" in address else address

    @property
    def names(self) -> list[str]:
        """The names and addresses by which a browser may reach it."""
        names = [
            self.local_address,
            "localhost" if is_loopback(self.address) or self.address in _ALL_INTERFACES else "",
        ]
        if not is_loopback(self.address):
            names += [socket.gethostname(), socket.getfqdn(), *_addresses()]
        return list(dict.fromkeys(name for name in names if name))

    def origins(self, port: int) -> list[str]:
        """Return the origins of the web pages of a server at this address."""
        return [f"http://{name}:{port}" for name in self.names]


def is_loopback(address: str) -> bool:
    """Return whether an address can be reached from this machine only."""
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
