"""What several models are called beside one another: by what tells them apart, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from noisette.errors import DataError
from noisette.layout import COSMETIC, WATCHING

if TYPE_CHECKING:
    from noisette.sweep.engine import Sweep

__all__ = ["told_apart_by"]

_MOST = 3
"""Options in a name; models that differ in more are called by their run directories."""

_ASIDE = {"sampling", "evaluation", "pictures", "name"}
_COSMETIC = {f"training.{key}" for key in COSMETIC | WATCHING}


def told_apart_by(sweeps: Sequence[Sweep]) -> list[str]:
    """Return a name for each model: the experiment's, else the options that differ, else the run directory.

    Two checkpoints of one run are told apart by their steps.

    Raises:
        DataError: if two are the same checkpoint.
    """
    digests = [sweep.checkpoint.digest for sweep in sweeps]
    twice = [sweep for sweep, digest in zip(sweeps, digests, strict=True) if digests.count(digest) > 1]
    if twice:
        raise DataError(f"compare: expected different models; got {twice[0].checkpoint.directory} twice")
    options = _by_options(sweeps)
    candidates = [
        [sweep.experiment.name for sweep in sweeps],
        options,
        [f"{sweep.experiment.name} step {sweep.checkpoint.step}" for sweep in sweeps],
        [text and f"{text}, step {sweep.checkpoint.step}" for text, sweep in zip(options, sweeps, strict=True)],
        [sweep.run.name for sweep in sweeps],
        [f"{sweep.run.name} step {sweep.checkpoint.step}" for sweep in sweeps],
        [f"{sweep.run.name} {sweep.checkpoint.digest[:8]}" for sweep in sweeps],
    ]
    return next(names for names in candidates if len(set(names)) == len(sweeps) and all(names))


def _by_options(sweeps: Sequence[Sweep]) -> list[str]:
    """Return the options that are not the same everywhere; nothing if they are many."""
    flat = [dict(_flattened(sweep.trained.options())) for sweep in sweeps]
    known = dict.fromkeys(key for options in flat for key in options)
    keys = [key for key in known if key not in _COSMETIC and _differs(flat, key)]
    if not 0 < len(keys) <= _MOST:
        return [""] * len(sweeps)
    return [", ".join(f"{_short(key)}={options[key]}" for key in keys if key in options) for options in flat]


def _differs(flat: Sequence[Mapping[str, Any]], key: str) -> bool:
    return len({repr(options.get(key)) for options in flat}) > 1


def _short(key: str) -> str:
    return key.removesuffix(".name").rpartition(".")[2]


def _flattened(options: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in options.items():
        if before == "" and key in _ASIDE:
            continue
        if isinstance(value, Mapping):
            yield from _flattened(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value
