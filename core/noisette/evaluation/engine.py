"""The last stage: samplers compared with real images, between a floor and a ceiling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from noisette.data.prepared import Prepared
from noisette.edited import warn_if_code_changed
from noisette.errors import DataError
from noisette.evaluation.report import CURVES, Report
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

__all__ = ["evaluate"]


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
    real images of the test split, as many as the samplers drew or all there are; and noise, standard normal
    noise shown as an image would be (0 is grey, ±1 are black and white), which is what the samplers started
    from. The same experiment and samples give the same bits.

    Args:
        experiment: its `evaluation` decides features and metrics.
        samples: the images, one row each.
        root: folder of all results; features are kept in its `features`.
        run: the run directory to write to; the experiment's, if not given.
        again: judge anew; a finished report is replaced when the new one is complete.
        events: who is told of the progress, in images.

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
    from noisette.evaluation.model_metrics import count_model_images, evaluate_sampled_model
    from noisette.evaluation.plots import draw_curves
    from noisette.evaluation.table import SamplerEvaluation

    data = Prepared.open(data_directory(experiment, root))
    opened = [Samples.open(generated.directory) for generated in samples]
    table = SamplerEvaluation(
        experiment,
        data,
        opened,
        root / "features",
        lambda done: events.step(run, done, {}),
        lambda activity: events.activity(run, activity),
    )
    total = sum(map(len, table.sets)) + count_model_images(experiment, data)
    run = Run("evaluate", experiment.name, directory, total, experiment.evaluation.model_dump(mode="json"))
    asked = {"samples": [generated.identity for generated in samples], "asked": run.options}
    origins = registry().origins_of(iter_plugins(experiment.evaluation))
    warn_if_code_changed(directory, "evaluation", origins, asked, "evaluating again")
    with events.stage(run):
        report = table.report(directory)
        model_results = evaluate_sampled_model(
            experiment, samples, data, lambda done: events.step(run, table.done + done, {})
        )
        report = replace(
            report,
            model=model_results.results,
            curves=model_results.curves,
            notes=report.notes + [f"{name} is left out: {why}" for name, why in model_results.left_out.items()],
        )
        about = {"experiment": experiment.name, **report.protocol, **asked, "plugins": origins}
        with committed(directory, "evaluation", about) as staging:
            report = replace(report, neighbours=table.draw_neighbours(staging))
            report.write(staging)
            if report.curves:
                draw_curves(report.curves, staging / CURVES)
        metrics = _flatten_results(report)
        Journal(run_directory).on_metrics(run, run.total, metrics)
        events.metrics(run, run.total, metrics)
    return Report.open(directory)


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
