"""The contracts: one abstract class for each kind of plugin."""

from __future__ import annotations

from noisette.contracts.backbone import Backbone, Shape
from noisette.contracts.dataset import Dataset, Example, Split
from noisette.contracts.features import Features
from noisette.contracts.metric import Batch, Curve, Estimate, Metric, ModelMetric, Neighbours
from noisette.contracts.objective import Objective
from noisette.contracts.plugin import API_VERSION, Plugin
from noisette.contracts.sampler import Sampler
from noisette.contracts.schedule import Schedule

__all__ = [
    "API_VERSION",
    "KINDS",
    "Backbone",
    "Batch",
    "Curve",
    "Dataset",
    "Estimate",
    "Example",
    "Features",
    "Metric",
    "ModelMetric",
    "Neighbours",
    "Objective",
    "Plugin",
    "Sampler",
    "Schedule",
    "Shape",
    "Split",
]

KINDS: dict[str, type[Plugin]] = {
    contract.kind: contract for contract in (Schedule, Objective, Backbone, Sampler, Features, Metric, Dataset)
}
"""The contract of each kind of plugin."""
