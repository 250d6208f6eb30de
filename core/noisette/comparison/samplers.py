"""Which samplers a sweep compares, and at which lengths.

A sampler is named as a config names it, or in one word of a command line: ``ddpm:variance=fixed-large``, options
after the name, apart by colons, each value in YAML.
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
"""Lengths of the walks, if none are given."""

_SOURCE = "samplers to compare"


def split_samplers(text: str) -> list[str]:
    """Split ``ddim,ddpm:variance=fixed-large,{name: heun, steps: 20}`` at the commas between samplers."""
    return [part.strip() for part in _parts(text, ",") if part.strip()]


def parse_samplers(values: Sequence[Any]) -> list[Sampler]:
    """Return the samplers that are named, each by its name, by name and options in a word, or by a mapping.

    Raises:
        ConfigError: with every problem: unknown names and options, impossible values, two that are the same.
    """
    samplers = [parse_sampler(value) if isinstance(value, str) else value for value in values]
    try:
        found = _SamplerList.model_validate({"samplers": samplers}).samplers
    except ValidationError as error:
        raise ConfigError(_SOURCE, to_problems(error, _SamplerList)) from None
    for given in (True, False):  # ddpm and ddpm:steps=1000 are two, though its default is a thousand
        alike = tuple(sampler for sampler in found if ("steps" in sampler.model_fields_set) == given)
        try:
            check_unique_labels(alike)
        except ValueError as error:
            raise ConfigError(_SOURCE, [Problem("samplers", str(error))]) from None
    return list(found)


class _SamplerList(Section):
    samplers: Annotated[tuple[SamplerRef, ...], Field(min_length=1)]


def installed_samplers() -> tuple[list[Sampler], list[str]]:
    """Return every installed sampler with the variants it names, and notes of those that cannot be had by name."""
    samplers: list[Sampler] = []
    notes = []
    for name in registry().names("sampler"):
        packages = list(dict.fromkeys(f.plugin for f in registry().of_kind("sampler") if f.plugin.name == name))
        if len(packages) > 1:
            notes.append(f"{name} is left out: several packages give it; name the one you mean")
            continue
        try:
            samplers += _variants(packages[0])
        except ValidationError as error:
            missing = ", ".join(str(problem["loc"][0]) for problem in error.errors() if problem["loc"])
            notes.append(f"{name} is left out: it has no default for {missing}; name it with its options")
    return samplers, notes


def expand_steps(
    samplers: Sequence[Sampler], steps: Sequence[int], timesteps: int
) -> tuple[list[Sampler], list[str]]:
    """Return each sampler at each length, grouped by sampler, and notes of the lengths that were left out.

    A sampler whose steps or list of steps were given walks those alone.

    Args:
        samplers: what to compare.
        steps: the lengths; none can be more than the trained steps.
        timesteps: T, the trained steps.

    Raises:
        ConfigError: if no walk is left.
    """
    possible = sorted({length for length in steps if 1 <= length <= timesteps})
    dropped = sorted(set(steps) - set(possible))
    notes = [f"{_listed(dropped)} steps are left out: the model was trained with {timesteps}"] if dropped else []
    found: list[Sampler] = []
    for sampler in samplers:
        lengths = (sampler.model_copy(update={"steps": length}) for length in possible)
        given = "steps" in sampler.model_fields_set or not isinstance(sampler.spacing, str)
        found += [walk for walk in ([sampler] if given else lengths) if walk not in found]
    if not found:
        raise ConfigError(
            _SOURCE, [Problem("steps", f"expected 1 to {timesteps}, the trained timesteps; got {_listed(dropped)}")]
        )
    return found, notes


def _variants(plugin: type[Any]) -> list[Sampler]:
    return [plugin.model_validate(dict(options)) for options in ({}, *plugin.variants)]


def _listed(lengths: Sequence[int]) -> str:
    return ", ".join(map(str, lengths)) or "none"


def parse_sampler(text: str) -> Any:
    """Return what a config would say for a word: a name, or a mapping of name and options."""
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
    """Yield the parts of a text between separators that stand outside brackets."""
    depth, start = 0, 0
    for place, character in enumerate(text):
        depth += (character in "([{") - (character in ")]}")
        if character == separator and depth <= 0:
            yield text[start:place]
            start = place + 1
    yield text[start:]
