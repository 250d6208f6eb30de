"""From pydantic's errors to problems a person can mend: path, what was expected, what came, the nearest match."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from noisette.errors import Problem
from noisette.plugins.registry import nearest

__all__ = ["nested", "problems_of"]

_NESTED = "noisette_problems"


def nested(problems: Sequence[Problem]) -> PydanticCustomError:
    """Return an error that carries problems found inside a value up through pydantic."""
    return PydanticCustomError(_NESTED, "problems inside", {"problems": tuple(problems)})


def problems_of(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """Return every problem of a failed validation of `model`."""
    return [problem for details in error.errors() for problem in _problems(details, model)]


def _problems(details: ErrorDetails, model: type[BaseModel]) -> Iterator[Problem]:
    where = ".".join(str(part) for part in details["loc"])
    if details["type"] == _NESTED:
        for inner in details["ctx"]["problems"]:
            yield Problem(".".join(part for part in (where, inner.path) if part), inner.message, inner.hint)
    elif details["type"] == "extra_forbidden":
        known = _known_keys(model, details["loc"][:-1])
        yield Problem(where, f"unknown key; known are {', '.join(known)}", nearest(str(details["loc"][-1]), known))
    elif details["type"] == "missing":
        yield Problem(where, "is required")
    else:
        yield Problem(where, _message(details), _hint(details))


def _message(details: ErrorDetails) -> str:
    text = details["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if details["type"] in ("value_error", "assertion_error"):
        return text
    return f"expected {text}; got {details['input']!r}"


def _hint(details: ErrorDetails) -> str:
    if details["type"] != "literal_error" or not isinstance(details["input"], str):
        return ""
    choices = details["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", ")
    return nearest(details["input"], choices)


def _known_keys(model: type[BaseModel], path: Sequence[Any]) -> list[str]:
    for part in path:
        field = model.model_fields.get(str(part))
        inner = field.annotation if field else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            break
        model = inner
    return list(model.model_fields)
