"""The state of a training run: everything that a resumed run needs to go on with the same bits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from noisette.checkpoint import Checkpoint, checkpoint_path, prune
from noisette.diffusion.noise import derive_seed
from noisette.errors import DataError, NotFiniteError
from noisette.model.conditioning import Inputs
from noisette.model.model import build_network
from noisette.model.weights import load_weights
from noisette.plugins import registry
from noisette.storage import committed
from noisette.storage.tensors import Stored
from noisette.training.distributed import Group, fitted, load_whole, shard, whole
from noisette.training.ema import EMA, averages_of
from noisette.training.memory import enough_memory
from noisette.training.optimizer import AdamW
from noisette.training.posthoc_ema import power_averages
from noisette.training.timestep_sampler import times_of

if TYPE_CHECKING:
    from noisette.config import Experiment
    from noisette.data import Prepared
    from noisette.machine import Machine

__all__ = ["Best", "TrainingState", "seeded"]


_ALONE = Group()


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the generator that networks are built with, the CPU's, for the block; then put it back.

    Those of GPUs are not touched: to look at them would begin work on each GPU of the machine, in every process.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


@dataclass
class Best:
    """The best result so far; it is kept in checkpoints.

    Attributes:
        by: name of the result.
        value: the best value; None before the first.
        step: when it was.
        misses: evaluations since then.
        seen: step of the last evaluation.
    """

    by: str
    value: float | None = None
    step: int = 0
    misses: int = 0
    seen: int = 0

    def note(self, value: float, step: int, *, higher: bool) -> bool:
        """Take note of a value; return whether it is the best."""
        self.seen = step
        better = self.value is None or (value > self.value if higher else value < self.value)
        if better:
            self.value, self.step, self.misses = value, step, 0
        else:
            self.misses += 1
        return better

    def options(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


class TrainingState:
    """Network, averaged weights, optimizer and step.

    Attributes:
        step: steps done.
        classes: names of the labels that the network is told; empty if it is told none.
        network: in training mode, on the machine's device.
        group: the processes that train it together.
        averages: the averaged weights, by the names of their files in a checkpoint.
        optimizer: AdamW.
        times: how steps are drawn, which may hang on the losses so far.
        inputs: what the network is shown beside x_t.
        best: the best result of the evaluations so far, or None.
        seconds: time spent training.
        ended: why the training ended before its last step; empty if it did not.
    """

    def __init__(self, experiment: Experiment, data: Prepared, machine: Machine, group: Group = _ALONE) -> None:
        options, self.group = experiment.training, group
        self.experiment, self.data, self.machine, self.step = experiment, data, machine, 0
        self.classes = _classes(experiment, data)
        self.inputs = Inputs.of(options.model_dump())
        self.times = times_of(options, experiment.timesteps)
        self.best: Best | None = None
        self.seconds = 0.0
        self.ended = ""
        with enough_memory("the network, with its averaged weights,"):
            self.network: nn.Module = self._build_network()
            self.averages = averages_of(self.network, options.decays)
            if options.ema_snapshot_every:
                self.averages |= power_averages(self.network)
        self.optimizer = AdamW(
            self.network.parameters(),
            lr=options.lr,
            betas=options.adam_betas,
            weight_decay=options.weight_decay,
            fused=True,
        )

    def _build_network(self) -> nn.Module:
        """Build the network with the experiment's own initial weights, on the machine."""
        experiment = self.experiment
        with seeded(derive_seed(experiment.seed, "weights")):
            network = build_network(
                experiment.backbone, experiment.objective, self.data.shape, len(self.classes), self.inputs
            )
        network = self.machine.place(network.train())
        if self.group.is_sharded:
            shard(network)
        return network

    @property
    def ema(self) -> EMA | None:
        """The averaged weights of the first decay, or None."""
        return self.averages.get("ema.safetensors")

    def restore(self, checkpoint: Checkpoint) -> None:
        """Take over the state of a verified checkpoint.

        Raises:
            CheckpointError: if a tensor is missing, or has another shape than here.
        """
        parameters = dict(self.network.named_parameters())
        self._load_weights(checkpoint.directory / "network.safetensors")
        for file, ema in self.averages.items():
            averaged = Stored(checkpoint.directory / file)
            ema.load({name: fitted(averaged.like(name, weight), weight) for name, weight in parameters.items()})
        if checkpoint.step:  # before its first step an optimizer has no state
            self._restore_optimizer(Stored(checkpoint.directory / "optimizer.safetensors"))
        history = self.times.state()
        if history:
            kept = Stored(checkpoint.directory / "times.safetensors")
            self.times.load({name: kept.like(name, tensor) for name, tensor in history.items()})
        best = checkpoint.about.get("best")
        self.best = None if best is None else Best(**best)
        self.seconds = float(checkpoint.about.get("seconds", 0.0))
        self.step = checkpoint.step

    def save(self, run: Path, keep: int | None = None) -> Checkpoint:
        """Write a checkpoint of this step, then remove those beyond `keep`, by default `training.keep_checkpoints`.

        Raises:
            NotFiniteError: if a weight is not finite; no such checkpoint is ever written.
            StorageError: if it cannot be written; the checkpoints before it stay.
        """
        self._check_finite(run)
        target, first = checkpoint_path(run, self.step), self.group.is_first
        with committed(target, "checkpoint", self._about()) if first else nullcontext() as staging:
            for name, tensors in self._files():
                if staging is not None:
                    save_file(tensors, staging / name)
        if first:
            prune(run, keep or self.experiment.training.keep_checkpoints, self.step)
        self.group.wait()
        return Checkpoint.open(target)

    def _files(self) -> Iterator[tuple[str, dict[str, Tensor]]]:
        """Yield the files of a checkpoint with their tensors, whole."""
        network = _stored(self.network.state_dict())
        yield "network.safetensors", network
        yield "optimizer.safetensors", self._optimizer_tensors()
        for name, ema in self.averages.items():
            yield name, {**network, **_stored(ema.state())}
        if self.times.state():
            yield "times.safetensors", _stored(self.times.state())

    def _load_weights(self, path: Path) -> None:
        if self.group.is_sharded:
            stored = Stored(path)
            load_whole(
                self.network, {name: stored.like(name, own) for name, own in self.network.state_dict().items()}
            )
        else:
            load_weights(self.network, path)

    def _about(self) -> dict[str, Any]:
        experiment = self.experiment
        plugins = (experiment.schedule, experiment.objective, experiment.backbone, experiment.dataset)
        return {
            "step": self.step,
            **self._way(),
            "experiment": experiment.options(),
            "shape": list(self.data.shape),
            "classes": list(self.data.classes),
            "data": self.data.digest,
            "parameters": sum(parameter.numel() for parameter in self.network.parameters()),
            "precision": self.machine.precision,
            "device": self.machine.device.type,
            "machine": self._choices(),
            "plugins": registry().origins_of(plugins),
            "versions": {"noisette": version("noisette"), "torch": torch.__version__},
        }

    def _choices(self) -> dict[str, Any]:
        """Return what was chosen for the machine at hand."""
        return {
            "name": self.machine.name,
            "memory_format": "channels_last" if self.machine.channels_last else "contiguous",
            "threads": torch.get_num_threads(),
            "compile": self.experiment.training.compile,
            "processes": self.group.size,
            "parallel": self.group.parallel if self.group.size > 1 else None,
        }

    def _way(self) -> dict[str, Any]:
        """Return what was noted on the way, where the options ask for it."""
        noted: dict[str, Any] = {}
        if self.best is not None:
            noted["best"] = self.best.options()
        if self.experiment.training.max_seconds is not None:
            noted["seconds"] = self.seconds
        if self.ended:
            noted["ended"] = self.ended
        return noted

    def _check_finite(self, run: Path) -> None:
        weights = list(self.network.parameters())
        if not all(bool(whole(torch.isfinite(weight).all())) for weight in weights):
            raise NotFiniteError(
                f"{run}: a weight is not finite after step {self.step}; the checkpoints before it are kept. "
                "Try a lower training.lr, training.max_grad_norm, or training.precision=fp32"
            )

    def _optimizer_tensors(self) -> dict[str, Tensor]:
        state = self.optimizer.state_dict()["state"]
        return _stored({f"{index}.{key}": value for index, kept in state.items() for key, value in kept.items()})

    def _restore_optimizer(self, stored: Stored) -> None:
        for index, parameter in enumerate(self.network.parameters()):
            moments = {
                key: torch.empty_like(parameter).copy_(fitted(stored.like(f"{index}.{key}", parameter), parameter))
                for key in ("exp_avg", "exp_avg_sq")
            }
            step = stored.like(f"{index}.step", torch.tensor(0.0))
            self.optimizer.state[parameter] = {"step": step, **moments}


def _classes(experiment: Experiment, data: Prepared) -> tuple[str, ...]:
    if experiment.training.class_conditional and not data.classes:
        raise DataError(
            f"training.class_conditional: expected a data set with classes; {experiment.dataset.name} has none as "
            "it is configured: set training.class_conditional=false, or the data set's own option for labels, if "
            "it has one"
        )
    return data.classes if experiment.training.class_conditional else ()


def _stored(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return contiguous copies on the CPU, as safetensors wants them."""
    return {name: whole(tensor.detach()).to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
