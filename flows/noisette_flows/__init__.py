"""Flows over noisette's engines: Prefect, MLflow and the `noisette` command. No mathematics, no tensors.

Importing this package sets defaults for Prefect and MLflow in the environment, where the user has set none: they
are read when those two are imported.
"""

from __future__ import annotations

from noisette_flows.environment import set_defaults

set_defaults()
