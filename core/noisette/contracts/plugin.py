"""What every plugin is: a frozen pydantic model whose fields are its options.

A plugin is a small immutable value. Its fields give validation, defaults, documentation
(``Field(description=...)``), a JSON schema and a repr for free. What it makes (a network, a table, a feature
extractor) is the product of one of its methods and lives elsewhere.

Modules of plugins are imported to list them and to read a config. Import torch inside the methods that need
it, or under ``TYPE_CHECKING``, and both stay instant.
"""

from __future__ import annotations

from abc import ABC
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

__all__ = ["API_VERSION", "Plugin"]

API_VERSION = 1
"""Version of the contracts. It rises when a plugin written for the one before would no longer work."""


class Plugin(BaseModel, ABC):
    """Base of all plugins: options are pydantic fields, the identity is two class variables.

    Class attributes:
        kind: which contract it keeps; set by the contract, never by the plugin.
        name: how a config calls it, in lower case with dashes.
        paper: where it comes from (authors, year, equation or section).
        aliases: other names that it is known by; a config that uses one is told the right one.
        api: the `API_VERSION` it was written for.
        excluded_from_key: methods and class attributes that affect no result, so they are left out of keys.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)

    kind: ClassVar[str]
    name: ClassVar[str]
    paper: ClassVar[str] = ""
    aliases: ClassVar[tuple[str, ...]] = ()
    api: ClassVar[int] = API_VERSION
    excluded_from_key: ClassVar[tuple[str, ...]] = ("paper", "aliases")

    def options(self) -> dict[str, Any]:
        """Return name and options as JSON values: what a config needs to say to get this plugin back."""
        return {"name": self.name, **self.model_dump(mode="json")}
