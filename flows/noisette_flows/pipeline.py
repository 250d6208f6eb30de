"""The flows: `prepare-data`, `train`, `sample`, `evaluate`, all of them as `train-and-eval`; and besides
`compare-samplers` and `make-figures`.

Parameters are flat and plain, so that each flow can be started from Prefect's command, its page, or a schedule.
Every flow skips what is finished on disk and returns where its results lie.
"""

from pathlib import Path
from typing import Any

from prefect import flow

from noisette import Experiment
from noisette.comparison import DEFAULT_STEPS, Sweep
from noisette.config import FiguresConfig, load
from noisette.evaluation.requirements import require_ready
from noisette.layout import run_directory
from noisette.stages import plan_stages, stages_to_redo
from noisette.training.anew import set_aside
from noisette_flows.artifacts import send_report
from noisette_flows.flow_events import FlowEvents, observe_flow_run
from noisette_flows.params import (
    Config,
    config_file,
    current_flow_run_name,
    require_checkpoint,
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
    """Make the images of an experiment uniform.

    Args:
        config: the experiment: a YAML file, or its name in configs/.
        overrides: changes of the config, by path: {"training.steps": 500}.
        output: folder of all results.
        again: make it anew although it is finished; what was made before is replaced when that is complete.
    """
    experiment, root = Experiment.load(config_file(config), overrides or {}), Path(output)
    with observe_flow_run(experiment, root, "off", {}) as events:
        return str(prepare_task(experiment, root, events, again).directory)


@flow(name="train", flow_run_name=current_flow_run_name, persist_result=False)
def train(
    config: Config, overrides: Overrides = None, output: str = "runs", tracking_uri: str = "", again: bool = False
) -> str:
    """Train the network of an experiment on its prepared images, or go on training it.

    Args:
        config: the experiment: a YAML file, or its name in configs/.
        overrides: changes of the config, by path: {"training.steps": 500}.
        output: folder of all results.
        tracking_uri: MLflow store, without a password; by default MLFLOW_TRACKING_URI, or mlflow.db here; "off"
            for none.
        again: train anew although it is trained; what was trained before is kept under another name.
    """
    experiment, root = Experiment.load(config_file(config), overrides or {}), Path(output)
    if again:
        set_aside(experiment, root)
    with observe_flow_run(experiment, root, tracking_uri, overrides or {}) as events:
        _hold_gpus(events, experiment, root, "train")
        return str(train_task(experiment, root, events).directory)


@flow(name="sample", flow_run_name=current_flow_run_name, persist_result=False)
def sample(
    config: Config,
    overrides: Overrides = None,
    workers: str = "",
    output: str = "runs",
    tracking_uri: str = "",
    again: bool = False,
) -> list[str]:
    """Draw images with every sampler of an experiment, from its trained network.

    Args:
        config: the experiment: a YAML file, or its name in configs/.
        overrides: changes of the config, by path: {"sampling.num_images": 16}.
        workers: what draws shards of images in parallel, as in train-and-eval.
        output: folder of all results.
        tracking_uri: MLflow store, without a password; by default MLFLOW_TRACKING_URI, or mlflow.db here; "off"
            for none.
        again: make it anew although it is finished; what was made before is replaced when that is complete.
    """
    Workers.check(workers)
    experiment, root = Experiment.load(config_file(config), overrides or {}), Path(output)
    checkpoint = require_checkpoint(experiment, root)
    with observe_flow_run(experiment, root, tracking_uri, overrides or {}) as events:
        _hold_gpus(events, experiment, root, "sample", again=again)
        drawn = sample_all(experiment, checkpoint, experiment.sampling.samplers, root, events, workers, again)
        return [str(samples.directory) for samples in drawn]


@flow(name="evaluate", flow_run_name=current_flow_run_name, persist_result=False)
def evaluate(
    config: Config, overrides: Overrides = None, output: str = "runs", tracking_uri: str = "", again: bool = False
) -> str:
    """Compare the drawn images of an experiment with real ones.

    Args:
        config: the experiment: a YAML file, or its name in configs/.
        overrides: changes of the config, by path: {"evaluation.features": "inception"}.
        output: folder of all results.
        tracking_uri: MLflow store, without a password; by default MLFLOW_TRACKING_URI, or mlflow.db here; "off"
            for none.
        again: make it anew although it is finished; what was made before is replaced when that is complete.
    """
    experiment, root = Experiment.load(config_file(config), overrides or {}), Path(output)
    samples = require_samples(experiment, root)
    with observe_flow_run(experiment, root, tracking_uri, overrides or {}) as events:
        _hold_gpus(events, experiment, root, "evaluate", again=again)
        report = evaluate_task(experiment, samples, root, events, again=again)
        run = run_directory(experiment, root)
        send_report(events.artifact_sender, experiment.name, report, samples, run, Store.of(tracking_uri))
        return str(report.directory)


@flow(
    name="train-and-eval",
    flow_run_name=current_flow_run_name,
    persist_result=False,
)
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
        samplers: what draws, such as ddim:steps=25; the config's, if empty.
        seed: seed of everything random; the config's, if empty.
        workers: what draws shards of images in parallel: threads:2, processes:2, dask:2, dask:ADDRESS, ray:2;
            one sampler after another, right here, if empty.
        output: folder of all results.
        tracking_uri: MLflow store, without a password; by default MLFLOW_TRACKING_URI, or mlflow.db here; "off"
            for none.
        again: a stage (prepare, train, sample, figures or evaluate) to make anew, with all that depends on it.
    """
    Workers.check(workers)
    changes, anew = resolve_overrides(overrides, steps, samplers, seed), stages_to_redo(again)
    experiment, root = Experiment.load(config_file(config), changes), Path(output)
    require_ready(experiment.evaluation)
    if "train" in anew:
        set_aside(experiment, root)
    with observe_flow_run(experiment, root, tracking_uri, changes) as events:
        prepared = prepare_task(experiment, root, events, "prepare" in anew)
        _hold_gpus(events, experiment, root, "train", "sample", "figures", "evaluate", again=bool(anew))
        checkpoint = train_task(experiment, root, events, wait_for=[prepared])
        drawn_by = experiment.sampling.samplers
        samples = sample_all(experiment, checkpoint, drawn_by, root, events, workers, "sample" in anew)
        for figure in experiment.figures:
            figures_task(experiment, figure, root, events, checkpoint, "figures" in anew)
        report = evaluate_task(experiment, samples, root, events, again="evaluate" in anew)
        send_report(
            events.artifact_sender, experiment.name, report, samples, checkpoint.run, Store.of(tracking_uri)
        )
        return str(report.directory)


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
        again: make it anew although it is finished; what was made before is replaced when that is complete.
    """
    loaded, root = load(config_file(config), overrides or {}), Path(output)
    needed = isinstance(loaded, Experiment) and any(figure.needs_model for figure in loaded.figures)
    checkpoint = require_checkpoint(loaded, root) if needed and isinstance(loaded, Experiment) else None
    with observe_flow_run(loaded, root, tracking_uri, overrides or {}) as events:
        _hold_gpus(events, loaded, root, "figures", again=again)
        made = [figures_task(loaded, figure, root, events, checkpoint, again) for figure in loaded.figures]
        return [str(shown.directory) for shown in made]


@flow(name="compare-samplers", flow_run_name=current_flow_run_name, persist_result=False)
def compare_samplers(
    checkpoint: str,
    samplers: list[str | dict[str, Any]] | None = None,
    steps: list[int] | None = None,
    count: int = 500,
    features: str | dict[str, Any] | None = None,
    metrics: list[str | dict[str, Any]] | None = None,
    overrides: Overrides = None,
    workers: str = "",
    output: str | None = None,
    tracking_uri: str = "",
) -> str:
    """Measure one trained model's quality against network calls and seconds, sampler by sampler.

    Args:
        checkpoint: a checkpoint's directory, a run's directory, or the YAML file of a trained experiment.
        samplers: names, or mappings of name and options; by default every installed sampler and its variants.
        steps: lengths of the walks; by default 5, 10, 20, 50, 100, 250 and 1000.
        count: images of each walk.
        features: feature network; by default the experiment's.
        metrics: by default the experiment's.
        overrides: changes of the YAML file's experiment.
        workers: what draws shards of images in parallel, as in train-and-eval.
        output: folder of all results; by default that which the run lies in.
        tracking_uri: MLflow store, without a password; by default MLFLOW_TRACKING_URI, or mlflow.db here; "off"
            for none.
    """
    Workers.check(workers)
    sweep = Sweep.of(
        checkpoint if Path(checkpoint).exists() else config_file(checkpoint),
        samplers or (),
        steps or DEFAULT_STEPS,
        count=count,
        features=features,
        metrics=metrics or (),
        overrides=overrides or {},
        output=output,
    )
    sweep.write_request()
    with observe_flow_run(sweep.trained, sweep.root, tracking_uri, overrides or {}, sweep.run) as events:
        if sweep.finished() is None:
            events.hold_gpus()
        sample_all(sweep.experiment, sweep.checkpoint, sweep.samplers, sweep.root, events, workers)
        report = evaluate_task(sweep.experiment, sweep.finished_samples(), sweep.root, events, sweep.run)
        send_report(
            events.artifact_sender,
            sweep.trained.name,
            report,
            sweep.finished_samples(),
            sweep.run,
            Store.of(tracking_uri),
        )
        return str(chart_task(sweep, report).directory)


def _hold_gpus(
    events: FlowEvents, config: Experiment | FiguresConfig, root: Path, *kinds: str, again: bool = False
) -> None:
    """Have the flow run hold GPUs, if a stage of these kinds is not finished: what is finished waits for nobody.

    With `again` something is made anew, finished or not.
    """
    todo = {stage.kind for stage in plan_stages(config, root) if not stage.finished} & set(kinds)
    if todo or again:
        processes = config.training.processes if isinstance(config, Experiment) and "train" in todo else 1
        events.hold_gpus(processes)
