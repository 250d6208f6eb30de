"""Overrides of a config from the command line: ``training.lr=1e-3``, ``sampling.samplers.0.steps=20``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from noisette.config.yaml import parse_yaml
from noisette.errors import ConfigError, Problem

__all__ = ["apply_overrides", "parse_override"]


def parse_override(text: str) -> tuple[str, Any]:
    """Split ``a.b=value`` into its path and its value, which is parsed as YAML.

    Raises:
        ConfigError: if there is no equals sign, or the value is not valid YAML.
    """
    path, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"--set {text}", [Problem("", "expected PATH=VALUE, such as training.steps=500")])
    return path.strip(), parse_yaml(value, f"--set {text}")


def apply_overrides(config: Mapping[str, Any], overrides: Sequence[str] | Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of the config with the overrides applied in order.

    Setting an option of a plugin that is given by its name makes it a mapping.

    Raises:
        ConfigError: if a part of a path is empty, or a value on the way has no keys.
    """
    result: dict[str, Any] = _copy_deep(config)
    pairs = overrides.items() if isinstance(overrides, Mapping) else map(parse_override, overrides)
    for path, value in pairs:
        _set(result, path, value)
    return result


def _copy_deep(value: Any) -> Any:
    """Copy mappings and lists; unlike `deepcopy`, it copies what YAML aliases share once for each alias."""
    if isinstance(value, Mapping):
        return {key: _copy_deep(inner) for key, inner in value.items()}
    return [_copy_deep(inner) for inner in value] if isinstance(value, list) else value


def _set(config: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = path.split(".")
    if not all([*parents, last]):
        raise _path_error(path, "expected a path such as training.steps; got an empty key in it")
    place: Any = config
    for depth, key in enumerate(parents):
        inner = _get(place, key, path)
        if inner is None or isinstance(inner, str):
            inner = {} if inner is None else {"name": inner}
            _put(place, key, inner, path)
        place = inner
        if not isinstance(place, dict | list):
            raise _path_error(path, f"{'.'.join(parents[: depth + 1])} is {place!r} and has no keys")
    _put(place, last, value, path)


def _get(place: dict[str, Any] | list[Any], key: str, path: str) -> Any:
    return place[_index(place, key, path)] if isinstance(place, list) else place.get(key)


def _put(place: dict[str, Any] | list[Any], key: str, value: Any, path: str) -> None:
    if isinstance(place, list):
        place[_index(place, key, path)] = value
    else:
        place[key] = value


def _index(place: list[Any], key: str, path: str) -> int:
    if key not in map(str, range(len(place))):
        known = f"an index from 0 to {len(place) - 1}" if place else "a list that is not empty"
        raise _path_error(path, f"expected {known}; got {key!r}")
    return int(key)


def _path_error(path: str, message: str) -> ConfigError:
    return ConfigError(f"--set {path}", [Problem(path, message)])
