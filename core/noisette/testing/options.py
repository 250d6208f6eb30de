"""Other values of a plugin's options, derived from its fields, for checks to try."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import annotated_types as at
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from noisette.contracts import Plugin

__all__ = [
    "alternatives",
    "combinations",
    "find_ineffective_options",
    "format_plugin",
    "has_default_options",
    "iter_alternatives",
    "variants",
    "with_options",
]

P = TypeVar("P", bound=Plugin)


def format_plugin(plugin: Plugin) -> str:
    """Return the plugin as code: the class and the options that were given."""
    given = (
        f"{key}={getattr(plugin, key)!r}" for key in type(plugin).model_fields if key in plugin.model_fields_set
    )
    return f"{type(plugin).__name__}({', '.join(given)})"


def with_options(plugin: P, **options: Any) -> P:
    """Return a copy with other options, validated as if they came from a config."""
    given = {key: getattr(plugin, key) for key in plugin.model_fields_set}
    return type(plugin)(**{**given, **options})


def has_default_options(plugin: Plugin, *, exclude: Iterable[str] = ()) -> bool:
    """Whether every option, except those in `exclude`, has its default value."""
    fields = type(plugin).model_fields.items()
    return all(
        getattr(plugin, key) == field.get_default(call_default_factory=True)
        for key, field in fields
        if key not in set(exclude) and not field.is_required()
    )


def variants(plugin: P, *, exclude: Iterable[str] = ()) -> Iterator[P]:
    """Yield the plugin, then copies with one option changed: all booleans and literals, ends of closed ranges."""
    yield plugin
    for key, field in type(plugin).model_fields.items():
        if key not in set(exclude):
            yield from _with_values(plugin, key, _choices(field))


def combinations(plugin: P, *, exclude: Iterable[str] = (), most: int = 24) -> list[P]:
    """Return the `variants`, then values inside ranges, then pairs of options that are both changed.

    Args:
        plugin: the plugin to copy.
        exclude: options that are not changed.
        most: the maximum number of copies; larger lists are thinned out evenly, and always include `plugin`.
    """
    names = [key for key in type(plugin).model_fields if key not in set(exclude)]
    tried = {
        key: [*_choices(field), *_values_inside(field), *_values_near(field, getattr(plugin, key))]
        for key, field in type(plugin).model_fields.items()
    }
    single = {key: list(_with_values(plugin, key, tried[key])) for key in names}
    pairs = [
        both
        for number, key in enumerate(names)
        for one in single[key]
        for other in names[number + 1 :]
        for both in _with_values(one, other, tried[other])
        if getattr(both, key) == getattr(one, key)
    ]
    alone = [plugin, *(one for key in names for one in single[key])]
    return [*_take_evenly(alone, most), *_take_evenly(pairs, max(most - len(alone), 0))]


def alternatives(plugin: P, *, exclude: Iterable[str] = (), small: bool = False) -> dict[str, list[P]]:
    """Return, for each option, copies with other values of it; numbers in open ranges are moved inside them.

    Args:
        plugin: the plugin to copy.
        exclude: options that are not changed.
        small: whether to leave out integers above three times the plugin's own: so many layers or pixels take
            minutes.
    """
    fields = {key: field for key, field in type(plugin).model_fields.items() if key not in set(exclude)}
    return {
        key: [
            other
            for other in _with_values(
                plugin, key, [*_choices(field), *_shifted_values(field, getattr(plugin, key))]
            )
            if not (small and _has_grown(getattr(other, key), getattr(plugin, key)))
        ]
        for key, field in fields.items()
    }


def iter_alternatives(plugin: P, *, small: bool = False) -> Iterator[P]:
    """Yield the `alternatives` of all options."""
    return chain.from_iterable(alternatives(plugin, small=small).values())


def find_ineffective_options(
    plugin: P, probe: Callable[[P], object], *, exclude: Iterable[str] = (), small: bool = False
) -> Iterator[str]:
    """Yield the options that have no effect on the result of `probe`, alone or with another option changed.

    Options whose other values cannot be guessed, such as strings, are not tried. `small` is as in `alternatives`.
    """
    others = alternatives(plugin, exclude=exclude, small=small)
    if not any(others.values()):
        return
    plain = probe(plugin)
    for key, tried in others.items():
        alone = any(probe(other) != plain for other in tried)
        if tried and not alone and not _has_effect_with_another(plugin, key, others, probe):
            yield key


def _has_grown(value: Any, own: Any) -> bool:
    return isinstance(value, int) and isinstance(own, int) and value > 3 * max(own, 8)


def _has_effect_with_another(plugin: P, key: str, others: dict[str, list[P]], probe: Callable[[P], object]) -> bool:
    values = [getattr(other, key) for other in others[key]]
    guessed = (partner for name in others.keys() - {key} for partner in others[name])
    for partner in chain(guessed, _without_another(plugin, key)):
        plain = probe(partner)
        if any(probe(other) != plain for other in _with_values(partner, key, values)):
            return True
    return False


def _without_another(plugin: P, key: str) -> Iterator[P]:
    """Yield the plugin with one option other than `key` set to None, for each option that allows it."""
    for name in type(plugin).model_fields.keys() - {key}:
        yield from _with_values(plugin, name, [None])


def _with_values(plugin: P, key: str, values: Iterable[Any]) -> Iterator[P]:
    for value in values:
        if value == getattr(plugin, key):
            continue
        try:
            yield with_options(plugin, **{key: value})
        except ValidationError:
            continue


def _choices(field: FieldInfo) -> list[Any]:
    values = list(_literal_values(field.annotation))
    low, high, closed = _range(field)
    return values + [end for end in (low, high) if closed and end is not None]


def _values_inside(field: FieldInfo) -> list[Any]:
    """Return values inside a closed range that are not special values, such as its middle or a square root."""
    low, high, closed = _range(field)
    if not closed:
        return []
    whole = all(isinstance(end, int) for end in (low, high)) and field.annotation is int
    inside = [low + share * (high - low) for share in (0.37, 0.81)]
    return sorted({round(value) for value in inside}) if whole else inside


def _values_near(field: FieldInfo, value: Any) -> list[Any]:
    """Return values slightly above and below a number whose range is open, within the range."""
    low, high, closed = _range(field)
    if closed or isinstance(value, bool) or not isinstance(value, int | float):
        return []
    apart = 1 if isinstance(value, int) else abs(value) / 2 or 0.5
    below = value - apart if low is None else max(value - apart, (value + low) / 2)
    above = value + apart if high is None else min(value + apart, (value + high) / 2)
    return [round(below), above] if isinstance(value, int) else [below, above]


def _take_evenly(items: list[P], most: int) -> list[P]:
    """Return at most `most` items, evenly spaced from the first."""
    if len(items) <= most:
        return items
    return [items[index * len(items) // most] for index in range(most)]


def _literal_values(annotation: Any) -> Iterator[Any]:
    if annotation is bool:
        yield from (False, True)
    elif get_origin(annotation) is Literal:
        yield from get_args(annotation)
    elif get_origin(annotation) in (Union, types.UnionType):
        for member in get_args(annotation):
            yield from _literal_values(member)


def _shifted_values(field: FieldInfo, value: Any) -> list[Any]:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return []
    low, high, _ = _range(field)
    down = value - 1 if low is None else (value + low) / 2
    up = 2 * value + 1 if high is None else (value + high) / 2
    least = [] if low is None else [low, low + 1]
    return [round(down), value + 1, *least] if isinstance(value, int) else [down, up]


def _range(field: FieldInfo) -> tuple[Any, Any, bool]:
    """Return the minimum and the maximum, and whether both belong to the range."""
    low = high = None
    closed = True
    for rule in field.metadata:
        if isinstance(rule, at.Ge | at.Gt):
            low = rule.ge if isinstance(rule, at.Ge) else rule.gt
        elif isinstance(rule, at.Le | at.Lt):
            high = rule.le if isinstance(rule, at.Le) else rule.lt
        closed &= not isinstance(rule, at.Gt | at.Lt)
    return low, high, closed and low is not None and high is not None
