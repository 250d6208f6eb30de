"""Metrics that keep the features of every image."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from noisette import Batch, Metric

if TYPE_CHECKING:
    from noisette.plugin_api import State

__all__ = ["FeatureRows"]


class FeatureRows(Metric):
    """A metric whose state is the features, (N, D) float32: computed once and shared by all such metrics."""

    shares_state: ClassVar[bool] = True

    def update(self, state: State, batch: Batch) -> State:
        """Return the features, those of `batch` added."""
        from noisette_plugins.metrics.feature_statistics import concat_states, read_features

        return concat_states(state, {"features": read_features(batch)})

    def merge(self, a: State, b: State) -> State:
        """Return the features of both sets."""
        from noisette_plugins.metrics.feature_statistics import concat_states

        return concat_states(a, b)
