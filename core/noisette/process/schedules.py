"""Which schedules a forward strip shows, and what its rows are called."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from noisette.contracts import Schedule
from noisette.plugins import registry

__all__ = ["by_row", "ready_schedules"]


def ready_schedules() -> list[Schedule]:
    """Return every installed schedule that needs no options; one of betas that are given is none."""
    found = [one.plugin for one in registry().of_kind("schedule")]
    ready = [one for one in found if not any(field.is_required() for field in one.model_fields.values())]
    return [cast(Schedule, one()) for one in ready]


def by_row(schedules: Iterable[Schedule]) -> dict[str, Schedule]:
    """Return schedules by what their rows are called: the name, and the options that were given and differ."""
    return {_row(schedule): schedule for schedule in schedules}


def _row(schedule: Schedule) -> str:
    changed = {
        key: getattr(schedule, key)
        for key, field in type(schedule).model_fields.items()
        if key in schedule.model_fields_set
        and getattr(schedule, key) != field.get_default(call_default_factory=True)
    }
    return " ".join([schedule.name, *(f"{key}={getattr(value, 'name', value)}" for key, value in changed.items())])
