"""The flows: `prepare-data`, `train`, `sample`, `evaluate`, all of them as `train-and-eval`, `compare-samplers` and
`make-figures`.

Parameters are flat and plain, so that each flow can be started from Prefect's command, its pages, or a schedule.
Every flow skips finished results and returns the directories of its results.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect import flow

from noisette import Experiment, Report
from noisette.comparison import DEFAULT_STEPS, Sweep, SweepResult
from noisette.config import FiguresConfig
from noisette.evaluation.requirements import require_ready
from noisette.find import finished_checkpoint
from noisette.layout import run_directory
from noisette.stages import plan_stages, stages_to_redo
from noisette.training.resume import set_aside
from noisette_flows.artifacts import send_report
from noisette_flows.flow_events import FlowEvents, observe_flow_run
from noisette_flows.params import (
    Config,
    config_file,
    current_flow_run_name,
    load_config,
    load_experiment,
    require_samples,
    resolve_overrides,
)
from noisette_flows.tasks import chart_task, evaluate_task, figures_task, prepare_task, train_task
from noisette_flows.tracking import Store
from noisette_flows.workers import Workers, sample_all

__all__ = ["compare_samplers", "evaluate", "make_figures", "prepare_data", "sample", "train", "train_and_eval"]

Overrides = dict[str, Any] | None


@flow(name="prepare-data", flow_run_name=current_flow_run_name, persist_result=False)
def prepare_data(config: Config, overrides: Overrides = None, output: str = "runs", again: bool = False) -> str:
    """Download the images of an experiment and bring them to one size and colour mode.

    Args:
        config: the experiment: a YAML file, or its name in configs/.
        overrides: changes of the config, by path: {"training.steps": 500}.
        output: folder of all results.
        again: run it again if it is finished; the old result is replaced when the new one is complete.
    """
    experiment, root = load_experiment(config, overrides or {}), Path(output)
    with observe_flow_run(experiment, root, "off", {}) as events:
        return str(prepare_task(experiment, root, again=again, events=events).directory)


@flow(name="train", flow_run_name=current_flow_run_name, persist_result=False)
def train(
    config: Config, overrides: Overrides = None, output: str = "runs", tracking_uri: str = "", again: bool = False
) -> str:
    """Train the network of an experiment on its prepared images, or resume its training.

    Args:
        config: the experiment: a YAML file, or its name in configs/.
        overrides: changes of the config, by path: {"training.steps": 500}.
        output: folder of all results.
        tracking_uri: MLflow store, without a password; by default MLFLOW_TRACKING_URI, or mlflow.db here; "off"
            for none.
        again: train again if it is trained; the old training is kept under another name.
    """
    experiment, root = load_experiment(config, overrides or {}), Path(output)
    if again:
        set_aside(experiment, root)
    with observe_flow_run(experiment, root, tracking_uri, overrides or {}) as events:
        _hold_gpus(events, experiment, root, "train")
        return str(train_task(experiment, root, events=events).directory)


@flow(name="sample", flow_run_name=current_flow_run_name, persist_result=False)
def sample(
    config: Config,
    overrides: Overrides = None,
    workers: str = "",
    output: str = "runs",
    tracking_uri: str = "",
    again: bool = False,
) -> list[str]:
    """Generate images with every sampler of an experiment, from its trained network.

    Args:
        config: the experiment: a YAML file, or its name in configs/.
        overrides: changes of the config, by path: {"sampling.num_images": 16}.
        workers: for shards of images in parallel, as in train-and-eval.
        output: folder of all results.
        tracking_uri: MLflow store, without a password; by default MLFLOW_TRACKING_URI, or mlflow.db here; "off"
            for none.
        again: run it again if it is finished; the old result is replaced when the new one is complete.
    """
    Workers.check(workers)
    experiment, root = load_experiment(config, overrides or {}), Path(output)
    checkpoint = finished_checkpoint(experiment, root)
    with observe_flow_run(experiment, root, tracking_uri, overrides or {}) as events:
        _hold_gpus(events, experiment, root, "sample", again=again)
        samples = sample_all(experiment, checkpoint, experiment.sampling.samplers, root, events, workers, again)
        return [str(sampled.directory) for sampled in samples]


@flow(name="evaluate", flow_run_name=current_flow_run_name, persist_result=False)
def evaluate(
    config: Config, overrides: Overrides = None, output: str = "runs", tracking_uri: str = "", again: bool = False
) -> str:
    """Compare the generated images of an experiment with real ones.

    Args:
        config: the experiment: a YAML file, or its name in configs/.
        overrides: changes of the config, by path: {"evaluation.features": "inception"}.
        output: folder of all results.
        tracking_uri: MLflow store, without a password; by default MLFLOW_TRACKING_URI, or mlflow.db here; "off"
            for none.
        again: run it again if it is finished; the old result is replaced when the new one is complete.
    """
    experiment, root = load_experiment(config, overrides or {}), Path(output)
    samples = require_samples(experiment, root)
    with observe_flow_run(experiment, root, tracking_uri, overrides or {}) as events:
        _hold_gpus(events, experiment, root, "evaluate", again=again)
        report = evaluate_task(experiment, samples, root, again=again, events=events)
        run = run_directory(experiment, root)
        send_report(events.artifact_sender, experiment.name, report, samples, run, Store.of(tracking_uri))
        return str(report.directory)


@flow(name="train-and-eval", flow_run_name=current_flow_run_name, persist_result=False)
def train_and_eval(
    config: Config,
    overrides: Overrides = None,
    steps: int | None = None,
    samplers: list[str | dict[str, Any]] | None = None,
    seed: int | None = None,
    workers: str = "",
    output: str = "runs",
    tracking_uri: str = "",
    again: str = "",
) -> str:
    """Prepare, train, sample and evaluate an experiment, and make the figures that it lists.

    Args:
        config: the experiment: a YAML file, or its name in configs/.
        overrides: changes of the config, by path: {"training.batch_size": 32}.
        steps: training steps; the config's, if empty.
        samplers: such as ddim:steps=25; the config's, if empty.
        seed: seed of everything random; the config's, if empty.
        workers: for shards of images in parallel: threads:2, processes:2, dask:2, dask:ADDRESS, ray:2; if empty,
            one sampler after another in this process.
        output: folder of all results.
        tracking_uri: MLflow store, without a password; by default MLFLOW_TRACKING_URI, or mlflow.db here; "off"
            for none.
        again: stage (prepare, train, sample, figures or evaluate) to run again, with all stages that depend on it.
    """
    changes = resolve_overrides(overrides, steps, samplers, seed)
    experiment = load_experiment(config, changes)
    return str(run_experiment(experiment, Path(output), changes, workers, tracking_uri, again).directory)


def run_experiment(
    experiment: Experiment,
    root: Path,
    changes: Mapping[str, Any],
    workers: str = "",
    tracking_uri: str = "",
    again: str = "",
) -> Report:
    """Run all stages of an experiment inside a flow run; return its evaluation.

    Args:
        experiment: what to run.
        root: folder of all results.
        changes: of its config, by path, which name its runs in MLflow.
        workers, tracking_uri, again: as `train_and_eval` takes them.
    """
    redo = stages_to_redo(again)
    Workers.check(workers)
    require_ready(experiment.evaluation)
    if "train" in redo:
        set_aside(experiment, root)
    with observe_flow_run(experiment, root, tracking_uri, changes) as events:
        prepared = prepare_task(experiment, root, again="prepare" in redo, events=events)
        _hold_gpus(events, experiment, root, "train", "sample", "figures", "evaluate", again=bool(redo))
        checkpoint = train_task(experiment, root, events=events, wait_for=[prepared])
        samplers = experiment.sampling.samplers
        samples = sample_all(experiment, checkpoint, samplers, root, events, workers, "sample" in redo)
        for figure in experiment.figures:
            figures_task(experiment, figure, root, checkpoint=checkpoint, again="figures" in redo, events=events)
        report = evaluate_task(experiment, samples, root, again="evaluate" in redo, events=events)
        send_report(
            events.artifact_sender, experiment.name, report, samples, checkpoint.run, Store.of(tracking_uri)
        )
        return report


@flow(name="make-figures", flow_run_name=current_flow_run_name, persist_result=False)
def make_figures(
    config: Config, overrides: Overrides = None, output: str = "runs", tracking_uri: str = "", again: bool = False
) -> list[str]:
    """Make the figures that a config lists, with its trained network where they need one.

    Args:
        config: YAML file of an experiment, or of figures alone.
        overrides: changes of the config, by path: {"figures.0.num_images": 8}.
        output: folder of all results.
        tracking_uri: MLflow store, without a password; by default MLFLOW_TRACKING_URI, or mlflow.db here; "off"
            for none.
        again: run it again if it is finished; the old result is replaced when the new one is complete.
    """
    loaded, root, checkpoint = load_config(config, overrides or {}), Path(output), None
    if isinstance(loaded, Experiment) and any(figure.needs_model for figure in loaded.figures):
        checkpoint = finished_checkpoint(loaded, root)
    with observe_flow_run(loaded, root, tracking_uri, overrides or {}) as events:
        _hold_gpus(events, loaded, root, "figures", again=again)
        return [
            str(figures_task(loaded, figure, root, checkpoint=checkpoint, again=again, events=events).directory)
            for figure in loaded.figures
        ]


@flow(name="compare-samplers", flow_run_name=current_flow_run_name, persist_result=False)
def compare_samplers(
    checkpoint: str,
    samplers: list[str | dict[str, Any]] | None = None,
    steps: list[int] | None = None,
    num_images: int = 500,
    features: str | dict[str, Any] | None = None,
    metrics: list[str | dict[str, Any]] | None = None,
    overrides: Overrides = None,
    workers: str = "",
    output: str | None = None,
    tracking_uri: str = "",
) -> str:
    """Compare the samplers of a trained model: quality against network calls and seconds.

    Args:
        checkpoint: a checkpoint's directory, a run's directory, or the YAML file of a trained experiment.
        samplers: names, or mappings of name and options; by default every installed sampler and its variants.
        steps: numbers of sampling steps; by default 5, 10, 20, 50, 100, 250 and 1000.
        num_images: images of each sampler and number of steps.
        features: feature network; by default the experiment's.
        metrics: by default the experiment's.
        overrides: changes of the YAML file's experiment.
        workers: for shards of images in parallel, as in train-and-eval.
        output: folder of all results; by default that of the run.
        tracking_uri: MLflow store, without a password; by default MLFLOW_TRACKING_URI, or mlflow.db here; "off"
            for none.
    """
    Workers.check(workers)
    sweep = Sweep.of(
        checkpoint if Path(checkpoint).exists() else config_file(checkpoint),
        samplers or (),
        steps or DEFAULT_STEPS,
        num_images=num_images,
        features=features,
        metrics=metrics or (),
        overrides=overrides or {},
        output=output,
    )
    return str(run_sweep(sweep, overrides or {}, workers, tracking_uri).directory)


def run_sweep(sweep: Sweep, changes: Mapping[str, Any], workers: str = "", tracking_uri: str = "") -> SweepResult:
    """Run a sweep inside a flow run: sample, evaluate and draw the charts; arguments as `run_experiment`."""
    sweep.write_request()
    with observe_flow_run(sweep.trained, sweep.root, tracking_uri, changes, sweep.run) as events:
        if sweep.finished() is None:
            events.hold_gpus()
        sample_all(sweep.experiment, sweep.checkpoint, sweep.samplers, sweep.root, events, workers)
        samples = sweep.finished_samples()
        report = evaluate_task(sweep.experiment, samples, sweep.root, run=sweep.run, events=events)
        store = Store.of(tracking_uri)
        send_report(events.artifact_sender, sweep.trained.name, report, samples, sweep.run, store)
        return chart_task(sweep, report)


def _hold_gpus(
    events: FlowEvents, config: Experiment | FiguresConfig, root: Path, *kinds: str, again: bool = False
) -> None:
    """Have the flow run hold GPUs if a stage of these kinds is not finished, or runs again."""
    todo = {stage.kind for stage in plan_stages(config, root) if not stage.finished} & set(kinds)
    if todo or again:
        processes = config.training.processes if isinstance(config, Experiment) and "train" in todo else 1
        events.hold_gpus(processes)
