"""What a class must be to be a plugin: checked when it is found, before anything is made of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from noisette.contracts import API_VERSION, KINDS, Plugin

__all__ = ["find_fault"]

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")


def find_fault(plugin: Any) -> str:
    """Return why this is no plugin, or nothing."""
    contracts = tuple(KINDS.values())
    if not isinstance(plugin, type) or not issubclass(plugin, contracts):
        names = ", ".join(contract.__name__ for contract in contracts)
        return f"{getattr(plugin, '__name__', repr(plugin))} is no plugin: expected a subclass of {names}"
    return next((f"{plugin.__name__}: {fault}" for fault in _contract_faults(plugin)), "")


def _contract_faults(plugin: type[Plugin]) -> Iterator[str]:
    name, kinds = getattr(plugin, "name", None), [k for k, c in KINDS.items() if issubclass(plugin, c)]
    missing = sorted(plugin.__abstractmethods__)
    if missing:
        yield f"does not implement {', '.join(missing)}"
    if kinds != [plugin.kind]:
        yield f"has kind {plugin.kind!r}; expected that of its contract, {' and '.join(kinds)}"
    if not isinstance(name, str):
        yield "has no class variable `name: ClassVar[str]`"
    elif not _NAME.fullmatch(name):
        yield f"expected a name of lower-case letters, digits, dots and dashes; got {name!r}"
    if plugin.api != API_VERSION:
        yield f"was written for version {plugin.api} of the plugin API; this noisette has {API_VERSION}"
