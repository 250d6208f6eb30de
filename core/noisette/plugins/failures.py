"""Messages for exceptions raised by plugins: the plugin, its package, and the line."""

from __future__ import annotations

from traceback import walk_tb
from types import FrameType

from noisette.contracts import Plugin
from noisette.plugins.discovery import FoundPlugin
from noisette.plugins.registry import registry

__all__ = ["describe_failure"]

_OWN = ("noisette", "noisette_flows")


def describe_failure(error: BaseException) -> str:
    """Return a message for an exception raised in the code of a plugin; empty for any other.

    It names the plugin, its package, and the innermost file and line of that package, such as
    ``sampler 'adams' of noisette-adams 0.1.0 failed: ZeroDivisionError: division by zero
    (adams.py, line 31, in trajectory)``.
    """
    frames = [(frame, line) for frame, line in walk_tb(error.__traceback__)]
    packages = {_top(found.plugin.__module__) for found in registry().found} - set(_OWN)
    inside = [(frame, line) for frame, line in frames if _top(frame.f_globals.get("__name__", "")) in packages]
    if not inside:
        return ""
    frame, line = inside[-1]
    code = frame.f_code
    owner = _find_owner([frame for frame, _ in frames], _top(frame.f_globals["__name__"]))
    text = " ".join(str(error).split())
    return (
        f"{owner} failed: {type(error).__name__}{': ' if text else ''}{text}\n"
        f"  {code.co_filename}, line {line}, in {code.co_name}"
    )


def _top(name: str) -> str:
    return name.partition(".")[0]


def _find_owner(frames: list[FrameType], package: str) -> str:
    """Return the plugin with the innermost method, or the package if there is none."""
    for frame in reversed(frames):
        plugin = frame.f_locals.get("self", frame.f_locals.get("cls"))
        kind = plugin if isinstance(plugin, type) else type(plugin)
        if issubclass(kind, Plugin) and _top(kind.__module__) == package:
            return f"{kind.kind} {kind.name!r} of {_package_label(kind, package)}"
    return f"a plugin of {_package_label(None, package)}"


def _package_label(plugin: type[Plugin] | None, package: str) -> str:
    same: list[FoundPlugin] = [found for found in registry().found if _top(found.plugin.__module__) == package]
    found = next((one for one in same if one.plugin is plugin), same[0])
    return f"{found.origin.distribution} {found.origin.version}"
