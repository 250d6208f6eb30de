"""YAML as people mean it: 1e-4 is a number, `no` is a word, and a key given twice is a mistake."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from noisette.errors import ConfigError, Problem

__all__ = ["parse_yaml", "read_yaml"]

_BOOL = "tag:yaml.org,2002:bool"
_FLOAT = "tag:yaml.org,2002:float"
_NUMBER = re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$|^[-+]?\.(inf|Inf|INF)$|^\.(nan|NaN|NAN)$")


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with YAML 1.2's scalars, and no duplicate keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Build a dictionary; a key that comes twice is an error, as one of the two would be lost."""
        seen: dict[Any, Any] = {}
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None,
                    None,
                    f"key {key!r} is given twice; first in line {seen[key] + 1}",
                    key_node.start_mark,
                )
            seen[key] = key_node.start_mark.line
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag not in (_BOOL, _FLOAT)]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_BOOL, re.compile(r"^(true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
_Loader.add_implicit_resolver(_FLOAT, _NUMBER, list("-+.0123456789"))


def parse_yaml(text: str, source: str) -> Any:
    """Parse YAML; `source` names it in messages.

    Raises:
        ConfigError: if it is no YAML or gives a key twice, with line and column.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ConfigError(source, [Problem(where, error.problem or "no valid YAML")]) from None
    except yaml.YAMLError as error:
        raise ConfigError(source, [Problem("", str(error))]) from None


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a config file into a dictionary.

    Raises:
        ConfigError: if the file is not there, cannot be read, or holds anything but a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), [Problem("", f"cannot be read: {_cause(error)}", _near(path))]) from None
    value = parse_yaml(text, str(path))
    if not isinstance(value, dict):
        raise ConfigError(str(path), [Problem("", f"expected a mapping of keys; got {type(value).__name__}")])
    return value


def _cause(error: OSError | UnicodeDecodeError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else f"no UTF-8 text: {error.reason}"


def _near(path: Path) -> str:
    siblings = sorted(sibling.name for sibling in path.parent.glob("*.yaml"))
    return f"{path.parent} has {', '.join(siblings[:12])}" if siblings else ""
