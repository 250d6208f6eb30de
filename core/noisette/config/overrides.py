"""Overrides of a config from the command line: ``training.lr=1e-3``, ``sampling.samplers.0.steps=20``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from noisette.config.yaml import parse_yaml
from noisette.errors import ConfigError, Problem

__all__ = ["apply_overrides", "parse_override"]


def parse_override(text: str) -> tuple[str, Any]:
    """Split ``a.b=value`` into its path and its value, which is read as YAML.

    Raises:
        ConfigError: if there is no path or no equals sign.
    """
    path, equals, value = text.partition("=")
    if not equals or not path.strip():
        raise ConfigError(f"--set {text}", [Problem("", "expected PATH=VALUE, such as training.steps=500")])
    return path.strip(), parse_yaml(value, f"--set {text}")


def apply_overrides(config: Mapping[str, Any], overrides: Sequence[str] | Mapping[str, Any]) -> dict[str, Any]:
    """Return the config with the overrides applied in order; the config itself is not changed.

    A plugin given by name alone becomes a mapping when one of its options is set.

    Raises:
        ConfigError: if a path leads through something that has no keys.
    """
    result = deepcopy(dict(config))
    pairs = overrides.items() if isinstance(overrides, Mapping) else map(parse_override, overrides)
    for path, value in pairs:
        _set(result, path, value)
    return result


def _set(config: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = path.split(".")
    place: Any = config
    for depth, key in enumerate(parents):
        inner = _get(place, key, path)
        if inner is None or isinstance(inner, str):
            inner = {} if inner is None else {"name": inner}
            _put(place, key, inner, path)
        place = inner
        if not isinstance(place, dict | list):
            raise _lost(path, f"{'.'.join(parents[: depth + 1])} is {place!r} and has no keys")
    _put(place, last, value, path)


def _get(place: dict[str, Any] | list[Any], key: str, path: str) -> Any:
    return place[_index(place, key, path)] if isinstance(place, list) else place.get(key)


def _put(place: dict[str, Any] | list[Any], key: str, value: Any, path: str) -> None:
    if isinstance(place, list):
        place[_index(place, key, path)] = value
    else:
        place[key] = value


def _index(place: list[Any], key: str, path: str) -> int:
    if not key.isdigit() or int(key) >= len(place):
        raise _lost(path, f"expected an index from 0 to {len(place) - 1}; got {key!r}")
    return int(key)


def _lost(path: str, message: str) -> ConfigError:
    return ConfigError(f"--set {path}", [Problem(path, message)])
