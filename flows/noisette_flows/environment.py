"""Defaults of Prefect and MLflow that suit one machine; whatever the user has set is left alone."""

from __future__ import annotations

import logging
import os

__all__ = ["DEFAULTS", "quiet_prefect", "set_defaults"]

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
}


def set_defaults() -> None:
    """Set each default that the environment does not have."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)


def quiet_prefect() -> None:
    """Keep Prefect's log, and what it cannot send, off the console of a command that shows progress of its own."""
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    os.environ.setdefault("PREFECT_INTERNAL_LOGGING_LEVEL", "CRITICAL")  # a server that is gone is told of once
    logging.raiseExceptions = False  # nor is each line that does not reach it worth another
