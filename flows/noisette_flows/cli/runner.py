"""Running a flow for a command: finished stages are skipped, and the others shown while they run."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from textwrap import shorten
from typing import Any

from rich.console import Console

from noisette import ConfigError, Experiment, StorageError, registry
from noisette.config import FiguresConfig, apply_overrides, load, read_yaml
from noisette.plugins.registry import UNKNOWN
from noisette.stages import Stage, plan_stages, stages_to_redo
from noisette.storage import MANIFEST, read_manifest
from noisette_flows.environment import quiet_prefect
from noisette_flows.tracking import Store, mark_killed

__all__ = ["FlowRequest", "add_install_hints", "console_for_progress", "log_or_warn", "run_flow"]


@dataclass(frozen=True)
class FlowRequest:
    """A config with changes, whose flows a command runs. The file is read once.

    Attributes:
        path: YAML file of the config.
        overrides: changes of it, by path.
        output: folder of all results.
    """

    path: str
    overrides: dict[str, Any]
    output: str

    @cached_property
    def config(self) -> Experiment | FiguresConfig:
        """The experiment, or the figures alone.

        Raises:
            ConfigError: with every problem of the config, and the packages of missing plugins.
        """
        try:
            return load(self.path, self.overrides)
        except ConfigError as error:
            raise add_install_hints(error, self.path, self.overrides, Path(self.output)) from None

    @property
    def experiment(self) -> Experiment:
        """The experiment; raises as `config`, and where the config has figures alone."""
        if isinstance(self.config, Experiment):
            return self.config
        return Experiment.load(self.path, self.overrides)  # raises: a data set is required

    def stages(self, kind: str = "") -> list[Stage]:
        """Return the stages of one kind, such as "sample", or all."""
        config = self.config if kind in ("", "figures") else self.experiment
        return [stage for stage in plan_stages(config, Path(self.output)) if not kind or stage.kind == kind]

    def run(
        self, flow: str, stages: Sequence[Stage], tracking_uri: str | None = None, again: str | bool = ""
    ) -> list[str]:
        """Run a flow of `noisette_flows.pipeline`, unless all its stages are finished.

        Args:
            flow: name of the function.
            stages: the stages of the flow.
            tracking_uri: MLflow store; None for the default.
            again: stage to run again, for the flow of all stages; or whether to run the stages again.

        Returns:
            The names of the stages that were finished before.
        """
        console = console_for_progress()
        redo = {stage.kind for stage in stages} if again is True else stages_to_redo(again or "")
        skipped = [stage for stage in stages if stage.finished and stage.kind not in redo]
        for stage in skipped:
            console.print(f"{stage.name}: finished before, skipped ({stage.directory})", **_PLAIN)
        if len(skipped) < len(stages):
            parameters: dict[str, Any] = {"again": again} if again else {}
            parameters |= {"config": self.path, "overrides": self.overrides or None, "output": self.output}
            run_flow(flow, parameters, console, tracking_uri, self.config)
        else:
            store = Store.of(tracking_uri)
            if store is not None:  # as a flow does when it starts
                mark_killed(Path(self.output), store)
            _mark_killed_flow_runs(Path(self.output), console)
        return [stage.name for stage in skipped]


def _mark_killed_flow_runs(root: Path, console: Console) -> None:
    """Mark killed flow runs in Prefect; no server is started where there are none."""
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
    except ServerError as error:  # the next command tries again; the stages are finished
        console.print(f"warning: {error}", **_PLAIN)
        return
    for name in mark_killed_flow_runs(root):
        console.print(f"marked as crashed: {name}, whose process was killed", **_PLAIN)


def console_for_progress() -> Console:
    """Return a console on standard error for progress, and log noisette's warnings there from now on."""
    console = Console(stderr=True)
    for name in ("noisette", "noisette_flows"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        logger.addHandler(_ConsoleHandler(console))
        logger.propagate = False
    return console


def run_flow(
    flow: str,
    parameters: Mapping[str, Any],
    console: Console,
    tracking_uri: str | None = None,
    config: Experiment | FiguresConfig | None = None,
) -> None:
    """Run a flow of `noisette_flows.pipeline`, and show its progress.

    Args:
        flow: name of the function.
        parameters: of the flow.
        console: for progress.
        tracking_uri: MLflow store; None for the default.
        config: the config of the parameters, where it is read already.
    """
    from noisette_flows.display.progress import show_progress
    from noisette_flows.serving import connect

    connect()
    from noisette_flows.server import start_server

    if tracking_uri is not None:  # not a parameter of the flow, which is stored: it may hold a password
        os.environ["MLFLOW_TRACKING_URI"] = tracking_uri
    quiet_prefect()
    try:
        # standard output is for results: whatever hooks, plugins and libraries print goes to standard error
        with show_progress(console, "starting Prefect") as progress, redirect_stdout(sys.stderr):
            with start_server():
                from prefect import tags

                from noisette_flows import pipeline  # imports torch meanwhile
                from noisette_flows.deploying.automations import TAG
                from noisette_flows.flow_events import use_listeners
                from noisette_flows.params import use_config
            with use_listeners(progress), use_config(parameters, config), tags(TAG):
                getattr(pipeline, flow)(**parameters)
    except Exception as error:
        _report_outage(error)
        raise
    except (KeyboardInterrupt, SystemExit):
        console.print(
            "stopped; run the same command to resume" + (_ADVICE if "again" in parameters else ""), **_PLAIN
        )
        raise


def _report_outage(error: Exception) -> None:
    """Raise a ServerError in place of an error of Prefect's client whose server no longer answers."""
    import httpx

    from noisette_flows.server import ServerError, uses_embedded_server

    if isinstance(error, httpx.TransportError):
        reason = (str(error) or type(error).__name__).splitlines()[0]
        server, advice = ("embedded server", "") if uses_embedded_server() else ("server", "start the server, and ")
        raise ServerError(
            f"Prefect's {server} no longer answers ({reason}). Finished parts are kept: {advice}run the same "
            "command to resume"
        ) from None


_ADVICE = ", without --again if the stage is finished"
_PLAIN: dict[str, Any] = {"markup": False, "highlight": False, "soft_wrap": True}


class _ConsoleHandler(logging.Handler):
    """Prints messages and warnings above the progress bars."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.INFO)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record; the level is named from WARNING on."""
        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        self._console.print(f"{level}{record.getMessage()}", **_PLAIN)


def log_or_warn(send: Callable[[], str], store: Store) -> str:
    """Return the id that `send` returns, of an experiment in MLflow; or "" after a warning."""
    try:
        return send()
    except Exception as error:  # MLflow and its libraries raise nearly anything
        reason = shorten(store.redact(" ".join(str(error).split())), 200)
        print(
            f"warning: not logged to {store.display_uri}: {reason}; the same command tries again", file=sys.stderr
        )
        return ""


Origin = Mapping[str, str]


def add_install_hints(error: ConfigError, config: str, overrides: Mapping[str, Any], root: Path) -> ConfigError:
    """Return a config's problems with a hint at each missing plugin that results in `root` were made with.

    Args:
        error: why the config was refused.
        config: the YAML file; overrides: changes of it, by path.
        root: folder of all results.
    """
    try:
        missing = dict(_missing_plugins(apply_overrides(read_yaml(Path(config)), overrides)))
    except ConfigError:  # it is no YAML: no plugin of it is known
        return error
    wanted = {path: plugin for path, plugin in missing.items() if path in {one.path for one in error.problems}}
    origins = _find_origins(root) if wanted else {}
    hints = {path: _install_hint(origins[plugin]) for path, plugin in wanted.items() if plugin in origins}
    problems = [replace(one, hint=hints.get(one.path, one.hint)) for one in error.problems]
    return ConfigError(error.source, problems)


def _missing_plugins(config: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield the path, kind and name of each plugin that a config names and no package gives."""
    for path, kind, value in _named_plugins(config):
        name = value.get("name") if isinstance(value, dict) else value
        if isinstance(name, str) and name.rpartition(":")[2] not in registry().names(kind):
            yield path, (kind, name.rpartition(":")[2])


def _named_plugins(config: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    for kind in ("dataset", "schedule", "objective", "backbone"):
        yield kind, kind, config.get(kind)
    sampling, evaluation = (_section(config, key) for key in ("sampling", "evaluation"))
    yield "evaluation.features", "features", evaluation.get("features")
    for section, inside, key, kind in (
        ("sampling", sampling, "samplers", "sampler"),
        ("evaluation", evaluation, "metrics", "metric"),
    ):
        listed = inside.get(key)
        for index, value in enumerate(listed if isinstance(listed, list) else ()):
            yield f"{section}.{key}.{index}", kind, value


def _section(config: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    section = config.get(key)
    return section if isinstance(section, dict) else {}


def _find_origins(root: Path) -> dict[tuple[str, str], Origin]:
    """Return where the plugins of all results came from, by kind and name; the newest result wins."""
    manifests = sorted(root.glob(f"*/*/*/{MANIFEST}"), key=lambda path: path.stat().st_mtime)
    known = [
        origin for path in manifests for origin in _read_origins(path.parent) if origin["distribution"] != UNKNOWN
    ]
    return {(origin["kind"], origin["name"]): origin for origin in known}


def _read_origins(directory: Path) -> list[Origin]:
    """Return the origins that a checkpoint, samples or an evaluation tell; none if they cannot be read."""
    kind = {"checkpoints": "checkpoint", "evaluations": "evaluation"}.get(directory.parent.name, "samples")
    try:
        about = read_manifest(directory, kind).about
        if kind == "evaluation":
            about = json.loads((directory / "report.json").read_text(encoding="utf-8"))["details"]
        found: list[Origin] = [about["plugin"]] if kind == "samples" else about["plugins"]
    except (StorageError, OSError, ValueError, KeyError):
        return []
    return found


def _install_hint(origin: Origin) -> str:
    package, version = origin["distribution"], origin["version"]
    return f"results here were made with that of {package} {version}: pip install {package}=={version}"
