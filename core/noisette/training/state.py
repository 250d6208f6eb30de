"""The state of a training: everything that a resumed run needs to give the same bits."""

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

from noisette.checkpoint import Checkpoint, checkpoint_path, prune_checkpoints
from noisette.diffusion.noise import derive_seed
from noisette.errors import DataError, NotFiniteError
from noisette.model.conditioning import Conditioning
from noisette.model.model import build_network
from noisette.model.weights import load_weights
from noisette.plugins import registry
from noisette.storage import committed
from noisette.storage.tensors import TensorFile
from noisette.training.distributed import WorkerGroup, full_tensor, load_full_state, shard, shard_like
from noisette.training.ema import EMA, make_emas
from noisette.training.oom import explain_out_of_memory
from noisette.training.optimizer import make_optimizer
from noisette.training.posthoc_ema import make_power_emas
from noisette.training.timestep_sampler import make_timestep_sampler

if TYPE_CHECKING:
    from noisette.config import Experiment
    from noisette.data import Prepared
    from noisette.machine import Machine

__all__ = ["BestResult", "TrainingState", "fork_rng_with_seed"]


_SINGLE_PROCESS = WorkerGroup()


@contextmanager
def fork_rng_with_seed(seed: int) -> Iterator[None]:
    """Seed the CPU generator, which initializes networks, for the block; restore it afterwards.

    Generators of GPUs are not touched: reading them would initialize every GPU in every process.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


@dataclass
class BestResult:
    """The best result so far, stored in checkpoints.

    Attributes:
        by: name of the result.
        value: the best value; None before the first.
        step: the step of the best value.
        misses: evaluations without improvement since then.
        seen: the step of the last evaluation.
    """

    by: str
    value: float | None = None
    step: int = 0
    misses: int = 0
    seen: int = 0

    def update(self, value: float, step: int, *, higher: bool) -> bool:
        """Add a value; return whether it is the best."""
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
        step: number of finished steps.
        classes: names of the labels that the network is conditioned on; empty for an unconditional network.
        network: in training mode, on the machine's device.
        group: the processes of the training.
        emas: the averaged weights, by the names of their files in a checkpoint.
        optimizer: that of `training.optimizer`.
        scaler: scales the loss in fp16; its state is part of a checkpoint's description.
        timestep_sampler: draws the timesteps; it may have a state.
        conditioning: the network's inputs other than x_t, t and the label.
        best: the best result of the evaluations so far, or None.
        seconds: time spent training.
        end_reason: why the training ends before its last step; empty if it does not.
    """

    def __init__(
        self, experiment: Experiment, data: Prepared, machine: Machine, group: WorkerGroup = _SINGLE_PROCESS
    ) -> None:
        options, self.group = experiment.training, group
        self.experiment, self.data, self.machine, self.step = experiment, data, machine, 0
        self.classes = _classes(experiment, data)
        self.conditioning = Conditioning.of(options.model_dump())
        self.timestep_sampler = make_timestep_sampler(options, experiment.timesteps)
        self.best: BestResult | None = None
        self.seconds = 0.0
        self.end_reason = ""
        with explain_out_of_memory("the network, with its averaged weights,"):
            self.network: nn.Module = self._build_network()
            self.emas = make_emas(self.network, options)
            if options.ema_snapshot_every:
                self.emas |= make_power_emas(self.network)
        self.optimizer = make_optimizer(options, self.network.parameters())
        self.scaler = torch.amp.GradScaler(machine.device.type, enabled=machine.autocast is torch.float16)

    def _build_network(self) -> nn.Module:
        """Build the network with initial weights seeded by the experiment, on the machine's device."""
        experiment = self.experiment
        with fork_rng_with_seed(derive_seed(experiment.seed, "weights")):
            network = build_network(
                experiment.backbone, experiment.objective, self.data.shape, len(self.classes), self.conditioning
            )
        network = self.machine.place(network.train())
        if self.group.is_sharded:
            shard(network)
        return network

    @property
    def ema(self) -> EMA | None:
        """The averaged weights of the first decay, or None."""
        return self.emas.get("ema.safetensors")

    def restore(self, checkpoint: Checkpoint) -> None:
        """Load the state of a verified checkpoint.

        Raises:
            CheckpointError: if a tensor is missing or has another shape.
        """
        parameters = dict(self.network.named_parameters())
        if checkpoint.step:  # an optimizer has no state before its first step
            self._restore_optimizer(TensorFile(checkpoint.directory / "optimizer.safetensors"))
        self._load_weights(checkpoint.directory / "network.safetensors")
        for file, ema in self.emas.items():
            averaged = TensorFile(checkpoint.directory / file)
            ema.load(
                {name: shard_like(averaged.get_like(name, weight), weight) for name, weight in parameters.items()}
            )
        history = self.timestep_sampler.state()
        if history:
            kept = TensorFile(checkpoint.directory / "times.safetensors")
            self.timestep_sampler.load({name: kept.get_like(name, tensor) for name, tensor in history.items()})
        best = checkpoint.about.get("best")
        self.best = None if best is None else BestResult(**best)
        if self.scaler.is_enabled() and "scaler" in checkpoint.about:
            self.scaler.load_state_dict(checkpoint.about["scaler"])
        self.seconds = float(checkpoint.about.get("seconds", 0.0))
        self.step = checkpoint.step

    def save(self, run: Path, keep: int | None = None) -> Checkpoint:
        """Write a checkpoint of this step, then remove those beyond `keep`, by default `training.keep_checkpoints`.

        Raises:
            NotFiniteError: if a weight is not finite; no checkpoint is written then.
            StorageError: if it cannot be written; the checkpoints before it stay.
        """
        self._check_finite(run)
        target, first = checkpoint_path(run, self.step), self.group.is_main
        with committed(target, "checkpoint", self._about()) if first else nullcontext() as staging:
            for name, tensors in self._files():
                if staging is not None:
                    save_file(tensors, staging / name)
        if first:
            prune_checkpoints(run, keep or self.experiment.training.keep_checkpoints, self.step)
        self.group.barrier()
        return Checkpoint.open(target)

    def _files(self) -> Iterator[tuple[str, dict[str, Tensor]]]:
        """Yield the files of a checkpoint with their full tensors."""
        network = _to_cpu(self.network.state_dict())
        yield "network.safetensors", network
        yield "optimizer.safetensors", self._optimizer_tensors()
        for name, ema in self.emas.items():
            yield name, {**network, **_to_cpu(ema.state())}
        if self.timestep_sampler.state():
            yield "times.safetensors", _to_cpu(self.timestep_sampler.state())

    def _load_weights(self, path: Path) -> None:
        if self.group.is_sharded:
            stored = TensorFile(path)
            load_full_state(
                self.network, {name: stored.get_like(name, own) for name, own in self.network.state_dict().items()}
            )
        else:
            load_weights(self.network, path)

    def _about(self) -> dict[str, Any]:
        experiment = self.experiment
        plugins = (experiment.schedule, experiment.objective, experiment.backbone, experiment.dataset)
        return {
            "step": self.step,
            **self._run_notes(),
            "experiment": experiment.options(),
            "shape": list(self.data.shape),
            "classes": list(self.data.classes),
            "data": self.data.digest,
            "parameters": sum(parameter.numel() for parameter in self.network.parameters()),
            "precision": self.machine.precision,
            "device": self.machine.device.type,
            "machine": self._machine_choices(),
            "plugins": registry().origins_of(plugins),
            "versions": {"noisette": version("noisette"), "torch": torch.__version__},
        }

    def _machine_choices(self) -> dict[str, Any]:
        """Return the options that depend on the machine."""
        return {
            "name": self.machine.name,
            "memory_format": "channels_last" if self.machine.channels_last else "contiguous",
            "threads": torch.get_num_threads(),
            "compile": self.experiment.training.compile,
            "processes": self.group.size,
            "parallel": self.group.parallel if self.group.size > 1 else None,
        }

    def _run_notes(self) -> dict[str, Any]:
        """Return the scaler's state, the best result, the time and the end reason, if there are any."""
        notes: dict[str, Any] = {"scaler": self.scaler.state_dict()} if self.scaler.is_enabled() else {}
        if self.best is not None:
            notes["best"] = self.best.options()
        if self.experiment.training.max_seconds is not None:
            notes["seconds"] = self.seconds
        if self.end_reason:
            notes["ended"] = self.end_reason
        return notes

    def _check_finite(self, run: Path) -> None:
        weights = list(self.network.parameters())
        if not all(bool(full_tensor(torch.isfinite(weight).all())) for weight in weights):
            raise NotFiniteError(
                f"{run}: a weight is not finite after step {self.step}; the checkpoints before it are kept. "
                "Try a lower training.lr, training.max_grad_norm, or training.precision=fp32"
            )

    def _optimizer_tensors(self) -> dict[str, Tensor]:
        weights = self.network.parameters()
        kept = {index: self.optimizer.state.get(weight, {}) for index, weight in enumerate(weights)}
        tensors = {f"{index}.{key}": value for index, state in kept.items() for key, value in state.items()}
        return _to_cpu({name: value for name, value in tensors.items() if value is not None})

    def _restore_optimizer(self, stored: TensorFile) -> None:
        """Load the optimizer's state; a step with zero gradients first makes its tensors. It may change weights."""
        for parameter in self.network.parameters():
            parameter.grad = torch.zeros_like(parameter)
        self.optimizer.step()
        for index, parameter in enumerate(self.network.parameters()):
            parameter.grad = None
            for key, own in self.optimizer.state.get(parameter, {}).items():
                if own is not None:
                    own.copy_(shard_like(stored.get_like(f"{index}.{key}", own), own))


def _classes(experiment: Experiment, data: Prepared) -> tuple[str, ...]:
    if experiment.training.class_conditional and not data.classes:
        raise DataError(
            f"training.class_conditional: expected a dataset with classes; {experiment.dataset.name} has none "
            "with these options: set training.class_conditional=false, or the dataset's option for labels, if it "
            "has one"
        )
    return data.classes if experiment.training.class_conditional else ()


def _to_cpu(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return contiguous copies on the CPU, as safetensors requires."""
    return {
        name: full_tensor(tensor.detach()).to("cpu", copy=True).contiguous() for name, tensor in tensors.items()
    }
