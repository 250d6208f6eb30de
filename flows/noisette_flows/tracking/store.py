"""MLflow stores: their URIs, logins and pages."""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

from noisette import ConfigError
from noisette.errors import Problem
from noisette_flows.tracking.database import (
    database_of,
    for_sqlalchemy,
    is_ready,
    prepare,
    relative_to_cwd,
    sqlite_uri,
    store_id,
)

__all__ = ["DEFAULT", "OFF", "Store"]

log = logging.getLogger(__name__)

DEFAULT = "sqlite:///mlflow.db"
"""The default store, a file in the working folder."""

OFF = "off"
"""The URI for no tracking."""


@dataclass(frozen=True)
class Store:
    """An MLflow tracking store.

    Attributes:
        uri: for MLflow; may hold a password.
        database: the file of an SQLite store, absolute; None for a server or another database.
    """

    uri: str
    database: Path | None

    @classmethod
    def of(cls, uri: str | None) -> Store | None:
        """Return the store of a URI, of MLFLOW_TRACKING_URI, or the default; None for "off".

        Raises:
            ConfigError: if the end of its password is ambiguous; the message does not repeat it.
        """
        uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT
        if uri == OFF:
            return None
        _refuse_stray_passwords(uri)
        if uri.startswith("postgresql://") and find_spec("psycopg2") is None:  # SQLAlchemy 2.0 would need it
            uri = uri.replace("postgresql://", "postgresql+psycopg://", 1)
        if uri == DEFAULT:
            return cls.in_file(Path("mlflow.db"))
        database = database_of(uri)
        return cls(uri.rstrip("/"), None) if database is None else cls.in_file(database)

    @classmethod
    def in_file(cls, database: Path) -> Store:
        """Return the store of an SQLite file; raises a ConfigError if SQLAlchemy does not accept its path."""
        for_sqlalchemy(database.absolute())
        return cls(sqlite_uri(database.absolute()), database.absolute())

    @property
    def display_uri(self) -> str:
        """The URI without user, password and options."""
        parts = urlsplit(self.uri)
        if not parts.netloc and self.database is not None:
            return self.uri
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))

    def login(self) -> dict[str, str]:
        """Return user and password of a server as MLflow's environment variables."""
        parts = urlsplit(self.uri)
        if not self._is_server or parts.username is None:
            return {}
        given = {"MLFLOW_TRACKING_USERNAME": parts.username, "MLFLOW_TRACKING_PASSWORD": parts.password or ""}
        return {name: unquote(value) for name, value in given.items()}

    def for_client(self) -> str:
        """Return the URI for MLflow's client, which reads user and password of a server from `login`."""
        if self.database is not None:
            return for_sqlalchemy(self.database)
        return self.display_uri if self.login() else self.uri

    def prepare(self) -> None:
        """Create or update the database of a store in a file; see `database.prepare`."""
        aside = None if self.database is None else prepare(self.database)
        if aside is not None:
            log.warning(
                "MLflow's database was incomplete and empty: it is now %s, and a new one was created", aside
            )

    @property
    def identity(self) -> str:
        """Its identity, also after it was moved; "" for a file that was never prepared.

        Raises:
            UnusableDatabaseError: if the file cannot be read.
        """
        return self.display_uri if self.database is None else store_id(self.database)

    @property
    def ready(self) -> bool:
        """Whether it needs no `prepare`; raises as `identity`."""
        return self.database is None or is_ready(self.database)

    def redact(self, text: str) -> str:
        """Return a text, such as a library's message, without user, password and the values of options."""
        parts = urlsplit(self.uri)
        user = parts.netloc.rpartition("@")[0]
        hidden = {f"{user}@": ""} if user else {}
        secrets = [parts.password or "", *(value for _, value in parse_qsl(parts.query))]
        for secret in sorted({*secrets, *map(unquote, secrets)} - {""}, key=len, reverse=True):
            hidden[secret] = "***"
        for secret, replacement in hidden.items():
            text = text.replace(secret, replacement)
        return text

    @property
    def _is_server(self) -> bool:
        return self.uri.startswith(("http://", "https://"))

    def artifacts(self, experiment: str) -> str | None:
        """Return the absolute URI of an experiment's artifacts; None for a server, which decides itself.

        With a relative one, artifacts of a worker would be lost with its temporary folder.
        """
        if self._is_server:
            return None
        folder = self.database.parent if self.database else Path.cwd()
        return (folder.resolve() / "mlartifacts" / experiment).as_uri()  # MLflow unquotes plain paths

    @property
    def server_url(self) -> str:
        """URL of the server of `noisette up` that shows it; "" if it is not up."""
        from noisette_flows.serving.background import mlflow_url_of

        return mlflow_url_of(self.uri)

    def ui_command(self) -> str | None:
        """Return the command that starts MLflow's pages, from the working folder; None where a server runs."""
        if self._is_server or self.server_url:
            return None
        uri = for_sqlalchemy(relative_to_cwd(self.database)) if self.database else self.display_uri
        return f"{_mlflow_command()} ui --backend-store-uri {shlex.quote(uri)}"

    def link(self, experiment_id: str) -> str:
        """Return the URL of an experiment's page, with the charts of its runs."""
        base = self.display_uri if self._is_server else self.server_url or "http://127.0.0.1:5000"
        query = "?workflowType=machine_learning&compareRunsMode=CHART"
        return f"{base}/#/experiments/{experiment_id}/runs{query}"


def _mlflow_command() -> str:
    """Return the mlflow command of this environment, activated or not."""
    command = Path(sys.executable).with_name("mlflow")
    on_path = shutil.which("mlflow")
    if on_path is not None and Path(on_path).resolve() == command.resolve():
        return "mlflow"
    return str(relative_to_cwd(command)) if command.exists() else "mlflow"


def _refuse_stray_passwords(uri: str) -> None:
    """Refuse ``http://ann:a/b@host``, whose password would be read as host and path, and shown."""
    parts = urlsplit(uri)
    if parts.netloc and "@" in f"{parts.path}{parts.query}{parts.fragment}":
        reason = "expected SCHEME://USER:PASSWORD@HOST with / ? # @ in a password written as %2F %3F %23 %40"
        raise ConfigError("tracking URI", [Problem("", reason)])
