"""The flows: `prepare-data`, `train`, `sample`, `evaluate`, and all of them as `train-and-eval`.

Parameters are flat and plain, so that each flow can be started from Prefect's command, its page, or a schedule.
Every flow skips what is finished on disk and returns where its results lie.
"""

from pathlib import Path
from typing import Any

from prefect import flow

from noisette import Experiment
from noisette_flows.names import named
from noisette_flows.observing import observed
from noisette_flows.results import drawn_samples, trained
from noisette_flows.tasks import evaluate_task, prepare_task, sample_task, train_task

__all__ = ["evaluate", "prepare_data", "sample", "train", "train_and_eval"]

Overrides = dict[str, Any] | None


@flow(name="prepare-data", flow_run_name=named("prepare {experiment.dataset.name}"), persist_result=False)
def prepare_data(config: str, overrides: Overrides = None, output: str = "runs") -> str:
    """Make the pictures of an experiment uniform.

    Args:
        config: YAML file of the experiment.
        overrides: changes of the config, by path: {"training.steps": 500}.
        output: folder of all results.
    """
    experiment, root = Experiment.load(config, overrides or {}), Path(output)
    with observed(experiment, root, "off", {}) as events:
        return str(prepare_task(experiment, root, events).directory)


@flow(name="train", flow_run_name=named("train {experiment.training.steps} steps"), persist_result=False)
def train(config: str, overrides: Overrides = None, output: str = "runs", tracking_uri: str | None = None) -> str:
    """Train the network of an experiment on its prepared pictures, or go on training it.

    Args:
        config: YAML file of the experiment.
        overrides: changes of the config, by path: {"training.steps": 500}.
        output: folder of all results.
        tracking_uri: MLflow store; by default MLFLOW_TRACKING_URI, or mlflow.db here; "off" for none.
    """
    experiment, root = Experiment.load(config, overrides or {}), Path(output)
    with observed(experiment, root, tracking_uri, overrides or {}) as events:
        return str(train_task(experiment, root, events).directory)


@flow(name="sample", flow_run_name=named("sample {experiment.sampling.count} pictures"), persist_result=False)
def sample(
    config: str, overrides: Overrides = None, output: str = "runs", tracking_uri: str | None = None
) -> list[str]:
    """Draw pictures with every sampler of an experiment, from its trained network.

    Args:
        config: YAML file of the experiment.
        overrides: changes of the config, by path: {"sampling.count": 16}.
        output: folder of all results.
        tracking_uri: MLflow store; by default MLFLOW_TRACKING_URI, or mlflow.db here; "off" for none.
    """
    experiment, root = Experiment.load(config, overrides or {}), Path(output)
    checkpoint = trained(experiment, root)
    with observed(experiment, root, tracking_uri, overrides or {}) as events:
        drawn = [
            sample_task(experiment, checkpoint, sampler, root, events) for sampler in experiment.sampling.samplers
        ]
        return [str(samples.directory) for samples in drawn]


@flow(name="evaluate", flow_run_name=named("evaluate"), persist_result=False)
def evaluate(
    config: str, overrides: Overrides = None, output: str = "runs", tracking_uri: str | None = None
) -> str:
    """Compare the drawn pictures of an experiment with real ones.

    Args:
        config: YAML file of the experiment.
        overrides: changes of the config, by path: {"evaluation.features": "inception"}.
        output: folder of all results.
        tracking_uri: MLflow store; by default MLFLOW_TRACKING_URI, or mlflow.db here; "off" for none.
    """
    experiment, root = Experiment.load(config, overrides or {}), Path(output)
    samples = drawn_samples(experiment, root)
    with observed(experiment, root, tracking_uri, overrides or {}) as events:
        return str(evaluate_task(experiment, samples, root, events).directory)


@flow(
    name="train-and-eval",
    flow_run_name=named("train {experiment.training.steps} steps, evaluate"),
    persist_result=False,
)
def train_and_eval(
    config: str, overrides: Overrides = None, output: str = "runs", tracking_uri: str | None = None
) -> str:
    """Prepare, train, sample and evaluate an experiment.

    Args:
        config: YAML file of the experiment.
        overrides: changes of the config, by path: {"training.steps": 500}.
        output: folder of all results.
        tracking_uri: MLflow store; by default MLFLOW_TRACKING_URI, or mlflow.db here; "off" for none.
    """
    experiment, root = Experiment.load(config, overrides or {}), Path(output)
    with observed(experiment, root, tracking_uri, overrides or {}) as events:
        prepare_task(experiment, root, events)
        checkpoint = train_task(experiment, root, events)
        samples = [
            sample_task(experiment, checkpoint, sampler, root, events) for sampler in experiment.sampling.samplers
        ]
        return str(evaluate_task(experiment, samples, root, events).directory)
