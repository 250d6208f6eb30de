"""A trained model in MLflow's registry: sampled by a table of requests, loaded without pickle.

pyfunc.py        what MLflow runs: reads a file of weights and a manifest, gives images
pyfunc_code.py   the file that MLflow stores beside the weights; it names the class
register.py      `register`: a model version with alias, its run's
"""

from __future__ import annotations

from noisette_flows.model_registry.register import RegisteredVersion, register

__all__ = ["RegisteredVersion", "register"]
