"""Who sends a run directory: one flow at a time, and its sender as long as that is at work.

The lock is an open file that the sender inherits; the kernel drops it when both have ended, however they ended. So
a run that is RUNNING in MLflow, and whose lock is free, has been killed, unless its directory is a copy.
"""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

from noisette_flows.locks import is_original, sign

__all__ = ["Claim"]

_FILE = ".mlflow.lock"


@dataclass(frozen=True)
class Claim:
    """A run directory that this process sends.

    Attributes:
        handle: of the open file; a child process that inherits it shares the claim.
    """

    handle: int

    @classmethod
    def take(cls, run: Path) -> Claim | None:
        """Claim a run directory; None if another flow or its sender has it, or the directory cannot be written."""
        claim = cls._lock(run, os.O_CREAT)
        if claim is None:
            return None
        try:
            sign(claim.handle)
        except OSError:  # a full disk
            os.close(claim.handle)
            return None
        return claim

    @classmethod
    def of_killed(cls, run: Path) -> Claim | None:
        """Claim a run directory whose flow and sender are gone; None if they are not, or if it is a copy."""
        claim = cls._lock(run)
        if claim is None or is_original(claim.handle):
            return claim
        claim.drop()
        return None

    @classmethod
    def _lock(cls, run: Path, create: int = 0) -> Claim | None:
        try:
            handle = os.open(run / _FILE, os.O_RDWR | create | os.O_CLOEXEC, 0o644)
        except OSError:
            return None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            return None
        return cls(handle)

    def drop(self) -> None:
        """Leave the directory to others, as soon as the children that inherited the claim have ended."""
        os.close(self.handle)
