"""What every plugin is: a frozen pydantic model whose fields are its options.

A plugin is a small immutable value. Its fields provide validation, defaults, documentation
(``Field(description=...)``), a JSON schema and a repr. What it makes (a network, a process, a feature extractor) is
returned by one of its methods.

Modules of plugins are imported to list them and to read a config. Import torch inside the methods that need it, or
under ``TYPE_CHECKING``, to keep both fast.
"""

from __future__ import annotations

from abc import ABC
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

__all__ = ["API_VERSION", "Plugin"]

API_VERSION = 1
"""Version of the contracts; a new version may break plugins written for an older one."""


class Plugin(BaseModel, ABC):
    """Base class of all plugins: options are pydantic fields, kind and name are class variables.

    Class attributes:
        kind: the kind of plugin; set by the contract, never by the plugin.
        name: its name in a config, in lower case with dashes.
        paper: its source: authors, year, equation or section.
        aliases: other names of the method; a config that uses one gets an error with the right name.
        api: the `API_VERSION` that it was written for.
        excluded_from_key: methods and class attributes that affect no result and are left out of keys.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)

    kind: ClassVar[str]
    name: ClassVar[str]
    paper: ClassVar[str] = ""
    aliases: ClassVar[tuple[str, ...]] = ()
    api: ClassVar[int] = API_VERSION
    excluded_from_key: ClassVar[tuple[str, ...]] = ("paper", "aliases")

    def options(self) -> dict[str, Any]:
        """Return name and options as JSON values, as in a config that makes this plugin."""
        return {"name": self.name, **self.model_dump(mode="json")}
