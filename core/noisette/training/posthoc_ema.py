"""Post-hoc EMA: the length of the average is chosen after the training (Karras et al. 2024, EDM2, section 3).

A power-function average gives the weights of step s a share proportional to s^gamma: its length is a fixed fraction
of the training, sigma_rel. Two averages, of lengths 0.05 and 0.1, are saved in snapshots and in every checkpoint; a
weighted sum of them approximates the average of any length in between and somewhat beyond.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from noisette.checkpoint import Checkpoint, checkpoint_path
from noisette.errors import CheckpointError, DataError
from noisette.storage import committed, is_complete, verify
from noisette.training.distributed import WorkerGroup, full_tensor
from noisette.training.ema import EMA

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "SIGMA_RELS",
    "PowerEMA",
    "make_power_emas",
    "reconstruct_ema",
    "save_snapshot",
    "sigma_rel_to_gamma",
    "solve_coefficients",
]

SIGMA_RELS = (0.05, 0.1)
"""Lengths of the averages in snapshots, as fractions of the training (sigma_rel)."""

_KIND = "snapshot"


def sigma_rel_to_gamma(sigma_rel: float) -> float:
    """Return gamma of the power function whose relative width is `sigma_rel` (algorithm 2).

    Raises:
        DataError: if `sigma_rel` is not above 0 and at most 0.28, the length of a uniform average.
    """
    if not 0 < sigma_rel <= 0.28:
        raise DataError(
            f"length of an average: expected a fraction of the training above 0 and at most 0.28; got {sigma_rel}"
        )
    inverse = sigma_rel**-2
    return float(np.roots([1, 7, 16 - inverse, 12 - inverse]).real.max())


class PowerEMA(EMA):
    """Averaged weights whose decay after step t is (1 - 1/t)^(gamma + 1) (eq. 3)."""

    def __init__(self, network: nn.Module, sigma_rel: float) -> None:
        super().__init__(network, 0.0)
        self.gamma = sigma_rel_to_gamma(sigma_rel)

    def decay_at(self, step: int) -> float:
        """Return the decay used after `step` steps."""
        return float((1 - 1 / step) ** (self.gamma + 1))


def make_power_emas(network: nn.Module) -> dict[str, EMA]:
    """Return the averages of snapshots, by the names of their files."""
    return {_file_name(sigma_rel): PowerEMA(network, sigma_rel) for sigma_rel in SIGMA_RELS}


def save_snapshot(emas: Mapping[str, EMA], step: int, group: WorkerGroup, run: Path) -> None:
    """Write the power-function averages of a step to `<run>/snapshots/step-N`, unless it exists.

    Args:
        emas: all averages of the training, by the names of their files.
        step: steps done.
        group: the processes of the training.
        run: directory of the training.

    Raises:
        StorageError: if they cannot be written.
    """
    folder = run / "snapshots" / f"step-{step:08d}"
    first = group.is_main
    if group.broadcast(is_complete(folder, _KIND)):
        return
    with committed(folder, _KIND, {"step": step}) if first else nullcontext() as staging:
        for file, ema in emas.items():
            if isinstance(ema, PowerEMA):
                tensors = {
                    name: full_tensor(weight.detach()).cpu().contiguous() for name, weight in ema.state().items()
                }
                if staging is not None:
                    save_file(tensors, staging / file)


def solve_coefficients(
    steps: Sequence[int], sigma_rels: Sequence[float], at: int, sigma_rel: float
) -> NDArray[np.float64]:
    """Return the factors of the snapshots' weighted mean that is nearest to an average of another length.

    The least squares of algorithm 3, divided by their sum as in the authors' code: constant weights stay the same.

    Args:
        steps: the step of each snapshot.
        sigma_rels: the length of each snapshot's average.
        at: the step at which the average ends.
        sigma_rel: the length of the average.
    """
    own_t, own_gamma = np.array(steps, dtype=float), np.array([sigma_rel_to_gamma(value) for value in sigma_rels])
    among = _inner_products(own_t[:, None], own_gamma[:, None], own_t[None], own_gamma[None])
    wanted = _inner_products(
        own_t, own_gamma, np.full(len(own_t), float(at)), np.full(len(own_t), sigma_rel_to_gamma(sigma_rel))
    )
    factors = np.linalg.lstsq(among, wanted, rcond=None)[0]
    return np.asarray(factors / factors.sum(), dtype=np.float64)


def reconstruct_ema(checkpoint: Checkpoint, sigma_rel: float) -> Checkpoint:
    """Write a checkpoint with averaged weights of another length, to `<run>/averaged/<sigma_rel>`.

    The average is computed from the averages of the checkpoint and of the snapshots before it.

    Raises:
        CheckpointError: if the checkpoint is damaged or has no power-function averages; DataError: if `sigma_rel`
            is out of range.
        StorageError: if a snapshot is damaged, or the new checkpoint cannot be written.
    """
    sigma_rel_to_gamma(sigma_rel)
    checkpoint = Checkpoint.open(checkpoint.directory)
    target = checkpoint_path(checkpoint.run / "averaged" / f"{sigma_rel:g}", checkpoint.step)
    if is_complete(target, "checkpoint"):
        return Checkpoint.open(target)
    mixed = _mix([*_snapshots(checkpoint), *_checkpoint_averages(checkpoint)], checkpoint.step, sigma_rel)
    network = load_file(checkpoint.directory / "network.safetensors")
    about: dict[str, Any] = {**checkpoint.about, "averaged": sigma_rel}
    with committed(target, "checkpoint", about) as staging:
        save_file(network, staging / "network.safetensors")
        save_file({**network, **mixed}, staging / "ema.safetensors")
    return Checkpoint.open(target)


def _checkpoint_averages(checkpoint: Checkpoint) -> list[tuple[int, float, Path]]:
    """Return step, length and file of each average of a checkpoint.

    Raises:
        CheckpointError: if it has none.
    """
    files = {sigma_rel: checkpoint.directory / _file_name(sigma_rel) for sigma_rel in SIGMA_RELS}
    if not all(file.exists() for file in files.values()):
        names = ", ".join(file.name for file in files.values())
        raise CheckpointError(
            f"{checkpoint.directory}: expected the averages of step {checkpoint.step}, {names}; there are none. "
            "Train with training.ema_snapshot_every, such as a twentieth of the steps; slimmed ones have none"
        )
    return [(checkpoint.step, sigma_rel, file) for sigma_rel, file in files.items()]


def _snapshots(checkpoint: Checkpoint) -> list[tuple[int, float, Path]]:
    """Return step, length and file of every snapshot of a checkpoint's training before its step."""
    run = checkpoint.run.parent if checkpoint.run.name == "best" else checkpoint.run
    folders = sorted((run / "snapshots").glob("step-*"))
    steps = [(int(folder.name.removeprefix("step-")), folder) for folder in folders]
    before = [(step, folder) for step, folder in steps if step < checkpoint.step]
    for _, folder in before:
        verify(folder, _KIND)
    return [
        (step, sigma_rel, folder / _file_name(sigma_rel)) for step, folder in before for sigma_rel in SIGMA_RELS
    ]


def _mix(averages: list[tuple[int, float, Path]], step: int, sigma_rel: float) -> dict[str, Tensor]:
    factors = solve_coefficients(
        [end for end, _, _ in averages], [length for _, length, _ in averages], step, sigma_rel
    )
    total: dict[str, Tensor] = {}
    for factor, (_, _, file) in zip(factors.tolist(), averages, strict=True):
        weights = load_file(file)
        names = total or [name for name, weight in weights.items() if weight.is_floating_point()]
        total = {name: factor * weights[name].double() + total.get(name, 0) for name in names}
    return {name: weight.to(torch.float32) for name, weight in total.items()}


def _file_name(sigma_rel: float) -> str:
    return f"power-{sigma_rel}.safetensors"


def _inner_products(
    t: NDArray[np.float64], gamma: NDArray[np.float64], other_t: NDArray[np.float64], other: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the integrals of products of two averages' profiles (algorithm 3)."""
    ratio = t / other_t
    power = np.where(t < other_t, other, -gamma)
    latest = np.maximum(t, other_t)
    overlaps: NDArray[np.float64] = (gamma + 1) * (other + 1) * ratio**power / ((gamma + other + 1) * latest)
    return overlaps
