"""Running a flow for a command: finished stages are skipped, and the others shown while they run."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import Any

from rich.console import Console

from noisette import ConfigError, Experiment
from noisette.config import FiguresConfig, load
from noisette.stages import Stage, plan_stages, stages_to_redo
from noisette_flows.cli.install_hints import add_install_hints
from noisette_flows.environment import quiet_prefect
from noisette_flows.tracking import Store

__all__ = ["FlowRequest", "console_for_progress", "log_or_warn", "run_flow"]


@dataclass(frozen=True)
class FlowRequest:
    """What a command was asked for.

    Attributes:
        config: YAML file of the experiment.
        overrides: changes of it, by path.
        output: folder of all results.
    """

    config: str
    overrides: dict[str, Any]
    output: str

    def load_experiment(self) -> Experiment:
        """Return the experiment.

        Raises:
            ConfigError: with every problem of the config, and the package of a plugin that is gone.
        """
        try:
            return Experiment.load(self.config, self.overrides)
        except ConfigError as error:
            raise add_install_hints(error, self.config, self.overrides, Path(self.output)) from None

    def load_config(self) -> Experiment | FiguresConfig:
        """Return the experiment, or the figures alone; raises as `load_experiment`."""
        try:
            return load(self.config, self.overrides)
        except ConfigError as error:
            raise add_install_hints(error, self.config, self.overrides, Path(self.output)) from None

    def plan_stages(self, kind: str = "") -> list[Stage]:
        """Return the stages of one kind, such as "sample", or all."""
        without_data = kind in ("", "figures")  # all other stages are an experiment's
        everything = plan_stages(self.load_config() if without_data else self.load_experiment(), Path(self.output))
        return [stage for stage in everything if not kind or stage.kind == kind]

    def run(
        self, flow: str, stages: Sequence[Stage], tracking_uri: str | None = None, again: str | bool = ""
    ) -> list[str]:
        """Run a flow of `noisette_flows.pipeline`, unless all its stages are finished.

        Args:
            flow: its name.
            stages: its stages.
            tracking_uri: as the command was given it.
            again: the stage to make anew, for the flow of all stages; or whether to make those of this flow anew.

        Returns:
            The names of the stages that were finished before.
        """
        console = console_for_progress()
        anew = {stage.kind for stage in stages} if again is True else stages_to_redo(again or "")
        skipped = [stage for stage in stages if stage.finished and stage.kind not in anew]
        for stage in skipped:
            console.print(f"{stage.name}: finished before, skipped ({stage.directory})", **_PLAIN)
        if len(skipped) < len(stages):
            parameters: dict[str, Any] = {"again": again} if again else {}
            parameters |= {"config": self.config, "overrides": self.overrides or None, "output": self.output}
            run_flow(flow, parameters, console, tracking_uri)
        else:
            _mark_killed(Path(self.output), tracking_uri)
            _mark_killed_flow_runs(Path(self.output), console)
        return [stage.name for stage in skipped]


def _mark_killed(root: Path, tracking_uri: str | None) -> None:
    """Mark what was killed beside a run that is finished; a flow that starts does so itself."""
    from noisette_flows.tracking import Store, mark_killed

    store = Store.of(tracking_uri)
    if store is not None:
        mark_killed(root, store)


def _mark_killed_flow_runs(root: Path, console: Console) -> None:
    """Tell Prefect of those that were killed behind their last stage; without any it needs no server."""
    from noisette_flows.liveness import find_killed_flow_runs, mark_killed_flow_runs

    if next(find_killed_flow_runs(root), None) is None:
        return
    from noisette_flows.serving import connect

    connect()
    from noisette_flows.server import ServerError, start_server

    quiet_prefect()
    try:
        with start_server():
            pass
    except ServerError as error:  # it is asked again by the next command; what was asked for is finished
        console.print(f"warning: {error}", **_PLAIN)
        return
    for name in mark_killed_flow_runs(root):
        console.print(f"marked as crashed: {name}, whose process was killed", **_PLAIN)


def console_for_progress() -> Console:
    """Return where progress is shown, standard error, to which noisette's warnings go from now on."""
    console = Console(stderr=True)
    _log_to_console(console)
    return console


def run_flow(flow: str, parameters: Mapping[str, Any], console: Console, tracking_uri: str | None = None) -> None:
    """Run a flow of `noisette_flows.pipeline`, and show its progress."""
    from noisette_flows.display.progress import show_progress
    from noisette_flows.serving import connect

    connect()
    from noisette_flows.server import start_server

    if tracking_uri is not None:  # not a parameter of the flow, which is stored: it may hold a password
        os.environ["MLFLOW_TRACKING_URI"] = tracking_uri
    quiet_prefect()
    try:
        # standard output is for results: what a hook, a plugin or a library prints belongs to the progress
        with show_progress(console) as progress, redirect_stdout(sys.stderr):
            with start_server():
                from prefect import tags

                from noisette_flows import pipeline  # imports torch meanwhile
                from noisette_flows.deploying.automations import TAG
                from noisette_flows.flow_events import use_listeners
            with use_listeners(progress), tags(TAG):
                getattr(pipeline, flow)(**parameters)
    except Exception as error:
        _report_outage(error)
        raise
    except (KeyboardInterrupt, SystemExit):
        console.print(
            "stopped; the same command goes on from here" + (_ADVICE if "again" in parameters else ""), **_PLAIN
        )
        raise


def _report_outage(error: Exception) -> None:
    """Raise what a person needs to know, if it was Prefect's server that no longer answers.

    Raises:
        ServerError: in the place of its client's error.
    """
    import httpx

    from noisette_flows.server import ServerError, uses_embedded_server

    if isinstance(error, httpx.TransportError):
        reason = (str(error) or type(error).__name__).splitlines()[0]
        what, remedy = (
            ("embedded server", "the") if uses_embedded_server() else ("server", "start the server, and the")
        )
        raise ServerError(
            f"Prefect's {what} no longer answers ({reason}). What is finished is kept: {remedy} same command goes "
            "on from here"
        ) from None


_ADVICE = ", without --again where the stage is finished by now"
_PLAIN: dict[str, Any] = {"markup": False, "highlight": False, "soft_wrap": True}


class _ConsoleHandler(logging.Handler):
    """Writes what is told and warned of above the progress bars."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.INFO)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line; what is no warning stands without a word before it."""
        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        self._console.print(f"{level}{record.getMessage()}", **_PLAIN)


def _log_to_console(console: Console) -> None:
    for name in ("noisette", "noisette_flows"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        logger.addHandler(_ConsoleHandler(console))
        logger.propagate = False


def log_or_warn(send: Callable[[], str], store: Store) -> str:
    """Return what `send` returns, the id of an experiment in MLflow; or nothing, after a warning."""
    try:
        return send()
    except Exception as error:  # MLflow and what lies under it raise nearly anything
        reason = shorten(store.redact(" ".join(str(error).split())), 200)
        print(
            f"warning: not logged to {store.display_uri}: {reason}; the same command tries again", file=sys.stderr
        )
        return ""
