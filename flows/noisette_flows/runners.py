"""Where shards of pictures are drawn: threads or processes of this machine, a Dask or a Ray cluster.

threads:4           on this machine
processes:4
dask:4              a Dask cluster of its own, here
dask:tcp://host:8786
ray:4               a Ray cluster of its own, here
ray:ray://host:10001
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from noisette import ConfigError, NoisetteError
from noisette.errors import Problem
from noisette.extras import install_command

if TYPE_CHECKING:
    from prefect.task_runners import TaskRunner

__all__ = ["Workers"]

_EXPECTED = "threads:2, processes:2, dask:2, dask:tcp://HOST:PORT, ray:2 or ray:ray://HOST:PORT"
_UNKNOWN = 8  # shards of a sampler on a cluster whose size is not known


@dataclass(frozen=True)
class Workers:
    """Workers that draw.

    Attributes:
        kind: "threads", "processes", "dask" or "ray".
        count: how many; 0 for a cluster that is there.
        address: of a cluster that is there; else empty.
    """

    kind: str
    count: int
    address: str = ""

    @classmethod
    def of(cls, text: str) -> Self:
        """Return the workers that a flow's parameter asks for.

        Raises:
            ConfigError: if it cannot be understood.
        """
        kind, _, rest = text.partition(":")
        if kind in _RUNNERS and rest.isascii() and rest.isdigit() and int(rest) > 0:
            return cls(kind, int(rest))
        if kind in ("dask", "ray") and "://" in rest:
            return cls(kind, 0, rest)
        raise ConfigError("workers", [Problem("", f"expected {_EXPECTED}; got {text!r}")])

    @classmethod
    def check(cls, text: str) -> None:
        """Refuse workers before anything is computed for them; empty text asks for none.

        Raises:
            ConfigError: if they cannot be understood.
            NoisetteError: if their package is not installed.
        """
        if text:
            cls.of(text).runner()

    @property
    def shards(self) -> int:
        """Into how many parts a sampler's pictures are split, at most."""
        return self.count or _UNKNOWN

    def runner(self) -> TaskRunner[Any]:
        """Return Prefect's task runner for them.

        Raises:
            NoisetteError: if its package is not installed.
        """
        try:
            return _RUNNERS[self.kind](self)
        except ModuleNotFoundError as error:
            raise NoisetteError(
                f"workers {self.kind} need {error.name}, which is not installed: {install_command(self.kind)}"
            ) from None


def _threads(workers: Workers) -> TaskRunner[Any]:
    from prefect.task_runners import ThreadPoolTaskRunner

    return ThreadPoolTaskRunner(max_workers=workers.count)


def _processes(workers: Workers) -> TaskRunner[Any]:
    from prefect.task_runners import ProcessPoolTaskRunner

    return ProcessPoolTaskRunner(max_workers=workers.count)


def _dask(workers: Workers) -> TaskRunner[Any]:
    from prefect_dask.task_runners import DaskTaskRunner

    logging.getLogger("distributed").setLevel(logging.WARNING)  # else sixty lines of a cluster's coming and going
    if workers.address:
        return DaskTaskRunner(address=workers.address)
    local = {
        "n_workers": workers.count,
        "threads_per_worker": 1,
        "host": "127.0.0.1",
        "dashboard_address": None,
        "silence_logs": logging.ERROR,  # of its processes
    }
    return DaskTaskRunner(cluster_class="distributed.LocalCluster", cluster_kwargs=local)


def _ray(workers: Workers) -> TaskRunner[Any]:
    from prefect_ray.task_runners import RayTaskRunner

    local = {"num_cpus": workers.count, "include_dashboard": False, "_node_ip_address": "127.0.0.1"}
    found = RayTaskRunner(address=workers.address) if workers.address else RayTaskRunner(init_kwargs=local)
    runner: TaskRunner[Any] = found
    return runner


_RUNNERS: dict[str, Callable[[Workers], TaskRunner[Any]]] = {
    "threads": _threads,
    "processes": _processes,
    "dask": _dask,
    "ray": _ray,
}
