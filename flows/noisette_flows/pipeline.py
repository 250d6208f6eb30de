"""The flows: `prepare-data`, `train`, `sample`, `evaluate`, all of them as `train-and-eval`; and besides
`compare-samplers` and `draw-pictures`.

Parameters are flat and plain, so that each flow can be started from Prefect's command, its page, or a schedule.
Every flow skips what is finished on disk and returns where its results lie.
"""

from pathlib import Path
from typing import Any

from prefect import flow

from noisette import Experiment
from noisette.config import load
from noisette.sweep import STEPS, Sweep
from noisette_flows.names import compared, named
from noisette_flows.observing import observed
from noisette_flows.results import drawn_samples, trained
from noisette_flows.tasks import chart_task, evaluate_task, pictures_task, prepare_task, sample_task, train_task

__all__ = ["compare_samplers", "draw_pictures", "evaluate", "prepare_data", "sample", "train", "train_and_eval"]

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
    """Prepare, train, sample and evaluate an experiment, and make the pictures that it lists.

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
        for scene in experiment.pictures:
            pictures_task(experiment, scene, root, events, checkpoint)
        return str(evaluate_task(experiment, samples, root, events).directory)


@flow(name="draw-pictures", flow_run_name=named("pictures"), persist_result=False)
def draw_pictures(
    config: str, overrides: Overrides = None, output: str = "runs", tracking_uri: str | None = None
) -> list[str]:
    """Make the pictures that a config lists, with its trained network where they need one.

    Args:
        config: YAML file of an experiment, or of pictures alone.
        overrides: changes of the config, by path: {"pictures.0.count": 8}.
        output: folder of all results.
        tracking_uri: MLflow store; by default MLFLOW_TRACKING_URI, or mlflow.db here; "off" for none.
    """
    loaded, root = load(config, overrides or {}), Path(output)
    needed = isinstance(loaded, Experiment) and any(scene.needs_model for scene in loaded.pictures)
    checkpoint = trained(loaded, root) if needed and isinstance(loaded, Experiment) else None
    with observed(loaded, root, tracking_uri, overrides or {}) as events:
        made = [pictures_task(loaded, scene, root, events, checkpoint) for scene in loaded.pictures]
        return [str(shown.directory) for shown in made]


@flow(name="compare-samplers", flow_run_name=compared, persist_result=False)
def compare_samplers(
    checkpoint: str,
    samplers: list[Any] | None = None,
    steps: list[int] | None = None,
    count: int = 500,
    features: Any = None,
    metrics: list[Any] | None = None,
    overrides: Overrides = None,
    output: str | None = None,
    tracking_uri: str | None = None,
) -> str:
    """Measure one trained model's quality against network calls and seconds, sampler by sampler.

    Args:
        checkpoint: a checkpoint's directory, a run's directory, or the YAML file of a trained experiment.
        samplers: names, or mappings of name and options; by default every installed sampler and its variants.
        steps: lengths of the walks; by default 5, 10, 20, 50, 100, 250 and 1000.
        count: pictures of each walk.
        features: feature network; by default the experiment's.
        metrics: by default the experiment's.
        overrides: changes of the YAML file's experiment.
        output: folder of all results; by default that which the run lies in.
        tracking_uri: MLflow store; by default MLFLOW_TRACKING_URI, or mlflow.db here; "off" for none.
    """
    sweep = Sweep.of(
        checkpoint,
        samplers or (),
        steps or STEPS,
        count=count,
        features=features,
        metrics=metrics or (),
        overrides=overrides or {},
        output=output,
    )
    sweep.begin()
    with observed(sweep.trained, sweep.root, tracking_uri, overrides or {}, sweep.run) as events:
        for sampler in sweep.samplers:
            sample_task(sweep.experiment, sweep.checkpoint, sampler, sweep.root, events)
        report = evaluate_task(sweep.experiment, sweep.judged(), sweep.root, events, sweep.run)
        return str(chart_task(sweep, report).directory)
