"""The errors a person can mend. Their text is the whole message: what was expected, what came, where."""

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
    """Base of all errors that the command shows as one message, without a traceback, with exit code 2."""


@dataclass(frozen=True)
class Problem:
    """One fault in a config: where it is, what is wrong with it, and what might have been meant.

    `overridden` says that it is not in the file, but in a change of it by ``--set`` or an option of a command.
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
    """A config that cannot be run; carries every problem found, not only the first, and shows up to twenty."""

    MAX_SHOWN: ClassVar[int] = 20

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        self.source = source
        self.problems = tuple(problems)
        shown = [f"  {problem}" for problem in problems[: self.MAX_SHOWN]]
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        more = f"more than {self.MAX_SHOWN} problems, of which the first are"
        super().__init__("\n".join([f"{source}: {count if len(shown) == len(problems) else more}", *shown]))


class PluginError(NoisetteError):
    """A plugin that is missing, broken, ambiguous, or does not keep its contract."""


class DataError(NoisetteError):
    """Images or labels that are missing, damaged, or not what the config says."""


class DownloadError(DataError):
    """A file that no host gives now: another time one may."""


class MixedError(DataError):
    """Images of one set differ in what the preparation does not settle.

    Attributes:
        what: "size" or "channels".
    """

    def __init__(self, message: str, what: Literal["size", "channels"]) -> None:
        super().__init__(message)
        self.what: Literal["size", "channels"] = what


class StorageError(NoisetteError):
    """A directory that cannot be written, or whose manifest does not hold."""


class OwnedError(StorageError):
    """A directory that another process is working in."""


class CheckpointError(StorageError):
    """A checkpoint that is missing, damaged, or belongs to another experiment."""


class NotFiniteError(NoisetteError):
    """Training or sampling produced NaN or infinity."""
