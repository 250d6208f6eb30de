"""The parameters of flows: a config by path or name, changes of it, and the names of flow runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any

from pydantic import GetJsonSchemaHandler
from pydantic_core import CoreSchema

from noisette import ConfigError, Experiment, NoisetteError, Samples, StorageError
from noisette.comparison.samplers import parse_samplers
from noisette.config import FiguresConfig, load
from noisette.errors import Problem
from noisette.find import finished_checkpoint
from noisette.layout import samples_directory
from noisette_flows.tracking.names import run_name
from noisette_flows.workers import Workers

__all__ = [
    "FIELDS",
    "Config",
    "check_parameters",
    "config_file",
    "current_flow_run_name",
    "flow_run_name",
    "load_config",
    "load_experiment",
    "parameter_overrides",
    "require_samples",
    "resolve_overrides",
    "use_config",
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
        config = load_config(parameters["config"], changes)
    except NoisetteError:  # raised by the flow itself
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
    words += [f"{name}={_short(parameters[name])}" for name in ("steps", "num_images") if parameters.get(name)]
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
_LOADED: ContextVar[tuple[str, dict[str, Any], Experiment | FiguresConfig] | None] = ContextVar(
    "loaded", default=None
)


@contextmanager
def use_config(parameters: Mapping[str, Any], config: Experiment | FiguresConfig | None) -> Iterator[None]:
    """Let `load_config` return a config that is read already, for the flow with these parameters in the block."""
    loaded = None if config is None else (parameters["config"], parameter_overrides(parameters), config)
    token = _LOADED.set(loaded)
    try:
        yield
    finally:
        _LOADED.reset(token)


def load_config(config: str, changes: Mapping[str, Any]) -> Experiment | FiguresConfig:
    """Return the config of a flow's parameters, of which the command that runs the flow has read the file.

    Raises:
        ConfigError: with every problem; as `config_file`.
    """
    loaded = _LOADED.get()
    if loaded is not None and loaded[:2] == (config, changes):
        return loaded[2]
    return load(config_file(config), changes)


def load_experiment(config: str, changes: Mapping[str, Any]) -> Experiment:
    """Return the experiment of a flow's parameters, as `load_config`; raises if it has figures alone."""
    loaded = load_config(config, changes)
    return loaded if isinstance(loaded, Experiment) else Experiment.load(config_file(config), changes)


class _ConfigChoices:
    """A form offers a field for any path, then the names in configs/."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        text, names = handler(schema), _config_names()
        if not names:
            return text
        choices = {**text, "title": "one of configs/", "enum": names}
        return {"anyOf": [{**text, "title": "path or name"}, choices]}


Config = Annotated[str, _ConfigChoices()]
"""A config as a parameter of a flow: a path, or a name in configs/."""


def config_file(config: str) -> str:
    """Return the YAML file of a config, given by its path or its name in configs/.

    Raises:
        ConfigError: if there is neither; lists the names in configs/.
    """
    named = _FOLDER / f"{config}.yaml"
    if Path(config).is_file() or Path(config).name != config:
        return config
    if named.is_file():
        return str(named)
    known = ", ".join(_config_names()) or "none"
    message = (
        f"expected a path, or a name in configs/: {known}; there is no such file, and no {named} in {Path.cwd()}"
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
    """Return the changes of a config by path, with those of a flow's own parameters.

    Raises:
        ConfigError: if a sampler is not known.
    """
    sampler_options = None if samplers is None else [sampler.options() for sampler in parse_samplers(samplers)]
    fields = {"training.steps": steps, "sampling.samplers": sampler_options, "seed": seed}
    return {**(overrides or {}), **{path: value for path, value in fields.items() if value is not None}}


def parameter_overrides(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the changes of a config by path, from the parameters of a flow.

    Raises:
        ConfigError: if a sampler is not known.
    """
    return resolve_overrides(parameters.get("overrides"), *(parameters.get(field) for field in FIELDS))


def check_parameters(parameters: Mapping[str, Any]) -> None:
    """Check the parameters of a flow before it is started.

    Raises:
        ConfigError: if the config, a sampler or the workers have problems.
        NoisetteError: if the package of the workers is not installed.
    """
    Workers.check(parameters.get("workers") or "")
    if "config" in parameters:
        load(config_file(parameters["config"]), parameter_overrides(parameters))
    elif "checkpoint" in parameters and not Path(parameters["checkpoint"]).exists():
        load(config_file(parameters["checkpoint"]), parameters.get("overrides") or {})


def require_samples(experiment: Experiment, root: Path) -> list[Samples]:
    """Return the samples of all samplers of the experiment.

    Raises:
        CheckpointError: if the training is not finished.
        StorageError: if images are missing; names the samplers.
    """
    checkpoint, samplers = finished_checkpoint(experiment, root), experiment.sampling.samplers
    samples = {
        sampler.label: Samples.finished(samples_directory(checkpoint.run, checkpoint.digest, sampler, experiment))
        for sampler in samplers
    }
    missing = [label for label, finished in samples.items() if finished is None]
    if missing:
        raise StorageError(
            f"{checkpoint.run}: expected images of every sampler; got none of {', '.join(missing)}; run "
            "`noisette sample` first"
        )
    return [finished for finished in samples.values() if finished is not None]
