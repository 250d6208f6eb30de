"""Evaluation: the samplers of an experiment, or any set of images, compared with real ones.

    <root>/<run>/evaluations/<key>/    report of an experiment's samplers
    <root>/evaluations/<key>/          report of any two sets of images
    <root>/data/folder-<key>/          the images of a folder, read once
    <root>/features/                   features and reference statistics

The same images, options and seed give the same bits; a finished report is found again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from noisette.code_changes import warn_if_code_changed
from noisette.config import Evaluation, Preparation
from noisette.config.problems import to_problems
from noisette.data.prepared import Prepared
from noisette.errors import ConfigError, DataError
from noisette.evaluation.report import CURVES, Report
from noisette.evaluation.sources import ComparisonRequest, open_sources
from noisette.events import Events
from noisette.hooks import Run
from noisette.journal import Journal
from noisette.layout import data_directory, evaluation_directory, training_directory
from noisette.plugins import registry
from noisette.plugins.registry import iter_plugins
from noisette.progress import default_events
from noisette.sampling.samples import Samples
from noisette.storage import committed

if TYPE_CHECKING:
    from noisette.config import Experiment
    from noisette.evaluation.report_builder import RowImages

__all__ = ["evaluate", "evaluate_images"]


def evaluate(
    experiment: Experiment,
    samples: Sequence[Samples],
    root: Path | str = Path("runs"),
    *,
    run: Path | None = None,
    again: bool = False,
    events: Events | None = None,
) -> Report:
    """Compare the images of some samplers with the real ones; a finished report is returned at once.

    The reference is the train split. With `evaluation.baselines` two rows give the numbers a meaning: the floor,
    real images of the test split, as many as the samplers generated or all there are; and noise, standard normal
    noise shown as an image would be (0 is grey, ±1 are black and white), which is what the samplers started
    from. The same experiment and samples give the same bits.

    Args:
        experiment: its `evaluation` decides features and metrics.
        samples: the images, one row each.
        root: folder of all results; features are kept in its `features`.
        run: the run directory to write to; the experiment's, if not given.
        again: evaluate again; a finished report is replaced when the new one is complete.
        events: receives the progress, in images.

    Raises:
        DataError: if the data are not prepared, there are no samples, weights are missing, or no metric can be
            computed.
        StorageError: if images are damaged, or the report cannot be written.
    """
    root = Path(root)
    if not samples:
        raise DataError("evaluate: expected the samples of at least one sampler; got none")
    run_directory = run or training_directory(experiment, root)
    directory = evaluation_directory(run_directory, [generated.identity for generated in samples], experiment)
    done = Report.finished(directory)
    if done is not None and not again:
        return done
    if Prepared.finished(data_directory(experiment, root)) is None:
        raise DataError(f"{data_directory(experiment, root)}: is not prepared; run the prepare stage first")
    from noisette.machine import use_threads

    with use_threads(experiment.threads):
        return _evaluate(experiment, samples, root, directory, run_directory, events or default_events())


def _evaluate(
    experiment: Experiment,
    samples: Sequence[Samples],
    root: Path,
    directory: Path,
    run_directory: Path,
    events: Events,
) -> Report:
    # torch and matplotlib, which a finished stage does without
    from noisette.evaluation import protocol, sets
    from noisette.evaluation.model_metrics import count_model_images, evaluate_sampled_model
    from noisette.evaluation.plots import draw_curves
    from noisette.evaluation.report_builder import ReportBuilder

    data = Prepared.open(data_directory(experiment, root))
    samples = [Samples.open(generated.directory) for generated in samples]
    builder = ReportBuilder(
        experiment.evaluation,
        sets.reference(data),
        sets.test(data),
        _sampler_rows(experiment, data, samples),
        root / "features",
        experiment.seed,
        lambda done: events.step(run, done, {}),
        lambda activity: events.activity(run, activity),
    )
    total = builder.total + count_model_images(experiment, data)
    run = Run("evaluate", experiment.name, directory, total, experiment.evaluation.model_dump(mode="json"))
    asked = {"samples": [generated.identity for generated in samples], "asked": run.options}
    origins = registry().origins_of(iter_plugins(experiment.evaluation))
    warn_if_code_changed(directory, "evaluation", origins, asked, "evaluating again")
    with events.stage(run):
        report = builder.build(
            directory,
            protocol.sampler_protocol(experiment, data, samples, builder),
            protocol.sampler_details(experiment, samples, builder),
            protocol.sampler_notes(experiment, samples, builder),
        )
        model_results = evaluate_sampled_model(
            experiment, samples, data, lambda done: events.step(run, builder.done + done, {})
        )
        report = replace(
            report,
            model=model_results.results,
            curves=model_results.curves,
            notes=report.notes + [f"{name} is left out: {why}" for name, why in model_results.left_out.items()],
        )
        about = {"experiment": experiment.name, **report.protocol, **asked, "plugins": origins}
        with committed(directory, "evaluation", about) as staging:
            replace(report, neighbours=builder.draw_neighbours(staging)).write(staging)
            if report.curves:
                draw_curves(report.curves, staging / CURVES)
        metrics = _flatten_results(report)
        Journal(run_directory).on_metrics(run, run.total, metrics)
        events.metrics(run, run.total, metrics)
    return Report.open(directory)


def _sampler_rows(experiment: Experiment, data: Prepared, samples: Sequence[Samples]) -> list[RowImages]:
    from noisette.evaluation import sets
    from noisette.evaluation.report_builder import RowImages

    rows = []
    for generated in samples:
        images = generated.images
        if images.shape[1:] != data.shape:
            raise DataError(f"{generated.label}: expected images of {data.shape}; got {images.shape[1:]}")
        rows.append(RowImages("sampler", sets.ImageSet(generated.label, images), generated.cost))
    if experiment.evaluation.baselines:
        largest = max(len(row.images) for row in rows)
        rows.append(RowImages("noise", sets.noise(data.shape, largest, experiment.seed)))
    return rows


def _flatten_results(report: Report) -> dict[str, float]:
    """Return all results by ``column/row``, those of the model by name, with their standard errors."""
    values = {
        f"{column}/{row.label}": result.value for row in report.rows for column, result in row.results.items()
    }
    errors = {
        f"{column}_stderr/{row.label}": result.stderr
        for row in report.rows
        for column, result in row.results.items()
        if result.stderr is not None
    }
    model = {name: result.value for name, result in report.model.items()}
    model_errors = {
        f"{name}_stderr": found.stderr for name, found in report.model.items() if found.stderr is not None
    }
    return values | errors | model | model_errors


def evaluate_images(
    generated: Path | str,
    reference: Path | str,
    *,
    heldout: Path | str | None = None,
    features: Any = None,
    metrics: Sequence[Any] = (),
    size: int | None = None,
    fit: Literal["crop", "resize", "pad"] = "crop",
    channels: Literal[1, 3] | None = None,
    floor: bool = True,
    seed: int = 0,
    root: Path | str = "runs",
    overrides: Sequence[str] | Mapping[str, Any] = (),
    events: Events | None = None,
) -> Report:
    """Compare two sets of images; a finished report is returned at once.

    Each of the paths is a folder of image files, the directory of a sampler's or of prepared images, or the
    YAML file of an experiment whose data are prepared (`noisette.evaluation.sources` says how they are read).

    The floor is a row of real images that the reference does not contain: `heldout`, or the test split of prepared
    images. Without either, as many images of the reference as are evaluated, at most half, are chosen by the seed
    and compared with the others.

    Args:
        generated: the images to evaluate.
        reference: the real images to compare with.
        heldout: a folder of real images that the reference does not contain.
        features: the feature network, as in a config; EfficientNet-Lite0 by default.
        metrics: as in a config; Fréchet distance and KID by default.
        size: bring the images of folders to this height and width, in pixels.
        fit: how to resize: crop to the centre square, stretch, or pad with black.
        channels: convert the images of folders to grey (1) or RGB (3).
        floor: whether to add the floor.
        seed: chooses the images of the floor.
        root: folder of all results.
        overrides: changes of the experiment, where `reference` is a YAML file.
        events: receives the progress, in images.

    Raises:
        ConfigError: if features or metrics have problems.
        DataError: if a path has no usable images, weights are missing, or no metric can be computed.
        StorageError: if something is damaged or cannot be written.
    """
    root, events = Path(root), events or default_events()
    evaluation = _evaluation(features, metrics, floor)
    places = [generated, reference, *([heldout] if heldout is not None else [])]
    asked = Preparation(size=size, fit=fit, channels=channels)
    found = open_sources(places, asked, evaluation.features.input_size, root, overrides=overrides, events=events)
    request = ComparisonRequest(found[0], found[1], found[2] if len(found) > 2 else None, evaluation, seed)
    directory = request.directory(root)
    done = Report.finished(directory)
    if done is not None:
        return done
    # torch, which a finished report does without
    from noisette.evaluation import protocol
    from noisette.evaluation.report_builder import ReportBuilder, RowImages

    about = request.generated.about.get("samples", {})
    cost = about.get("steps"), about.get("network_calls"), about.get("seconds_per_image")
    builder = ReportBuilder(
        evaluation,
        request.reference.images(),
        request.heldout.images() if request.heldout is not None else request.reference.test(),
        [RowImages("images", request.generated.images(), cost)],
        root / "features",
        seed,
        lambda done: events.step(run, done, {}),
        lambda activity: events.activity(run, activity),
    )
    run = Run("evaluate", request.generated.name, directory, builder.total, evaluation.model_dump(mode="json"))
    with events.stage(run):
        if not builder.metrics:
            raise builder.no_metric_error()
        report = builder.build(
            directory,
            protocol.image_protocol(request, builder),
            protocol.image_details(request, builder),
            protocol.image_notes(request, builder),
        )
        with committed(directory, "evaluation", report.protocol) as staging:
            replace(report, neighbours=builder.draw_neighbours(staging)).write(staging)
    return Report.open(directory)


def _evaluation(features: Any, metrics: Sequence[Any], floor: bool) -> Evaluation:
    given: dict[str, Any] = {"baselines": floor}
    given |= {"features": features} if features else {}
    given |= {"metrics": tuple(metrics)} if metrics else {}
    try:
        evaluation = Evaluation.model_validate(given)
    except ValidationError as error:
        raise ConfigError("evaluate", to_problems(error, Evaluation)) from None
    if all(metric.needs == "model" for metric in evaluation.metrics):
        raise DataError("evaluate: expected a metric that compares images; all of these judge a model")
    return evaluation
