"""Names of flow runs that tell them apart in a list: the experiment, then what was changed, as in MLflow."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from noisette import Experiment, NoisetteError
from noisette.config import load
from noisette_flows.asked import changes_of, config_file
from noisette_flows.tracking.names import run_name

__all__ = ["current_name", "name_of"]


def current_name() -> str:
    """Return the name of the current flow run."""
    from prefect.runtime import flow_run

    return name_of(flow_run.flow_name, flow_run.parameters)


def name_of(flow: str, parameters: Mapping[str, Any]) -> str:
    """Return the name of a flow run.

    Args:
        flow: name of the flow.
        parameters: its parameters, of which those with defaults may be missing.
    """
    if flow == "compare-samplers":
        return _comparison(parameters)
    try:
        changes = changes_of(parameters)
        config = load(config_file(parameters["config"]), changes)
    except NoisetteError:  # the flow itself raises it, as its own failure
        return f"{Path(parameters['config']).stem}: config with problems"
    if not isinstance(config, Experiment):
        return f"{config.name}: pictures"
    return f"{config.name}: {' '.join([run_name(config, changes), *_of_results(changes)])}"


def _of_results(changes: Mapping[str, Any]) -> list[str]:
    """Return what was changed of sampling and evaluation, which the name of a training leaves out."""
    sections = ("sampling", "evaluation")
    return [
        f"{path.rpartition('.')[2]}={_short(value)}"
        for path, value in changes.items()
        if path.partition(".")[0] in sections
    ]


def _comparison(parameters: Mapping[str, Any]) -> str:
    """Return what is compared of the model of a run directory, a checkpoint or a config."""
    place = Path(parameters["checkpoint"]).absolute()
    run = next((parent.parent for parent in (place, *place.parents) if parent.name == "checkpoints"), place)
    samplers = parameters.get("samplers") or ()
    told = [_short(samplers) if samplers else "all samplers"]
    told += [f"{name}={_short(parameters[name])}" for name in ("steps", "count") if parameters.get(name)]
    told += [
        f"{path.rpartition('.')[2]}={_short(value)}" for path, value in (parameters.get("overrides") or {}).items()
    ]
    return f"{run.stem}: compare {' '.join(told)}"


def _short(value: Any) -> str:
    """Return an option as a word or two."""
    if isinstance(value, Mapping):
        return str(value.get("name", "..."))
    if isinstance(value, list | tuple) and len(value) > 3:
        return f"{len(value)} {'steps' if isinstance(value[0], int) else 'samplers'}"
    if isinstance(value, list | tuple):
        return ",".join(map(_short, value))
    return str(value)
