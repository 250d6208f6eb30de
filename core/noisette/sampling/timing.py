"""Under which conditions images were timed: times of other conditions do not compare."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from platform import node
from typing import Any
from uuid import uuid4

__all__ = ["conditions", "not_comparable"]

_SESSION = uuid4().hex[:8]
"""This process: what it times in turn is timed on one machine within one run."""


def conditions(*, together: bool) -> dict[str, Any]:
    """Return when and where images are timed now, as JSON values.

    Args:
        together: whether this process made all of them in one go.
    """
    import torch

    return {
        "session": _SESSION if together else None,
        "at": f"{datetime.now():%Y-%m-%d %H:%M}",
        "host": node(),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 1),
    }


def not_comparable(samplers: Mapping[str, Mapping[str, Any]]) -> str:
    """Return why the seconds of some samplers do not compare; nothing if they were measured together.

    They compare if one process timed them one after another, with as many threads; the load of the machine then (of
    one minute) is told with the rest.

    Args:
        samplers: what samples say of themselves, by label.
    """
    timed = {label: about.get("timed") or {} for label, about in samplers.items()}
    if len(timed) < 2:
        return ""
    sessions = {(one.get("session"), one.get("threads")) for one in timed.values()}
    if len(sessions) == 1 and None not in next(iter(sessions)):
        return ""
    told = (
        f"{label} {one['at']}, load {one['load']}" if one else f"{label} unknown" for label, one in timed.items()
    )
    return (
        f"seconds per image were not measured together ({'; '.join(told)}) and do not compare; "
        "`noisette run CONFIG --again sample` measures all in one run"
    )
