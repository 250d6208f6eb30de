"""The parameters of flows: a config by path or name and changes of it, names of flow runs, finished results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import GetJsonSchemaHandler
from pydantic_core import CoreSchema

from noisette import CheckpointError, ConfigError, Experiment, NoisetteError, Samples, StorageError
from noisette.checkpoint import Checkpoint, find_finished_checkpoint, find_latest_checkpoint
from noisette.comparison.choice import parse_samplers
from noisette.config import load
from noisette.errors import Problem
from noisette.layout import samples_directory, training_directory
from noisette_flows.tracking.names import run_name
from noisette_flows.workers import Workers

__all__ = [
    "FIELDS",
    "Config",
    "check_parameters",
    "config_file",
    "current_flow_run_name",
    "flow_run_name",
    "parameter_overrides",
    "require_checkpoint",
    "require_samples",
    "resolve_overrides",
]


def current_flow_run_name() -> str:
    """Return the name of the current flow run."""
    from prefect.runtime import flow_run

    return flow_run_name(flow_run.flow_name, flow_run.parameters)


def flow_run_name(flow: str, parameters: Mapping[str, Any]) -> str:
    """Return the name of a flow run.

    Args:
        flow: name of the flow.
        parameters: its parameters, of which those with defaults may be missing.
    """
    if flow == "compare-samplers":
        return _comparison_name(parameters)
    try:
        changes = parameter_overrides(parameters)
        config = load(config_file(parameters["config"]), changes)
    except NoisetteError:  # the flow itself raises it, as its own failure
        return f"{Path(parameters['config']).stem}: config with problems"
    if not isinstance(config, Experiment):
        return f"{config.name}: images"
    return f"{config.name}: {' '.join([run_name(config, changes), *_result_changes(changes)])}"


def _result_changes(changes: Mapping[str, Any]) -> list[str]:
    """Return what was changed of sampling and evaluation, which the name of a training leaves out."""
    sections = ("sampling", "evaluation")
    return [
        f"{path.rpartition('.')[2]}={_short(value)}"
        for path, value in changes.items()
        if path.partition(".")[0] in sections
    ]


def _comparison_name(parameters: Mapping[str, Any]) -> str:
    """Return what is compared of the model of a run directory, a checkpoint or a config."""
    place = Path(parameters["checkpoint"]).absolute()
    run = next((parent.parent for parent in (place, *place.parents) if parent.name == "checkpoints"), place)
    samplers = parameters.get("samplers") or ()
    words = [_short(samplers) if samplers else "all samplers"]
    words += [f"{name}={_short(parameters[name])}" for name in ("steps", "count") if parameters.get(name)]
    words += [
        f"{path.rpartition('.')[2]}={_short(value)}" for path, value in (parameters.get("overrides") or {}).items()
    ]
    return f"{run.stem}: compare {' '.join(words)}"


def _short(value: Any) -> str:
    """Return an option as a word or two."""
    if isinstance(value, Mapping):
        return str(value.get("name", "..."))
    if isinstance(value, list | tuple) and len(value) > 3:
        return f"{len(value)} {'steps' if isinstance(value[0], int) else 'samplers'}"
    if isinstance(value, list | tuple):
        return ",".join(map(_short, value))
    return str(value)


FIELDS = ("steps", "samplers", "seed")
"""Parameters of train-and-eval that are changes of its config."""

_FOLDER = Path("configs")


class _ConfigChoices:
    """Has a form offer the names in configs/ beside a field for any path, which comes first."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        text, names = handler(schema), _config_names()
        if not names:
            return text
        choices = {**text, "title": "one of configs/", "enum": names}
        return {"anyOf": [{**text, "title": "path or name"}, choices]}


Config = Annotated[str, _ConfigChoices()]
"""A config as a parameter of a flow: a path, or a name in configs/."""


def config_file(config: str) -> str:
    """Return the YAML file of a config that is named by its path, or by its name in configs/.

    Raises:
        ConfigError: if there is neither; lists the names there are.
    """
    named = _FOLDER / f"{config}.yaml"
    if Path(config).is_file() or Path(config).name != config:
        return config
    if named.is_file():
        return str(named)
    known = ", ".join(_config_names()) or "none"
    message = (
        f"there is no such file, and no {named} in {Path.cwd()}; expected a path, or a name in configs/: {known}"
    )
    raise ConfigError(config, [Problem("", message)])


def _config_names() -> list[str]:
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def resolve_overrides(
    overrides: Mapping[str, Any] | None,
    steps: int | None = None,
    samplers: Sequence[Any] | None = None,
    seed: int | None = None,
) -> dict[str, Any]:
    """Return the changes of a config that a flow's parameters ask for, by path.

    Raises:
        ConfigError: if a sampler is not known.
    """
    sampler_options = None if samplers is None else [sampler.options() for sampler in parse_samplers(samplers)]
    fields = {"training.steps": steps, "sampling.samplers": sampler_options, "seed": seed}
    return {**(overrides or {}), **{path: value for path, value in fields.items() if value is not None}}


def parameter_overrides(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the changes of a config that the parameters of any flow with a config ask for, by path.

    Raises:
        ConfigError: if a sampler is not known.
    """
    return resolve_overrides(parameters.get("overrides"), *(parameters.get(field) for field in FIELDS))


def check_parameters(parameters: Mapping[str, Any]) -> None:
    """Refuse parameters of a flow that would be refused when it runs, and cost minutes until then.

    Raises:
        ConfigError: if the config, a sampler or the workers cannot be understood.
        NoisetteError: if the package of the workers is not installed.
    """
    Workers.check(parameters.get("workers") or "")
    if "config" in parameters:
        load(config_file(parameters["config"]), parameter_overrides(parameters))
    elif "checkpoint" in parameters and not Path(parameters["checkpoint"]).exists():
        load(config_file(parameters["checkpoint"]), parameters.get("overrides") or {})


def require_checkpoint(experiment: Experiment, root: Path) -> Checkpoint:
    """Return the checkpoint of the finished training.

    Raises:
        CheckpointError: if the training is not finished.
    """
    run = training_directory(experiment, root)
    steps = experiment.training.steps
    checkpoint = find_finished_checkpoint(run, steps)
    if checkpoint is not None:
        return checkpoint
    last = find_latest_checkpoint(run)
    state = f"stands at step {last.step} of {steps}" if last else "has not begun"
    raise CheckpointError(f"{run}: the training of {experiment.name} {state}; run `noisette train` first")


def require_samples(experiment: Experiment, root: Path) -> list[Samples]:
    """Return the samples of all samplers of the experiment.

    Raises:
        CheckpointError: if the training is not finished.
        StorageError: if images are missing; names the samplers.
    """
    checkpoint = require_checkpoint(experiment, root)
    run = training_directory(experiment, root)
    directories = {
        sampler.label: samples_directory(run, checkpoint.digest, sampler, experiment)
        for sampler in experiment.sampling.samplers
    }
    found = {label: Samples.finished(directory) for label, directory in directories.items()}
    missing = [label for label, samples in found.items() if samples is None]
    if missing:
        raise StorageError(f"{run}: no images of {', '.join(missing)} yet; run `noisette sample` first")
    return [samples for samples in found.values() if samples is not None]
