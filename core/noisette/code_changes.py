"""Warnings that a result is made again because the code of a plugin has changed."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from noisette.errors import StorageError
from noisette.plugins import registry
from noisette.storage import MANIFEST, Manifest, is_complete, read_manifest

if TYPE_CHECKING:
    from noisette.checkpoint import Checkpoint
    from noisette.config import Experiment
    from noisette.contracts import Sampler

__all__ = ["find_changed_plugins", "format_finish_time", "warn_if_code_changed", "warn_if_sampler_changed"]

log = logging.getLogger(__name__)

Origins = Sequence[Mapping[str, str]]


def find_changed_plugins(now: Origins, before: Origins) -> list[str]:
    """Return the plugins, as ``sampler 'ddim'``, of the same package whose code differs.

    Args:
        now, before: origins of plugins; those without code count as unchanged.
    """
    stored = {_identity(origin): origin["code"] for origin in before if "code" in origin}
    changed = [origin for origin in now if stored.get(_identity(origin), origin["code"]) != origin["code"]]
    return list(dict.fromkeys(f"{origin['kind']} {origin['name']!r}" for origin in changed))


def format_finish_time(directory: Path) -> str:
    """Return when a directory was finished, in local time, such as ``2026-11-30 22:10``."""
    return f"{datetime.fromtimestamp((directory / MANIFEST).stat().st_mtime):%Y-%m-%d %H:%M}"


def warn_if_code_changed(target: Path, kind: str, origins: Origins, same: Mapping[str, Any], again: str) -> None:
    """Warn if a result like that of `target` exists, made by other code of the same plugins.

    Args:
        target: the directory of the new result; results of other code are next to it.
        kind: the kind of its manifest.
        origins: origins of the plugins that make it.
        same: the values in its manifest that both results share.
        again: the last words of the warning, such as "sampling again".
    """
    if is_complete(target, kind):  # made again by the same code
        return
    for directory in sorted(target.parent.glob(f"*/{MANIFEST}"), key=_modification_time, reverse=True):
        manifest = _try_read_manifest(directory.parent, kind)
        if manifest is None or any(manifest.about.get(key) != value for key, value in same.items()):
            continue
        before = manifest.about.get("plugins") or [manifest.about.get("plugin") or {}]
        if names := find_changed_plugins(origins, before):
            result, time = directory.parent, format_finish_time(directory.parent)
            log.warning("the code of %s has changed since %s (%s): %s", ", ".join(names), result, time, again)
            return


def warn_if_sampler_changed(experiment: Experiment, checkpoint: Checkpoint, sampler: Sampler, target: Path) -> None:
    """Warn if samples like those of `target` exist, made by other code of the sampler."""
    same = {
        "sampler": sampler.options(),
        "checkpoint": checkpoint.digest,
        "count": experiment.sampling.num_images,
        "clip": experiment.sampling.clip_x0,
        "seed": experiment.seed,
    }
    warn_if_code_changed(target, "samples", [registry().origin_of(sampler)], same, "sampling again")


def _identity(origin: Mapping[str, str]) -> tuple[str, str, str]:
    return origin["kind"], origin["name"], origin["distribution"]


def _modification_time(path: Path) -> float:
    return path.stat().st_mtime


def _try_read_manifest(directory: Path, kind: str) -> Manifest | None:
    try:
        return read_manifest(directory, kind)
    except StorageError:
        return None
