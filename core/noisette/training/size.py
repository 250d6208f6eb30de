"""The size of a training before it starts: parameters of the network and memory of the state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from noisette.data.prepared import Prepared
from noisette.model.conditioning import Conditioning
from noisette.model.model import build_network
from noisette.training.posthoc_ema import SIGMA_RELS

if TYPE_CHECKING:
    from pathlib import Path

    from noisette.config import Experiment
    from noisette.contracts import Shape

__all__ = ["TrainingSize", "measure_size"]


@dataclass(frozen=True)
class TrainingSize:
    """The size of a training.

    Attributes:
        parameters: number of trained parameters.
        state_bytes: memory of weights, gradients, the moments of the optimizer and the averages, all float32;
            without the activations.
    """

    parameters: int
    state_bytes: int


def measure_size(experiment: Experiment, data: Path) -> TrainingSize | None:
    """Return the size of an experiment's training, or None if the shape of its images is unknown.

    Args:
        experiment: the experiment.
        data: the directory of its prepared images; if they are not prepared, the shape is that of
            `preparation.size` and `preparation.channels`.

    Raises:
        DataError: if the backbone does not support this shape.
    """
    prepared = Prepared.finished(data)
    shape = _shape(experiment) if prepared is None else prepared.shape
    if shape is None:
        return None
    classes = experiment.dataset.classes() if prepared is None else prepared.classes
    training = experiment.training
    network = build_network(
        experiment.backbone,
        experiment.objective,
        shape,
        len(classes) if training.class_conditional else 0,
        Conditioning.of(training.model_dump()),
    )
    weights = list(network.parameters())
    moments = {"sgd": int(bool(training.momentum)), "adafactor": 0, "muon": 1}.get(training.optimizer, 2)
    copies = 2 + moments + len(training.decays) + (len(SIGMA_RELS) if training.ema_snapshot_every else 0)
    return TrainingSize(
        sum(weight.numel() for weight in weights), copies * sum(weight.nbytes for weight in weights)
    )


def _shape(experiment: Experiment) -> Shape | None:
    size, channels = experiment.preparation.size, experiment.preparation.channels
    return None if size is None or channels is None else (channels, size, size)
