"""Which package to install for a plugin that a config names and that is not here: earlier results know."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from noisette import ConfigError, StorageError, registry
from noisette.config import apply_overrides, read_yaml
from noisette.plugins.registry import UNKNOWN
from noisette.storage import MANIFEST, read_manifest

__all__ = ["add_install_hints"]

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
