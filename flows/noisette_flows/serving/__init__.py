"""Prefect's and MLflow's servers on a workstation, started and stopped together.

    .noisette/           in the working folder, readable by its owner alone
      prefect.json       address and process of Prefect's server; locked as long as that lives
      prefect.log
      mlflow.json        the same of MLflow
      mlflow.log
      password           asked for by both, of the user noisette

`noisette run` and the like use them when they are up.
"""

from __future__ import annotations

from noisette_flows.serving.background import BackgroundServer, connect, mlflow_url_of, running_prefect
from noisette_flows.serving.servers import down, up

__all__ = ["BackgroundServer", "connect", "down", "mlflow_url_of", "running_prefect", "up"]
