"""Starting and stopping both servers, the address that they listen on, and how they are protected.

Both servers require a password, also on loopback addresses: other users of the machine can reach them there, and so
can any web page, by blind requests or by DNS rebinding to 127.0.0.1. Prefect's server starts any command that it is
asked to, and MLflow's serves any file that its owner can read. Both use plain HTTP, so access from outside a
trusted network requires a proxy with TLS.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from noisette_flows.serving.background import (
    FOLDER,
    USER,
    BackgroundServer,
    RunningServer,
    ServingError,
    ensure_password,
    private_folder,
)
from noisette_flows.tracking import Store
from noisette_flows.tracking.database import for_sqlalchemy

__all__ = ["BindAddress", "Servers", "down", "is_loopback", "up"]

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


_PATIENCE = 180.0  # seconds until a server must answer; a busy machine is slow
_NAMES = ("prefect", "mlflow")


@dataclass(frozen=True)
class Servers:
    """Address and ports of `noisette up`.

    Attributes:
        bind: the address of both.
        prefect_port, mlflow_port: their ports.
    """

    bind: BindAddress
    prefect_port: int = 4200
    mlflow_port: int = 5000

    def prefect(self) -> tuple[list[str], dict[str, str]]:
        """Return the command and the environment of Prefect's server."""
        command = [sys.executable, "-P", "-m", "prefect", "server", "start", "--host", self.bind.address]
        # without a list of origins any web page may call the server
        settings = {
            "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": ",".join(self.bind.origins(self.prefect_port)),
            "PREFECT_SERVER_UI_API_URL": "/api",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_API_AUTH_STRING": f"{USER}:{self.bind.password}",
        }
        left_out = ("PREFECT_API_URL", "PREFECT_API_KEY", "PREFECT_SERVER_LOGGING_LEVEL")
        return [*command, "--port", str(self.prefect_port)], _environment(settings, left_out)

    def mlflow(self, store: Store, folder: Path) -> tuple[list[str], dict[str, str]]:
        """Return the command and the environment of MLflow's server."""
        here = store.database.parent if store.database else Path.cwd()
        command = [sys.executable, "-P", "-m", "mlflow", "server", "--workers", "1"]
        command += ["--host", self.bind.address, "--port", str(self.mlflow_port)]
        command += [
            "--artifacts-destination",
            (here.resolve() / "mlartifacts").as_uri(),
            "--app-name",
            "basic-auth",
        ]
        hosts = [f"{name}:{self.mlflow_port}" for name in self.bind.names]
        settings = {
            "MLFLOW_BACKEND_STORE_URI": store.for_client(),
            "MLFLOW_AUTH_CONFIG_PATH": str(_auth_config(self.bind, folder)),
            "MLFLOW_AUTH_ADMIN_USERNAME": USER,
            "MLFLOW_AUTH_ADMIN_PASSWORD": self.bind.password,
            "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(32),
            # by default MLflow also answers to host names such as 10.evil.example
            "MLFLOW_SERVER_ALLOWED_HOSTS": ",".join([*hosts, *self.bind.names]),
            "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": ",".join(self.bind.origins(self.mlflow_port)),
            # eight processes for language model jobs, which are not used here
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        }
        return command, _environment(settings, ("MLFLOW_TRACKING_URI",))


def up(servers: Servers, tell: Callable[[str], None], folder: Path = FOLDER) -> list[RunningServer]:
    """Start the servers that are not running; return both once they answer.

    Raises:
        ServingError: if a port is in use, or a server does not start; servers started before it keep running.
    """
    store = Store.of(None)
    if store is None or store.database is None:
        raise ServingError(
            "MLFLOW_TRACKING_URI names no file: expected sqlite:///FILE, or nothing, for mlflow.db here"
        )
    private_folder(folder)
    store.prepare()
    (folder / ".gitignore").write_text("*\n", encoding="utf-8")
    here = servers.bind.local_address
    specs = {
        "prefect": (servers.prefect_port, "/api/health", *servers.prefect(), ""),
        "mlflow": (servers.mlflow_port, "/health", *servers.mlflow(store, folder), store.uri),
    }
    started = {}
    for name, (port, _, command, environment, shown) in specs.items():
        server = BackgroundServer(name, folder)
        if server.running is None:
            _refuse_taken(servers.bind.address, port, name)
            started[name] = server.start(
                command, environment, f"http://{here}:{port}", f"{servers.bind.address}:{port}", shown
            )
    for name, process in started.items():
        tell(f"{_title(name)} is starting")
        _wait_until_up(BackgroundServer(name, folder), process, f"http://{here}:{specs[name][0]}{specs[name][1]}")
    running = [BackgroundServer(name, folder).running for name in _NAMES]
    return [one for one in running if one is not None]


def down(folder: Path = FOLDER) -> dict[str, bool]:
    """Stop both servers; return whether each was running."""
    return {name: BackgroundServer(name, folder).stop() for name in _NAMES}


def _wait_until_up(server: BackgroundServer, process: subprocess.Popen[bytes] | None, health: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        if process is not None and process.poll() is not None:
            break
        if _is_up(health):
            return
        time.sleep(0.2)
    server.stop()
    raise ServingError(
        f"{_title(server.name)} does not start; the end of {server.log}:\n{server.last_output() or '(empty)'}"
    )


def _is_up(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=5):
            return True
    except urllib.error.HTTPError as error:
        return error.code in (401, 403)  # it requires the password
    except OSError:
        return False


def _refuse_taken(address: str, port: int, name: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            raise ServingError(
                f"{address}:{port} cannot be listened at for {_title(name)} ({error.strerror or error}); "
                f"end what is there, or give --{name}-port another"
            ) from None


def _auth_config(bind: BindAddress, folder: Path) -> Path:
    """Write MLflow's user configuration and return its path. A new password starts a new user database."""
    users = (folder / f"mlflow-users-{hashlib.sha256(bind.password.encode()).hexdigest()[:8]}.db").absolute()
    users.touch(mode=0o600)
    users.chmod(0o600)
    uri = for_sqlalchemy(users).replace("%", "%%")  # an escaped % in the file
    lines = [
        "[mlflow]",
        "default_permission = READ",
        f"database_uri = {uri}",
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth",
    ]
    path = (folder / "mlflow-auth.ini").absolute()
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _environment(settings: dict[str, str], left_out: tuple[str, ...]) -> dict[str, str]:
    return {**{name: value for name, value in os.environ.items() if name not in left_out}, **settings}


def _title(name: str) -> str:
    return {"prefect": "Prefect", "mlflow": "MLflow"}[name]
