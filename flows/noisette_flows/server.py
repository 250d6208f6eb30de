"""Prefect's embedded server, started in the background; it ends with this process, for any reason.

Prefect can start one itself, but it first imports the whole server into this process. Ctrl-C, which a terminal
sends to all processes of the command, then ends the server before the flow: the flow retries for minutes, and its
run stays "Running" forever. Here the server is instead the child of a keeper in its own session. The keeper waits
on a pipe that this process holds open and that the kernel closes.

Web pages in a browser and other users of the machine can send requests to a local server. The server answers only
requests with its password, which is generated for this process and passed on in the environment.
"""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryFile

from noisette import NoisetteError
from noisette_flows import keeper
from noisette_flows.environment import warn_of_local_server_setting

__all__ = ["ServerError", "check_server", "start_server", "uses_embedded_server"]

_PAUSE = 0.05  # seconds between two checks whether it answers


class ServerError(NoisetteError):
    """Prefect's server does not start or does not answer."""


@contextmanager
def start_server() -> Iterator[None]:
    """Start the embedded server while the block runs, unless Prefect is configured to use another one.

    Importing Prefect, which is needed to read its configuration, takes half a second, and the server takes two to
    start. The server is therefore started first, and stopped if it is not needed.

    Raises:
        ServerError: at the end of the block, if there is no server to run a flow with.
    """
    server = None if os.environ.get("PREFECT_API_URL") else _EmbeddedServer()
    if server is not None and _configured_url():
        warn_of_local_server_setting()
        server.end()
        server = None
    yield
    if server is None:
        check_server()
    else:
        server.use()


def _configured_url() -> str | None:
    """Return the URL of the server that Prefect is configured to use, or None."""
    try:
        from prefect.settings import PREFECT_API_URL

        url: str | None = PREFECT_API_URL.value()
    except tomllib.TOMLDecodeError as error:
        home = os.environ.get("PREFECT_HOME", "~/.prefect")
        raise ServerError(
            f"Prefect's settings cannot be read: {error}; correct or remove {home}/profiles.toml"
        ) from None
    return url


def uses_embedded_server() -> bool:
    """Return whether this process uses an embedded server."""
    return bool(_KEEPERS)


def check_server() -> None:
    """Check that the configured Prefect server answers.

    Raises:
        ServerError: if it does not answer, or requires a password.
    """
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL

    url = PREFECT_API_URL.value()
    try:
        get_client(sync_client=True).hello()
    except httpx.HTTPStatusError as error:
        if error.response.status_code in (401, 403):
            raise ServerError(
                f"Prefect's server at {url} asks for a password: set PREFECT_API_AUTH_STRING=USER:PASSWORD. For "
                "`noisette up` it is noisette:PASSWORD, and the password is in .noisette/password where it began"
            ) from None
    except Exception as error:  # whatever the client's libraries raise
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ServerError(
            f"Prefect's server at {url} does not answer ({reason}); start it, or unset PREFECT_API_URL"
        ) from None


class _EmbeddedServer:
    """A server that is starting; it ends when the pipe to its keeper is closed."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self._url, self._login = f"http://127.0.0.1:{port}/api", f"noisette:{secrets.token_urlsafe(18)}"
        self._output = TemporaryFile()  # noqa: SIM115  # read if it does not start
        command = [sys.executable, "-P", "-m", "uvicorn", "--app-dir", _prefect_folder()]
        command += ["--factory", "prefect.server.api.server:create_app", "--lifespan", "on", "--log-level", "error"]
        command += ["--host", "127.0.0.1", "--port", str(port)]
        self._keeper = subprocess.Popen(
            [sys.executable, "-I", "-S", keeper.__file__, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._output,
            env={**os.environ, **_settings(self._url, self._login)},
            start_new_session=True,
        )
        _KEEPERS.append(self._keeper)

    def use(self) -> None:
        """Wait until it answers, then configure Prefect to use it."""
        from prefect.context import refresh_global_settings_context
        from prefect.settings import PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS as PATIENCE

        deadline = time.monotonic() + PATIENCE.value()
        while not _is_up(f"{self._url}/health"):
            if self._keeper.poll() is not None:
                raise ServerError(_start_failure(self._last_output()))
            if time.monotonic() > deadline:
                raise ServerError(_start_failure(f"no answer within {PATIENCE.value()} seconds"))
            time.sleep(_PAUSE)
        os.environ |= {"PREFECT_API_URL": self._url, "PREFECT_API_AUTH_STRING": self._login}
        refresh_global_settings_context()

    def end(self) -> None:
        """Stop the server through its keeper."""
        _KEEPERS.remove(self._keeper)
        self._keeper.communicate()

    def _last_output(self) -> str:
        self._output.seek(0)
        return (self._output.read().decode(errors="replace").strip().splitlines() or ["it ended without output"])[
            -1
        ]


_KEEPERS: list[subprocess.Popen[bytes]] = []
"""Keepers, whose pipes stay open for the lifetime of this process."""


def _settings(url: str, login: str) -> dict[str, str]:
    return {
        "PREFECT_UI_ENABLED": "0",
        "PREFECT__SERVER_EPHEMERAL": "1",
        "PREFECT__SERVER_FINAL": "1",
        # its events are not used, and each update of an artifact creates one of 7 kB
        "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_ENABLED": "false",
        "PREFECT_SERVER_API_AUTH_STRING": login,
        # without a list of origins, any web page may read the responses
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": url.removesuffix("/api"),
    }


def _prefect_folder() -> str:
    """Return the folder of the package, without importing it."""
    found = find_spec("prefect")
    if found is None or found.origin is None:
        raise ServerError("expected the package prefect, which is not installed: install noisette again")
    return str(Path(found.origin).parent)


def _is_up(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=5):
            return True
    except (urllib.error.URLError, OSError):
        return False


def _start_failure(reason: str) -> str:
    return f"Prefect's embedded server does not start ({reason}); see `prefect server start`"
