"""The code that MLflow stores for a registered model, instead of a pickle."""

import mlflow

from noisette_flows.model_registry.pyfunc import NoisettePyfunc

mlflow.models.set_model(NoisettePyfunc())
