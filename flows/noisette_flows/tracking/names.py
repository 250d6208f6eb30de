"""Names, parameters and tags of experiments in MLflow."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from textwrap import shorten
from typing import Any

from noisette import Experiment, registry
from noisette.layout import COSMETIC, MONITORING
from noisette.storage import digest

__all__ = [
    "VISIBLE_CHARACTERS",
    "differing_options",
    "flatten",
    "machine_tags",
    "metric_key",
    "network_parameters",
    "parameters",
    "plugin_tags",
    "result_key",
    "run_name",
    "sampler_parameters",
    "tags",
]

_LONGEST = 30  # characters of an option in a name
_LONGEST_KEY = 200
_PLUGINS = ("dataset", "schedule", "objective", "backbone")
_ALWAYS_SHOWN = {
    "seed": "seed",
    "training.steps": "steps",
    "training.lr": "lr",
    "training.batch_size": "batch_size",
}
"""Options logged for every run, and their names: short, because MLflow's cards show five lines."""

VISIBLE_CHARACTERS = 20
"""Characters of a run's name that MLflow's pages show at least; they show 25 at most."""


def run_name(experiment: Experiment, overrides: Mapping[str, Any], first: Iterable[str] = ()) -> str:
    """Return the name of an experiment's run: changed options, then steps, objective and schedule.

    Args:
        experiment: of the run.
        overrides: changes of its config, by path.
        first: paths of options to put first, because they differ from those of another run.
    """
    parts = {path: _part(path, value) for path, value in overrides.items() if _changes_model(path)}
    usual = {
        "training.steps": f"{experiment.training.steps} steps",
        "objective": experiment.objective.name,
        "schedule": experiment.schedule.name,
    }
    parts = {path: part for path, part in parts.items() if _section(path) not in usual} | usual
    options = flatten(experiment.options())
    leading = {path: _part(path, options[path]) for path in first if path in options}
    ahead = {path: usual.get(_section(path), part) for path, part in leading.items()}
    rest = [part for path, part in parts.items() if part not in ahead.values() and path not in ahead]
    return " ".join([*dict.fromkeys(ahead.values()), *rest])


def flatten(options: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Return nested options by path: ``{"training.steps": 500}``; lists stay lists."""
    found: dict[str, Any] = {}
    for key, value in options.items():
        inner = f"{path}.{key}" if path else str(key)
        found |= flatten(value, inner) if isinstance(value, Mapping) and value else {inner: value}
    return found


def differing_options(options: Mapping[str, Any], others: Mapping[str, Any]) -> list[str]:
    """Return the paths at which two experiments' options differ, first those that change the network."""
    ours, theirs = flatten(options), flatten(others)
    paths = [path for path, value in ours.items() if value != theirs.get(path) and path != "name"]
    return sorted(paths, key=lambda path: not _changes_model(path))


def _section(path: str) -> str:
    """Return the part of a name that a path belongs to: ``objective.name`` and ``objective`` are one."""
    return path.removesuffix(".name")


def _changes_model(path: str) -> bool:
    """Return whether an option changes the network."""
    section, _, key = path.partition(".")
    cosmetic = section == "training" and key in COSMETIC | MONITORING
    return section not in ("sampling", "evaluation", "name", "figures") and not cosmetic


def _part(path: str, value: Any) -> str:
    return f"{_section(path).rpartition('.')[2]}={_short(value)}"


def _short(value: Any) -> str:
    text = str(value.get("name", value) if isinstance(value, Mapping) else value)
    return shorten(text, _LONGEST, placeholder="...")


def parameters(experiment: Experiment, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a run by path: a few options, and the changed ones.

    MLflow's cards list every parameter of a run, and have no space for the whole config.
    """
    options = flatten(experiment.options())
    plugins = {kind: getattr(experiment, kind).name for kind in _PLUGINS}
    changed = {
        path: options[path]
        for path in flatten(overrides)
        if path in options and _changes_model(path) and _section(path) not in plugins
    }
    changed = {path: value for path, value in changed.items() if path not in _ALWAYS_SHOWN}
    return plugins | {name: options[path] for path, name in _ALWAYS_SHOWN.items()} | changed


def sampler_parameters(about: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a sampler, from the manifest of its samples."""
    options = {key: value for key, value in about["sampler"].items() if key not in ("name", "steps")}
    return {
        "sampler": about["sampler"]["name"],
        "steps": about["steps"],
        "network_calls": about["network_calls"],
        "num_images": about["count"],
        **options,
    }


def network_parameters(about: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a network, from the manifest of its checkpoint."""
    known = {"precision": about.get("precision")}
    if "parameters" in about:
        known["Mparams"] = round(about["parameters"] / 1e6, 3)
    return {name: value for name, value in known.items() if value is not None}


def tags(experiment: Experiment, run: Path) -> dict[str, str]:
    """Return the tags of an experiment's run: the hash of its config, its directory, its plugins by kind."""
    parts = (experiment.dataset, experiment.schedule, experiment.objective, experiment.backbone)
    judges = (experiment.evaluation.features, *experiment.evaluation.metrics)
    return {
        "noisette.config": digest(experiment.options()),
        "noisette.directory": str(run.resolve()),
        **plugin_tags(registry().origins_of([*parts, *judges])),
    }


def machine_tags(about: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags of what training chose for its machine, from the manifest of its checkpoint."""
    if "machine" not in about:  # an imported network
        return {}
    chosen = {**about["machine"], "precision": about["precision"], "device": about["device"]}
    return {f"noisette.machine.{name}": str(value) for name, value in chosen.items() if value is not None}


def plugin_tags(origins: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Return a tag for each kind of plugin: names, distributions and versions."""
    texts: dict[str, list[str]] = {}
    for origin in origins:
        text = f"{origin['name']} ({origin['distribution']} {origin['version']})"
        texts.setdefault(f"noisette.{origin['kind']}", []).append(text)
    return {tag: ", ".join(plugins) for tag, plugins in texts.items()}


def result_key(column: str, features: str, sampler: str = "") -> str:
    """Return the key of a result: ``kid/ddim-50 efficientnet-lite0``, or ``kid efficientnet-lite0``.

    MLflow groups charts by the text before the slash and cuts titles after some 20 characters. The features come
    last, so that values of different features never share a chart. Results of children have no slash: a group of
    hidden children would be an empty box.
    """
    result = column.removesuffix(f"_{features}")
    over = "" if result == column else f" {features}"
    return metric_key(f"{result}/{sampler}{over}" if sampler else f"{result}{over}")


def metric_key(text: str) -> str:
    """Return a valid name for MLflow: letters, digits, ``_ - . / :`` and space, without parts such as ``..``."""
    plain = re.sub(r"[^\w\-. /:]", "_", text, flags=re.ASCII)
    parts = [part for part in plain.split("/") if part]
    return "/".join(re.sub(r"^\.+$", "_", part) for part in parts)[:_LONGEST_KEY].rstrip("/") or "_"
