"""The experiment's metrics, on the network in the midst of its training, and the best of it so far."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from noisette.checkpoint import checkpoint_path
from noisette.diffusion.process import Tables
from noisette.errors import ConfigError, Problem
from noisette.evaluation import sets
from noisette.evaluation.feature_cache import FeatureCache
from noisette.evaluation.model_metrics import judge_model
from noisette.evaluation.set_statistics import compare_states, metrics_of_sets, statistics
from noisette.evaluation.sets import PictureSet
from noisette.machine import Machine
from noisette.storage import is_complete
from noisette.training.preview import StoppedError, drawn, lent
from noisette.training.state import Best, TrainingState
from noisette.training.stop import Stop

if TYPE_CHECKING:
    from noisette.contracts.metric import State
    from noisette.model.model import Model

__all__ = ["Validation", "keep_best"]

_BATCH = 64


class Validation:
    """Evaluations of a training: `training.evaluate_images` pictures of the first sampler, and the model itself.

    Args:
        state: the training.
        tables: of its process.
        features: folder where features of the real pictures are kept.
    """

    def __init__(self, state: TrainingState, tables: Tables, features: Path) -> None:
        self.state, self.tables = state, tables
        evaluation, data = state.experiment.evaluation, state.data
        self.metrics = metrics_of_sets(
            evaluation.metrics,
            labelled=data.labels("train") is not None,
            classifies=evaluation.features.classifies,
        )
        self.better: dict[str, str] = {}
        device = Machine.here("fp32").device
        folder = features if state.group.is_first else None
        network = evaluation.features.fitted(sets.reference(data), sets.test(data), folder)
        self._cache = FeatureCache(network, device, None)
        self._kept = FeatureCache(network, device, folder)
        self._real: list[State] = []
        self._held: list[State] = []

    def __call__(self, stop: Stop) -> dict[str, float] | None:
        """Return results by name, as the evaluation stage calls them; None if a stop was asked for meanwhile."""
        count = self.state.experiment.training.evaluate_images
        with lent(self.state, self.tables) as model:
            try:
                return (self._of_pictures(model, count, stop) if self.metrics else {}) | self._of_the_model(
                    model, stop
                )
            except StoppedError:
                return None

    def note(self, results: dict[str, float], step: int) -> bool:
        """Take note of results in the state's `best`; return whether they are the best.

        A best by another result begins anew: metrics and `training.monitor` decide no weight, and may have changed
        since the checkpoint that the training goes on from.

        Raises:
            ConfigError: if the result that decides is not among them.
        """
        best, deciding = self.state.best, self._deciding(results)
        if best is None or best.by != deciding:
            best = self.state.best = Best(deciding)
        return best.note(results[best.by], step, higher=self.better[best.by] == "higher")

    def _of_pictures(self, model: Model, count: int, stop: Stop) -> dict[str, float]:
        import numpy as np

        parts = [
            drawn(model, self.state, range(start, min(start + _BATCH, count)), stop).numpy()
            for start in range(0, count, _BATCH)
        ]
        pictures = PictureSet(f"step {self.state.step}", np.concatenate(parts))
        if not self._real:
            data, seed = self.state.data, self.state.experiment.seed
            held = sets.heldout(data, count, seed)
            self._held = statistics(held, self.metrics, self._kept, tick=_unless(stop))
            self._real = statistics(sets.reference(data), self.metrics, self._kept, keep=True, tick=_unless(stop))
        judged = statistics(pictures, self.metrics, self._cache, tick=_unless(stop))
        comparison = compare_states(judged, self._real, self._held, self.metrics, self._cache)
        self.better |= {name: self.metrics[index].better for name, index in comparison.origin.items()}
        return {name: found.value for name, found in comparison.results.items()}

    def _of_the_model(self, model: Model, stop: Stop) -> dict[str, float]:
        judgement = judge_model(model, self.state.experiment, self.state.data, _unless(stop))
        self.better |= judgement.better
        return {name: found.value for name, found in judgement.results.items()}

    def _deciding(self, results: dict[str, float]) -> str:
        """Return which result decides: the first, or the one that `training.monitor` names."""
        wanted = self.state.experiment.training.monitor
        fitting = [name for name in results if wanted is None or name == wanted or name.startswith(f"{wanted}_")]
        if not fitting:
            known = ", ".join(results) or "none, as no metric could be computed"
            message = f"expected one of the results, {known}; got {wanted!r}"
            raise ConfigError("training", [Problem("training.monitor", message)])
        return fitting[0]


def _unless(stop: Stop) -> Callable[[int], None]:
    """Return what is called between parts of the work, and gives up when a stop is asked for."""

    def check(done: int) -> None:
        if stop:
            raise StoppedError

    return check


def keep_best(state: TrainingState, run: Path) -> None:
    """Write a checkpoint of this step as the best so far, in place of the one before: `<run>/best`."""
    folder = run / "best"
    if not state.group.told(is_complete(checkpoint_path(folder, state.step), "checkpoint")):
        state.save(folder, keep=1)
