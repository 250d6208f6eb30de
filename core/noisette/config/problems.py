"""Pydantic's errors as problems with path, expected value, actual value and a hint."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from reprlib import Repr
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from noisette.errors import ConfigError, Problem
from noisette.plugins.registry import suggest

__all__ = ["nest_problems", "to_problems"]

_NESTED = "noisette_problems"

_EXPECTED = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "float_parsing": "a number",
    "float_type": "a number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number",
    "int_type": "a whole number",
    "invalid_key": "a word as key",
    "list_type": "a list",
    "model_type": "a mapping",
    "string_pattern_mismatch": "text that matches {pattern}",
    "string_type": "text",
    "too_long": "at most {max_length} values",
    "too_short": "at least {min_length} values",
    "tuple_type": "a list",
}

_repr = Repr()
_repr.maxlevel, _repr.maxstring, _repr.maxother = 3, 80, 80


def nest_problems(problems: Sequence[Problem]) -> PydanticCustomError:
    """Return an error that passes problems inside a value through pydantic."""
    return PydanticCustomError(_NESTED, "problems inside", {"problems": tuple(problems)})


def to_problems(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """Return every problem of a failed validation of `model`.

    A key of several types gives one problem, not one for each type. Beyond those that are shown none is looked at.
    """
    groups: dict[str, list[Problem]] = {}
    for number, details in enumerate(error.errors()[: ConfigError.MAX_SHOWN + 1]):
        where, union = _locate(details["loc"], model)
        groups.setdefault(union or f"#{number}", []).extend(_problems(details, where, model))
    return [problem for key, group in groups.items() for problem in _merge(group, union=key[0] != "#")]


def _locate(loc: Sequence[Any], model: type[BaseModel]) -> tuple[str, str]:
    """Return the path without pydantic's names of the types it tried, and the path of the key of several types."""
    parts = [str(part) for part in loc]
    inner: Any = model
    for depth, part in enumerate(parts):
        field = inner.model_fields.get(part) if _is_model(inner) else None
        members = _union_members(field.annotation) if field else []
        if len(members) > 1:
            return ".".join(parts[: depth + 1] + parts[depth + 2 :]), ".".join(parts[: depth + 1])
        inner = members[0] if members else None
    return ".".join(parts), ""


def _union_members(annotation: Any) -> list[Any]:
    """Return the types of a key, without None."""
    if get_origin(annotation) not in (Union, UnionType):
        return [annotation]
    return [member for member in get_args(annotation) if member is not NoneType]


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _merge(group: list[Problem], *, union: bool) -> list[Problem]:
    """Merge the problems of a key's types into one; the type with the deepest path is the intended one."""
    if not union:
        return group
    deepest = max(group, key=lambda problem: problem.path.count("."))
    same = [problem for problem in group if problem.path == deepest.path]
    wants = ", or ".join(problem.message.partition("; got ")[0].removeprefix("expected ") for problem in same)
    got = "".join(deepest.message.partition("; got ")[1:])
    return [Problem(deepest.path, f"expected {wants}{got}", next((p.hint for p in same if p.hint), ""))]


def _problems(details: ErrorDetails, where: str, model: type[BaseModel]) -> Iterator[Problem]:
    if details["type"] == _NESTED:
        for inner in details["ctx"]["problems"]:
            yield Problem(".".join(part for part in (where, inner.path) if part), inner.message, inner.hint)
    elif details["type"] == "extra_forbidden":
        known = _known_keys(model, details["loc"][:-1])
        yield Problem(where, f"unknown key; known are {', '.join(known)}", suggest(str(details["loc"][-1]), known))
    elif details["type"] == "missing":
        yield Problem(where, "is required")
    elif details["type"] in ("value_error", "assertion_error"):
        yield _validator_problem(where, details["msg"].partition(", ")[2], _known_keys(model, details["loc"]))
    else:
        yield Problem(where, _message(details), _hint(details))


def _validator_problem(where: str, text: str, known: Sequence[str]) -> Problem:
    """Return the problem that a validator raised; its text may be ``key: message``."""
    key, _, message = text.partition(": ")
    return Problem(f"{where}.{key}" if where else key, message) if key in known else Problem(where, text)


def _message(details: ErrorDetails) -> str:
    text = details["msg"].removeprefix("Input should be ")
    known = _EXPECTED.get(details["type"])
    expected = known.format_map(details.get("ctx", {})) if known else text
    if expected.startswith(("greater", "less")):
        expected = f"a number {expected}"
    return f"expected {expected}; got {_repr.repr(details['input'])}"


def _hint(details: ErrorDetails) -> str:
    if details["type"] != "literal_error" or not isinstance(details["input"], str):
        return ""
    choices = details["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", ")
    return suggest(details["input"], choices)


def _known_keys(model: type[BaseModel], path: Sequence[Any]) -> list[str]:
    for part in path:
        field = model.model_fields.get(str(part))
        inner = field.annotation if field else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            break
        model = inner
    return list(model.model_fields)
