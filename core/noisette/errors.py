"""Errors with a complete message for users: where, what was expected, what came, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

__all__ = [
    "CheckpointError",
    "ConfigError",
    "DataError",
    "DownloadError",
    "MixedError",
    "NoisetteError",
    "NotFiniteError",
    "OwnedError",
    "PluginError",
    "Problem",
    "StorageError",
]


class NoisetteError(Exception):
    """Base class of errors that the command line shows as a message without a traceback, with exit code 2."""


@dataclass(frozen=True)
class Problem:
    """One problem of a config.

    Attributes:
        path: the option, such as ``training.lr``; "" for the whole.
        message: what is wrong.
        hint: what may have been meant; "" for nothing.
        overridden: whether the value comes from ``--set`` or a command-line option rather than the file.
    """

    path: str
    message: str
    hint: str = ""
    overridden: bool = False

    def __str__(self) -> str:
        path = self.path if len(self.path) <= 200 else f"{self.path[:200]}..."
        where = f"{'--set ' if self.overridden else ''}{path}: " if path else ""
        return f"{where}{self.message}" + (f" ({self.hint})" if self.hint else "")


class ConfigError(NoisetteError):
    """An invalid config, with all problems; the message shows up to twenty."""

    MAX_SHOWN: ClassVar[int] = 20

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        self.source = source
        self.problems = tuple(problems)
        shown = [f"  {problem}" for problem in problems[: self.MAX_SHOWN]]
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        more = f"more than {self.MAX_SHOWN} problems, of which the first are"
        super().__init__("\n".join([f"{source}: {count if len(shown) == len(problems) else more}", *shown]))


class PluginError(NoisetteError):
    """A plugin that is missing, broken or ambiguous, or violates its contract."""


class DataError(NoisetteError):
    """Images or labels that are missing, damaged, or not as the config says."""


class DownloadError(DataError):
    """A download that failed at all hosts; a later attempt may succeed."""


class MixedError(DataError):
    """Images of one data set that differ in a property that `preparation` does not set.

    Attributes:
        what: "size" or "channels".
    """

    def __init__(self, message: str, what: Literal["size", "channels"]) -> None:
        super().__init__(message)
        self.what: Literal["size", "channels"] = what


class StorageError(NoisetteError):
    """A directory that cannot be written, or whose files do not match its manifest."""


class OwnedError(StorageError):
    """A directory that another process uses."""


class CheckpointError(StorageError):
    """A checkpoint that is missing, damaged, or belongs to another experiment."""


class NotFiniteError(NoisetteError):
    """Training or sampling produced NaN or infinity."""
