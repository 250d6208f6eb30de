"""A wrong plugin, the check that must catch it, and its right twin."""

from __future__ import annotations

from dataclasses import dataclass

from noisette import Plugin


@dataclass(frozen=True)
class Case:
    check: str
    wrong: Plugin
    right: Plugin

    def __str__(self) -> str:
        return f"{type(self.wrong).__name__}-{self.wrong.kind}-{self.check}"
