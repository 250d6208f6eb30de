"""How an experiment is called in MLflow: names whose difference comes first, few parameters, tags."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from noisette import Experiment, registry
from noisette.layout import COSMETIC, WATCHING
from noisette.storage import digest

__all__ = [
    "metric_key",
    "parameters",
    "plugin_tags",
    "result_key",
    "run_name",
    "sampler_parameters",
    "tags",
    "training_parameters",
]

_NAMED = {"training.steps", "objective", "schedule"}  # in every name already


def run_name(experiment: Experiment, overrides: Mapping[str, Any]) -> str:
    """Return the name of an experiment's run; MLflow's pages show its first 20 to 25 characters."""
    changed = [f"{path.rpartition('.')[2]}={_short(value)}" for path, value in overrides.items() if _tells(path)]
    usual = [experiment.objective.name, experiment.schedule.name, f"{experiment.training.steps} steps"]
    return " ".join([*changed, *usual])


def _tells(path: str) -> bool:
    """Return whether an override changes the network, and is not in every name already."""
    section, _, key = path.partition(".")
    cosmetic = section == "training" and key in COSMETIC | WATCHING
    return section not in ("sampling", "evaluation", "name") and path not in _NAMED and not cosmetic


def _short(value: Any) -> str:
    return str(value.get("name", value) if isinstance(value, dict) else value)


def parameters(experiment: Experiment) -> dict[str, Any]:
    """Return the six parameters that tell experiments apart; MLflow's cards list every one they are given."""
    return {
        "dataset": experiment.dataset.name,
        "schedule": experiment.schedule.name,
        "objective": experiment.objective.name,
        "backbone": experiment.backbone.name,
        "steps": experiment.training.steps,
        "lr": experiment.training.lr,
    }


def training_parameters(experiment: Experiment) -> dict[str, Any]:
    """Return the parameters of a training."""
    training = experiment.training
    names = ("steps", "batch", "lr", "decay", "ema")
    return {**{name: getattr(training, name) for name in names}, "seed": experiment.seed}


def sampler_parameters(about: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a sampler, from what its samples say about themselves."""
    options = {key: value for key, value in about["sampler"].items() if key not in ("name", "steps")}
    return {
        "sampler": about["sampler"]["name"],
        "steps": about["steps"],
        "network_calls": about["network_calls"],
        "count": about["count"],
        **options,
    }


def tags(experiment: Experiment, run: Path) -> dict[str, str]:
    """Return the tags of an experiment's run: the hash of its config, its directory, its plugins by kind."""
    parts = (experiment.dataset, experiment.schedule, experiment.objective, experiment.backbone)
    judges = (experiment.evaluation.features, *experiment.evaluation.metrics)
    return {
        "noisette.config": digest(experiment.options()),
        "noisette.directory": str(run.absolute()),
        **plugin_tags(registry().origins_of([*parts, *judges])),
    }


def plugin_tags(origins: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Return a tag for each kind of plugin: names, distributions and versions."""
    told: dict[str, list[str]] = {}
    for origin in origins:
        text = f"{origin['name']} ({origin['distribution']} {origin['version']})"
        told.setdefault(f"noisette.{origin['kind']}", []).append(text)
    return {tag: ", ".join(texts) for tag, texts in told.items()}


def result_key(column: str, features: str, sampler: str = "") -> str:
    """Return the key of a result: ``kid/ddim-50 efficientnet-lite0``, or ``kid efficientnet-lite0``.

    MLflow groups its charts by what stands before the slash and cuts their titles after some 20 characters; the
    features come last, but they do come: values over different features never share a chart. A group that only
    folded children have would be an empty box at the top of the page; so theirs have no slash.
    """
    result = column.removesuffix(f"_{features}")
    over = "" if result == column else f" {features}"
    return metric_key(f"{result}/{sampler}{over}" if sampler else f"{result}{over}")


def metric_key(text: str) -> str:
    """Return a name as MLflow takes it: letters, digits and ``_ - . / :`` and space."""
    return re.sub(r"[^\w\-. /:]", "_", text, flags=re.ASCII)
