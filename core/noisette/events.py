"""Events of a run, passed to its listeners.

An engine calls the methods of an `Events` and does not know the listeners: a progress bar, a tracker, the hooks of
an installed package.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from traceback import extract_tb
from typing import Any

import pluggy

from noisette.errors import PluginError
from noisette.hooks import PROJECT, HookSpecs, Run, Status

__all__ = ["Events"]

log = logging.getLogger(__name__)

_INTERNAL_FILES = {__file__, *map(str, Path(pluggy.__file__).parent.glob("*.py"))}
"""Files between an engine and a listener."""


class Events:
    """The lifecycle hooks of some listeners, called in the order given.

    A listener that raises is logged once and then ignored; the run continues. `KeyboardInterrupt` and `SystemExit`
    propagate.

    Args:
        listeners: objects with `@hookimpl` methods.
        installed: whether to call the lifecycle hooks of installed packages too.

    Raises:
        PluginError: if a listener implements an unknown hook, or one with an unknown argument.
    """

    def __init__(self, listeners: Sequence[object] = (), *, installed: bool = True) -> None:
        self._managers = [
            _make_manager(listener) for listener in [*(_installed_listeners() if installed else ()), *listeners]
        ]

    @contextmanager
    def stage(self, run: Run, *, is_stopped: Callable[[], bool] | None = None) -> Iterator[None]:
        """Call `on_run_start`, then `on_run_end` however the block ends.

        The status is "failed" after an error and "stopped" after any other exception, such as Ctrl-C.

        Args:
            run: the stage.
            is_stopped: whether a block that ends without an exception ends early, as requested.
        """
        self.run_start(run)
        try:
            yield
        except BaseException as error:
            self.run_end(run, "failed" if isinstance(error, Exception) else "stopped")
            raise
        self.run_end(run, "stopped" if is_stopped is not None and is_stopped() else "finished")

    def run_start(self, run: Run) -> None:
        """Call `on_run_start`."""
        self._call("on_run_start", run=run)

    def step(self, run: Run, step: int, metrics: Mapping[str, float]) -> None:
        """Call `on_step`."""
        self._call("on_step", run=run, step=step, metrics=metrics)

    def activity(self, run: Run, activity: str) -> None:
        """Call `on_activity`."""
        self._call("on_activity", run=run, activity=activity)

    def images(self, run: Run, step: int, key: str, path: Path) -> None:
        """Call `on_images`."""
        self._call("on_images", run=run, step=step, key=key, path=path)

    def metrics(self, run: Run, step: int, metrics: Mapping[str, float]) -> None:
        """Call `on_metrics`."""
        self._call("on_metrics", run=run, step=step, metrics=metrics)

    def checkpoint(self, run: Run, step: int, path: Path) -> None:
        """Call `on_checkpoint`."""
        self._call("on_checkpoint", run=run, step=step, path=path)

    def run_end(self, run: Run, status: Status) -> None:
        """Call `on_run_end`."""
        self._call("on_run_end", run=run, status=status)

    def _call(self, hook: str, **arguments: Any) -> None:
        for manager in list(self._managers):
            try:
                getattr(manager.hook, hook)(**arguments)
            except Exception as error:
                self._managers.remove(manager)
                names = ", ".join(map(_name, manager.get_plugins()))
                log.warning(
                    "listener %s failed in %s and is left out: %r%s", names, hook, error, _error_location(error)
                )


def _make_manager(listener: object) -> pluggy.PluginManager:
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(HookSpecs)
    try:
        manager.register(listener)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise PluginError(f"listener {_name(listener)}: {' '.join(str(error).split())}") from None
    return manager


def _name(listener: object) -> str:
    return str(getattr(listener, "__name__", type(listener).__name__))


def _error_location(error: Exception) -> str:
    """Return the last line of the listener's own file in the traceback of an error."""
    frames = [frame for frame in extract_tb(error.__traceback__) if frame.filename not in _INTERNAL_FILES]
    own = [frame for frame in frames if frame.filename == frames[0].filename]
    return f" ({own[-1].filename}, line {own[-1].lineno})" if own else ""


def _installed_listeners() -> list[object]:
    from noisette.plugins import registry

    return [source.module for source in registry().sources if source.hooks]
