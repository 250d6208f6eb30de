"""The experiment's metrics during training, and the best checkpoint so far."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from noisette.checkpoint import checkpoint_path
from noisette.diffusion.process import Process
from noisette.errors import ConfigError, Problem
from noisette.evaluation import sets
from noisette.evaluation.feature_cache import FeatureCache
from noisette.evaluation.model_metrics import evaluate_model
from noisette.evaluation.set_statistics import compare_states, compute_states, set_metrics
from noisette.evaluation.sets import ImageSet
from noisette.machine import Machine
from noisette.storage import is_complete
from noisette.training.preview import StoppedError, sample_preview, use_ema_weights
from noisette.training.state import BestResult, TrainingState

if TYPE_CHECKING:
    from noisette.contracts.metric import State
    from noisette.model.model import Model

__all__ = ["Validation", "save_best"]

_BATCH = 64


class Validation:
    """Evaluations of a training: `training.evaluate_images` images of the first sampler, and the model itself.

    Args:
        state: the training.
        process: the noise process.
        features: folder of the cached features of the real images.
        should_stop: whether a stop is requested; all processes of the training call it equally often.
    """

    def __init__(
        self, state: TrainingState, process: Process, features: Path, should_stop: Callable[[], bool]
    ) -> None:
        self.state, self.process, self._should_stop = state, process, should_stop
        evaluation, data = state.experiment.evaluation, state.data
        self.metrics = set_metrics(
            evaluation.metrics,
            labelled=data.labels("train") is not None,
            has_classifier=evaluation.features.has_classifier,
        )
        self.better: dict[str, str] = {}
        device = Machine.detect("fp32").device
        folder = features if state.group.is_main else None
        network = evaluation.features.fit(sets.reference(data), sets.test(data), folder)
        self._cache = FeatureCache(network, device, None)
        self._stored_features = FeatureCache(network, device, folder)
        self._real: list[State] = []
        self._heldout: list[State] = []

    def __call__(self) -> dict[str, float] | None:
        """Return results by name, as the evaluation stage calls them; None if a stop is requested meanwhile."""
        count = self.state.experiment.training.evaluate_images
        with use_ema_weights(self.state, self.process) as model:
            try:
                return (self._image_metrics(model, count) if self.metrics else {}) | self._model_metrics(model)
            except StoppedError:
                return None

    def update_best(self, results: dict[str, float], step: int) -> bool:
        """Update the state's `best`; return whether these results are the best.

        If the monitored result has another name than before, earlier results are forgotten: metrics and
        `training.monitor` may differ from those of the checkpoint that the training resumed from.

        Raises:
            ConfigError: if the monitored result is not among `results`.
        """
        best, monitored = self.state.best, self._monitored_result(results)
        if best is None or best.by != monitored:
            best = self.state.best = BestResult(monitored)
        return best.update(results[best.by], step, higher=self.better[best.by] == "higher")

    def _image_metrics(self, model: Model, count: int) -> dict[str, float]:
        import numpy as np

        parts = [
            sample_preview(model, self.state, range(start, min(start + _BATCH, count)), self._should_stop).numpy()
            for start in range(0, count, _BATCH)
        ]
        images = ImageSet(f"step {self.state.step}", np.concatenate(parts))
        if not self._real:
            data, seed = self.state.data, self.state.experiment.seed
            held = sets.heldout(data, count, seed)
            if held is not None:
                self._heldout = compute_states(
                    held, self.metrics, self._stored_features, on_progress=self._check_stop
                )
            self._real = compute_states(
                sets.reference(data),
                self.metrics,
                self._stored_features,
                keep=True,
                on_progress=self._check_stop,
            )
        generated_states = compute_states(images, self.metrics, self._cache, on_progress=self._check_stop)
        comparison = compare_states(generated_states, self._real, self._heldout, self.metrics, self._cache)
        self.better |= {name: self.metrics[index].better for name, index in comparison.origin.items()}
        return {name: result.value for name, result in comparison.results.items()}

    def _model_metrics(self, model: Model) -> dict[str, float]:
        model_results = evaluate_model(model, self.state.experiment, self.state.data, self._check_stop)
        self.better |= model_results.better
        return {name: result.value for name, result in model_results.results.items()}

    def _monitored_result(self, results: dict[str, float]) -> str:
        """Return the name of the result that `training.monitor` selects: the first by default."""
        wanted = self.state.experiment.training.monitor
        matching = [name for name in results if wanted is None or name == wanted or name.startswith(f"{wanted}_")]
        if not matching:
            known = ", ".join(results) or "none, as no metric could be computed"
            message = f"expected one of the results, {known}; got {wanted!r}"
            raise ConfigError("training", [Problem("training.monitor", message)])
        return matching[0]

    def _check_stop(self, done: int) -> None:
        if self._should_stop():
            raise StoppedError


def save_best(state: TrainingState, run: Path) -> None:
    """Write the best checkpoint, `<run>/best`, in place of the previous one."""
    folder = run / "best"
    if not state.group.broadcast(is_complete(checkpoint_path(folder, state.step), "checkpoint")):
        state.save(folder, keep=1)
