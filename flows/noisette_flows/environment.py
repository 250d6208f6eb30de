"""Defaults of Prefect and MLflow for a single machine; the user's own settings take precedence.

The working folder may have an untrusted origin: its modules must not run, and its settings must not name code.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

__all__ = ["DEFAULTS", "quiet_prefect", "set_defaults", "warn_of_local_server_setting"]

log = logging.getLogger(__name__)

DEFAULTS = {
    # Prefect's embedded server: 20 s are too few on a busy machine
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    # it logs locked databases and its own shutdown as errors
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
    # noisette's log lines appear in Prefect's UI, and only once outside a flow
    "PREFECT_LOGGING_EXTRA_LOGGERS": "noisette,noisette_flows",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    # no telemetry
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # a dead tracking server is noticed at once; noisette itself retries
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    # Python processes started from here do not import modules from the working folder
    "PYTHONSAFEPATH": "1",
}

_LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")


def set_defaults() -> None:
    """Set each default that is missing from the environment."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    if "PREFECT_LOGGING_SETTINGS_PATH" not in os.environ:  # its older name
        # the user's file; otherwise a file in the working folder could name one, and with it any function to call
        os.environ.setdefault("PREFECT_LOGGING_CONFIG_PATH", str(_prefect_home() / "logging.yml"))
    _bypass_proxy_for_localhost()


def warn_of_local_server_setting() -> None:
    """Warn if a file in the working folder, which may be untrusted, sets the URL of Prefect's server."""
    from prefect.context import get_settings_context
    from prefect.settings import PREFECT_API_URL, PREFECT_PROFILES_PATH

    url = PREFECT_API_URL.value()
    if not url or os.environ.get("PREFECT_API_URL"):
        return
    own_profiles = "PREFECT_PROFILES_PATH" in os.environ or PREFECT_PROFILES_PATH.value().parent == _prefect_home()
    if own_profiles and get_settings_context().profile.settings.get(PREFECT_API_URL) == url:
        return
    log.warning(
        "prefect.toml, pyproject.toml or .env in this folder has Prefect's server at %s used: "
        "if you do not know it, stop, and remove that line",
        url,
    )


def _prefect_home() -> Path:
    return Path(os.environ.get("PREFECT_HOME") or "~/.prefect").expanduser()


def _bypass_proxy_for_localhost() -> None:
    """Add this machine to the hosts that bypass the proxy; one spelling of the variable may hide the other."""
    names = ("no_proxy", "NO_PROXY")
    hosts = [host.strip() for name in names for host in os.environ.get(name, "").split(",")]
    if "*" in hosts:
        return
    merged = ",".join(dict.fromkeys(host for host in [*hosts, *_LOCAL_HOSTS] if host))
    os.environ |= dict.fromkeys(names, merged)


def quiet_prefect() -> None:
    """Keep Prefect's log and its send errors off the console of a command that shows its own progress."""
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    os.environ.setdefault("PREFECT_INTERNAL_LOGGING_LEVEL", "CRITICAL")  # report a lost server only once
    logging.raiseExceptions = False  # log lines that cannot be sent are not reported either
