"""Logging to MLflow from a command itself: a store that does not answer costs no result."""

from __future__ import annotations

import sys
from collections.abc import Callable
from textwrap import shorten

from noisette_flows.tracking import Store

__all__ = ["logged"]


def logged(send: Callable[[], str], store: Store) -> str:
    """Return what `send` returns, the id of an experiment in MLflow; or nothing, after a warning."""
    try:
        return send()
    except Exception as error:  # MLflow and what lies under it raise nearly anything
        reason = shorten(store.hide(" ".join(str(error).split())), 200)
        print(f"warning: not logged to {store.shown}: {reason}; the same command tries again", file=sys.stderr)
        return ""
