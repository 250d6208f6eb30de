"""Names of several models: the shortest description in which they differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from noisette.errors import DataError
from noisette.layout import COSMETIC, MONITORING

if TYPE_CHECKING:
    from noisette.comparison.sweep import Sweep
    from noisette.config import Experiment
    from noisette.contracts import Plugin

    Trained = tuple[Experiment, Sequence[Mapping[str, str]]]
    """An experiment and the origins of its plugins."""

__all__ = ["describe_differences", "differing_options", "distinct_names"]

_MAX_OPTIONS = 6
"""Largest number of options in a name; models with more differences are named by their run directories."""

_PLUGINS = ("dataset", "schedule", "objective", "backbone")
_NAMES = {f"{kind}.name" for kind in _PLUGINS}
_IGNORED = {"sampling", "evaluation", "figures", "name"}
_COSMETIC = {f"training.{key}" for key in COSMETIC | MONITORING}


def distinct_names(sweeps: Sequence[Sweep]) -> list[str]:
    """Return a name for each model: its experiment, else the options that differ, else its run directory.

    Checkpoints of one run are distinguished by their steps.

    Raises:
        DataError: if two models are the same checkpoint.
    """
    digests = [sweep.checkpoint.digest for sweep in sweeps]
    repeated = [sweep for sweep, digest in zip(sweeps, digests, strict=True) if digests.count(digest) > 1]
    if repeated:
        raise DataError(f"compare: expected different models; got {repeated[0].checkpoint.directory} twice")
    trained = [(sweep.trained, sweep.checkpoint.about["plugins"]) for sweep in sweeps]
    options = (
        describe_differences(trained) if len(differing_options(trained)) <= _MAX_OPTIONS else [""] * len(sweeps)
    )
    candidates = [
        [sweep.experiment.name for sweep in sweeps],
        options,
        [f"{sweep.experiment.name} step {sweep.checkpoint.step}" for sweep in sweeps],
        [text and f"{text}, step {sweep.checkpoint.step}" for text, sweep in zip(options, sweeps, strict=True)],
        [sweep.run.name for sweep in sweeps],
        [f"{sweep.run.name} step {sweep.checkpoint.step}" for sweep in sweeps],
        [f"{sweep.run.name} {sweep.checkpoint.digest[:8]}" for sweep in sweeps],
    ]
    return next(names for names in candidates if len(set(names)) == len(sweeps) and all(names))


def describe_differences(trained: Sequence[Trained]) -> list[str]:
    """Return the options of each training that are not the same in all, as a text.

    A plugin that differs is given with its options other than the defaults: ``schedule=linear end=0.01``.
    """
    facts, keys = [_facts(training) for training in trained], differing_options(trained)
    return [", ".join(f"{_last(key)}={options[key]}" for key in keys if key in options) for options in facts]


def differing_options(trained: Sequence[Trained]) -> list[str]:
    """Return the paths of options that differ between trainings; for a plugin that differs, its path only."""
    facts = [_facts(training) for training in trained]
    known = dict.fromkeys(key for options in facts for key in options)
    keys = [key for key in known if len({options.get(key) for options in facts}) > 1]
    names = {key: {options[key].partition(" ")[0] for options in facts if key in options} for key in keys}
    others = tuple(f"{key}." for key in keys if key in _PLUGINS and len(names[key]) > 1)
    inner = tuple(key.removesuffix("name") for key in keys if key.endswith(".name"))
    same = {key for key in keys if key in _PLUGINS and len(names[key]) == 1}
    left_out = [key for key in keys if key.startswith(inner) and not key.endswith(".name")]
    return [key for key in keys if key not in {*same, *left_out} and not key.startswith(others)]


def _last(path: str) -> str:
    section, _, key = path.rpartition(".")
    return f"{section} {key}" if key == "code" else section.rpartition(".")[2] if key == "name" else key


def _facts(trained: Trained) -> dict[str, str]:
    """Return the options of a training as texts by path: each plugin whole, and its options and code."""
    experiment, origins = trained
    whole = {kind: _describe(getattr(experiment, kind)) for kind in _PLUGINS}
    options = {key: shorten(str(value), 40, placeholder="...") for key, value in _flatten(experiment.options())}
    codes = {f"{o['kind']}.code": o["code"] for o in origins if "code" in o and o["kind"] in _PLUGINS}
    return {**whole, **{key: value for key, value in options.items() if key not in _COSMETIC}, **codes}


def _describe(plugin: Plugin) -> str:
    """Return a plugin's name and options other than the defaults: ``linear end=0.01``."""
    options, fields = plugin.options(), type(plugin).model_fields
    changed = [key for key in fields if getattr(plugin, key) != fields[key].get_default(call_default_factory=True)]
    inner = {key: options[key] for key in changed}
    values = {
        key: value.get("name", value) if isinstance(value, Mapping) else value for key, value in inner.items()
    }
    return " ".join([plugin.name, *(f"{key}={value}" for key, value in values.items())])


def _flatten(options: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in options.items():
        path = f"{before}{key}"
        if path in _IGNORED or path in _NAMES:
            continue
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{path}.")
        else:
            yield path, value
