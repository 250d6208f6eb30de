"""The samplers that a sweep compares, and their numbers of steps.

A sampler is given as in a config, or as one word on a command line: ``ddpm:variance=fixed-large``, the name and
then options, separated by colons, with values in YAML.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from pydantic import Field, ValidationError

from noisette.config.document import Section
from noisette.config.overrides import parse_override
from noisette.config.problems import to_problems
from noisette.config.reference import SamplerRef
from noisette.config.sections import check_unique_labels
from noisette.config.yaml import parse_yaml
from noisette.contracts import Sampler
from noisette.errors import ConfigError, Problem
from noisette.plugins import registry

__all__ = [
    "DEFAULT_STEPS",
    "expand_steps",
    "installed_samplers",
    "parse_sampler",
    "parse_samplers",
    "split_samplers",
]

DEFAULT_STEPS = (5, 10, 20, 50, 100, 250, 1000)
"""Default numbers of sampling steps."""

_SOURCE = "samplers to compare"


def split_samplers(text: str) -> list[str]:
    """Split ``ddim,ddpm:variance=fixed-large,{name: heun, steps: 20}`` at the commas between samplers."""
    return [part.strip() for part in _parts(text, ",") if part.strip()]


def parse_samplers(values: Sequence[Any]) -> list[Sampler]:
    """Return samplers, each given by its name, by a word with options, or by a mapping as in a config.

    Raises:
        ConfigError: for unknown names and options, invalid values and duplicates; lists all problems.
    """
    samplers = [parse_sampler(value) if isinstance(value, str) else value for value in values]
    try:
        parsed = _SamplerList.model_validate({"samplers": samplers}).samplers
    except ValidationError as error:
        raise ConfigError(_SOURCE, to_problems(error, _SamplerList)) from None
    for given in (True, False):  # ddpm and ddpm:steps=1000 differ, although its default is 1000
        alike = tuple(sampler for sampler in parsed if ("steps" in sampler.model_fields_set) == given)
        try:
            check_unique_labels(alike)
        except ValueError as error:
            raise ConfigError(_SOURCE, [Problem("samplers", str(error))]) from None
    return list(parsed)


class _SamplerList(Section):
    samplers: Annotated[tuple[SamplerRef, ...], Field(min_length=1)]


def installed_samplers() -> tuple[list[Sampler], list[str]]:
    """Return every installed sampler with its variants, and a note for each that needs options or a package."""
    samplers: list[Sampler] = []
    notes = []
    for name in registry().names("sampler"):
        packages = list(dict.fromkeys(f.plugin for f in registry().of_kind("sampler") if f.plugin.name == name))
        if len(packages) > 1:
            notes.append(f"{name} is left out: several packages provide it; name one of them")
            continue
        try:
            samplers += _variants(packages[0])
        except ValidationError as error:
            missing = ", ".join(str(problem["loc"][0]) for problem in error.errors() if problem["loc"])
            notes.append(f"{name} is left out: it has no default for {missing}; give it with its options")
    return samplers, notes


def expand_steps(
    samplers: Sequence[Sampler], steps: Sequence[int], timesteps: int
) -> tuple[list[Sampler], list[str]]:
    """Return each sampler with each number of steps, grouped by sampler, and notes of those that were left out.

    A sampler with explicit steps or timesteps keeps them.

    Args:
        samplers: the samplers.
        steps: numbers of steps; those above T are left out.
        timesteps: T, the number of trained timesteps.

    Raises:
        ConfigError: if no sampler is left.
    """
    possible = sorted({length for length in steps if 1 <= length <= timesteps})
    dropped = sorted(set(steps) - set(possible))
    notes = [f"{_listed(dropped)} steps are left out: the model was trained with {timesteps}"] if dropped else []
    expanded: list[Sampler] = []
    for sampler in samplers:
        lengths = (sampler.model_copy(update={"steps": length}) for length in possible)
        given = "steps" in sampler.model_fields_set or not isinstance(sampler.spacing, str)
        expanded += [one for one in ([sampler] if given else lengths) if one not in expanded]
    if not expanded:
        raise ConfigError(
            _SOURCE, [Problem("steps", f"expected 1 to {timesteps}, the trained timesteps; got {_listed(dropped)}")]
        )
    return expanded, notes


def _variants(plugin: type[Any]) -> list[Sampler]:
    return [plugin.model_validate(dict(options)) for options in ({}, *plugin.variants)]


def _listed(lengths: Sequence[int]) -> str:
    return ", ".join(map(str, lengths)) or "none"


def parse_sampler(text: str) -> Any:
    """Return the config value of a word: a name, or a mapping of name and options."""
    if text.startswith("{"):
        return parse_yaml(text, _SOURCE)
    parts = list(_parts(text, ":"))
    names = [part for part in parts if "=" not in part]
    if not names or parts[: len(names)] != names:
        message = "expected NAME, or NAME:OPTION=VALUE:OPTION=VALUE, with commas between samplers"
        raise ConfigError(_SOURCE, [Problem("", f"{message}; got {text!r}")])
    options = dict(parse_override(part) for part in parts[len(names) :])
    return {"name": ":".join(names), **options} if options else text


def _parts(text: str, separator: str) -> Iterator[str]:
    """Split a text at the separators outside brackets."""
    depth, start = 0, 0
    for index, character in enumerate(text):
        depth += (character in "([{") - (character in ")]}")
        if character == separator and depth <= 0:
            yield text[start:index]
            start = index + 1
    yield text[start:]
