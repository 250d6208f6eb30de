"""YAML 1.2 scalars: 1e-4 is a number, `no` is a string, 010 is ten; a duplicate key is an error."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from noisette.errors import ConfigError, Problem

__all__ = ["parse_yaml", "read_yaml"]

_BOOL = "tag:yaml.org,2002:bool"
_FLOAT = "tag:yaml.org,2002:float"
_INT = "tag:yaml.org,2002:int"
_YAML_1_1_TAGS = {_BOOL, _FLOAT, _INT, "tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:value"}
_NUMBER = re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$|^[-+]?\.(inf|Inf|INF)$|^\.(nan|NaN|NAN)$")

_MAX_BYTES = 1 << 20
_MAX_VALUES = 20_000
"""Maximum number of values of a config with its aliases expanded."""
_LARGEST = 2**53
"""Largest integer that JSON, in which configs are stored, represents exactly."""


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with YAML 1.2's scalars, no tags, no duplicate keys, and bounded aliases."""

    values = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Compose a node; refuse tags and too many values."""
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        self.values += 1
        if self.values > _MAX_VALUES:
            raise _fault(f"expected a config of at most {_MAX_VALUES} values; got more", event.start_mark)
        if getattr(event, "tag", None) is not None:
            raise _fault(f"tags are not used in configs; got {event.tag}", event.start_mark)
        return super().compose_node(parent, index)

    def construct_document(self, node: yaml.Node) -> Any:
        """Build the document; refuse aliases that make it too large or recursive."""
        _expanded_size(node, {}, set())
        return super().construct_document(node)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Build a dictionary; refuse duplicate keys."""
        seen: dict[str, int] = {}
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise _fault("expected a word as key; got a list or a mapping", key_node.start_mark)
            key = key_node.value
            if key in seen:
                raise _fault(f"key {key!r} is given twice; first in line {seen[key]}", key_node.start_mark)
            seen[key] = key_node.start_mark.line + 1
        return super().construct_mapping(node, deep)

    def construct_integer(self, node: yaml.ScalarNode) -> int:
        """Read an integer: decimal, also with leading zeros, or with 0x or 0o."""
        text = node.value.replace("_", "")
        base = {"0x": 16, "0o": 8}.get(text[:2], 10)
        number = int(text, base) if len(text) < 100 else None
        if number is None or abs(number) > _LARGEST:
            actual = f"{len(text)} digits" if number is None else number
            raise _fault(f"expected a whole number of at most 2^53; got {actual}", node.start_mark)
        return number


_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag not in _YAML_1_1_TAGS]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_INTEGER = re.compile(r"^[-+]?\d[\d_]*$|^0x[\da-fA-F]+$|^0o[0-7]+$")
_Loader.add_implicit_resolver(_BOOL, re.compile(r"^(true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
_Loader.add_implicit_resolver(_INT, _INTEGER, list("-+0123456789"))
_Loader.add_implicit_resolver(_FLOAT, _NUMBER, list("-+.0123456789"))
_Loader.add_constructor(_INT, _Loader.construct_integer)


def parse_yaml(text: str, source: str) -> Any:
    """Parse YAML; `source` is its name in messages.

    Raises:
        ConfigError: if it is not valid YAML or has a duplicate key, with line and column.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ConfigError(source, [Problem(where, error.problem or "not valid YAML")]) from None
    except yaml.YAMLError as error:
        raise ConfigError(source, [Problem("", f"not valid YAML: {' '.join(str(error).split())}")]) from None
    except RecursionError:
        raise ConfigError(source, [Problem("", "nested too deeply")]) from None


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a config file into a dictionary.

    Raises:
        ConfigError: if the file does not exist, cannot be read, or is not a mapping.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise ValueError("expected a config of at most 1 MiB; it is larger")
        text = content.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        raise ConfigError(
            str(path), [Problem("", f"cannot be read: {_cause(error)}", _suggest_siblings(path))]
        ) from None
    value = parse_yaml(text, str(path))
    if not isinstance(value, dict):
        actual = "an empty file" if value is None else f"a {type(value).__name__}"
        raise ConfigError(str(path), [Problem("", f"expected a mapping of keys; got {actual}")])
    return value


def _expanded_size(node: yaml.Node, known: dict[int, int], open_nodes: set[int]) -> int:
    """Return the number of values of a node with all aliases expanded."""
    if id(node) in open_nodes:
        raise _fault("a recursive alias", node.start_mark)
    if id(node) not in known:
        open_nodes.add(id(node))
        known[id(node)] = 1 + sum(_expanded_size(inner, known, open_nodes) for inner in _children(node))
        open_nodes.remove(id(node))
    if known[id(node)] > _MAX_VALUES:
        raise _fault(f"expected at most {_MAX_VALUES} values with all aliases expanded", node.start_mark)
    return known[id(node)]


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    for inner in node.value if isinstance(node, yaml.CollectionNode) else ():
        yield from inner if isinstance(inner, tuple) else (inner,)


def _fault(problem: str, mark: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(None, None, problem, mark)


def _cause(error: OSError | ValueError) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8 text: {error.reason}"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _suggest_siblings(path: Path) -> str:
    siblings = sorted(sibling.name for sibling in path.parent.glob("*.yaml"))
    return f"{path.parent} has {', '.join(siblings[:12])}" if siblings else ""
