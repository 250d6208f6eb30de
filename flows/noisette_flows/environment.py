"""Defaults of Prefect and MLflow that suit one machine; whatever the user has set is left alone.

A working folder may come from a stranger: its modules must not run, and its settings must not name code that does.
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
    # our own log lines appear in Prefect's UI, and outside a flow nowhere twice
    "PREFECT_LOGGING_EXTRA_LOGGERS": "noisette,noisette_flows",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    # no telemetry
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # a dead tracking server is noticed at once; noisette itself tries again
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    # no Python that is started from here looks for modules in the working folder
    "PYTHONSAFEPATH": "1",
}

_LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")


def set_defaults() -> None:
    """Set each default that the environment does not have."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    if "PREFECT_LOGGING_SETTINGS_PATH" not in os.environ:  # its older name
        # that of the user; else a file in the working folder could name one, and with it any function to call
        os.environ.setdefault("PREFECT_LOGGING_CONFIG_PATH", str(_prefect_home() / "logging.yml"))
    _bypass_proxy_for_localhost()


def warn_of_local_server_setting() -> None:
    """Warn if Prefect's server is named by a file in the working folder, which may be a stranger's."""
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
    """Add this machine to the hosts for which no proxy is asked; one spelling of the name may hide the other."""
    names = ("no_proxy", "NO_PROXY")
    hosts = [host.strip() for name in names for host in os.environ.get(name, "").split(",")]
    if "*" in hosts:
        return
    merged = ",".join(dict.fromkeys(host for host in [*hosts, *_LOCAL_HOSTS] if host))
    os.environ |= dict.fromkeys(names, merged)


def quiet_prefect() -> None:
    """Keep Prefect's log, and what it cannot send, off the console of a command that shows progress of its own."""
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    os.environ.setdefault("PREFECT_INTERNAL_LOGGING_LEVEL", "CRITICAL")  # a server that is gone is told of once
    logging.raiseExceptions = False  # nor is each line that does not reach it worth another
