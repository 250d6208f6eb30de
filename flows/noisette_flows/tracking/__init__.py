"""MLflow as a view of a run directory: sent by a separate process, and sent again where something is missing.

mlflow experiment <name>
  parent run   parameters, config.yaml, eval/<metric>_<sampler>, grids, eval/samplers.json, report
    training   train/loss and the like by step, grids by step
    <sampler>  sample/..., eval/<metric>, its grid
  compare <sampler>  <metric> by network calls, of a sweep; its charts and table are the parent's
"""

from __future__ import annotations

from noisette_flows.tracking.mirror import Mirror
from noisette_flows.tracking.store import Store
from noisette_flows.tracking.sync_state import SyncState, experiment_of, is_behind
from noisette_flows.tracking.tracker import Tracker, catch_up, mark_killed

__all__ = ["Mirror", "Store", "SyncState", "Tracker", "catch_up", "experiment_of", "is_behind", "mark_killed"]
