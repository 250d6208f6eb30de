"""What a flow is asked for by plain parameters: a config by path or name, and changes of it.

A form in Prefect's pages has a field for each parameter; whatever has none goes into `overrides`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import GetJsonSchemaHandler
from pydantic_core import CoreSchema

from noisette import ConfigError
from noisette.config import load
from noisette.errors import Problem
from noisette.sweep.choice import chosen
from noisette_flows.runners import Workers

__all__ = ["FIELDS", "Config", "asked", "changes_of", "check", "config_file"]

FIELDS = ("steps", "samplers", "seed")
"""Parameters of train-and-eval that are changes of its config."""

_FOLDER = Path("configs")


class _Offered:
    """Has a form offer the names in configs/ beside a field for any path, which comes first."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        text, names = handler(schema), _names()
        if not names:
            return text
        listed = {**text, "title": "one of configs/", "enum": names}
        return {"anyOf": [{**text, "title": "path or name"}, listed]}


Config = Annotated[str, _Offered()]
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
    known = ", ".join(_names()) or "none"
    message = (
        f"there is no such file, and no {named} in {Path.cwd()}; expected a path, or a name in configs/: {known}"
    )
    raise ConfigError(config, [Problem("", message)])


def _names() -> list[str]:
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def asked(
    overrides: Mapping[str, Any] | None,
    steps: int | None = None,
    samplers: Sequence[Any] | None = None,
    seed: int | None = None,
) -> dict[str, Any]:
    """Return the changes of a config that a flow's parameters ask for, by path.

    Raises:
        ConfigError: if a sampler is not known.
    """
    drawn = None if samplers is None else [sampler.options() for sampler in chosen(samplers)]
    fields = {"training.steps": steps, "sampling.samplers": drawn, "seed": seed}
    return {**(overrides or {}), **{path: value for path, value in fields.items() if value is not None}}


def changes_of(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the changes of a config that the parameters of any flow with a config ask for, by path.

    Raises:
        ConfigError: if a sampler is not known.
    """
    return asked(parameters.get("overrides"), *(parameters.get(field) for field in FIELDS))


def check(parameters: Mapping[str, Any]) -> None:
    """Refuse parameters of a flow that would be refused when it runs, and cost minutes until then.

    Raises:
        ConfigError: if the config, a sampler or the workers cannot be understood.
        NoisetteError: if the package of the workers is not installed.
    """
    Workers.check(parameters.get("workers") or "")
    if "config" in parameters:
        load(config_file(parameters["config"]), changes_of(parameters))
    elif "checkpoint" in parameters and not Path(parameters["checkpoint"]).exists():
        load(config_file(parameters["checkpoint"]), parameters.get("overrides") or {})
