"""Any two sets of images compared, without an experiment or a checkpoint: a tool of its own.

    <root>/evaluations/<key>/     report.json
    <root>/data/folder-<key>/     the images of a folder, read once
    <root>/features/              features and reference statistics

The same images, options and seed give the same bits, and are found again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from noisette.config import Evaluation, Preparation
from noisette.config.problems import to_problems
from noisette.errors import ConfigError, DataError
from noisette.evaluation.report import Report
from noisette.evaluation.sources import ComparisonRequest, open_sources
from noisette.events import Events
from noisette.hooks import Run
from noisette.progress import default_events
from noisette.storage import committed

__all__ = ["evaluate_images"]


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

    The floor is a row of real images that the reference does not have: `heldout`, or the test split of prepared
    images. Where there is neither, as many of the reference as were judged, at most half, are drawn by the seed
    and compared with the others.

    Args:
        generated: the images that are judged.
        reference: the real images they are compared with.
        heldout: a folder of real images that the reference does not have.
        features: the feature network, as a config says it; EfficientNet-Lite0 if not given.
        metrics: as a config says them; Frechet distance and KID if there are none.
        size: bring the images of folders to this height and width, in pixels.
        fit: how: cut the centre square and scale it, stretch, or pad with black.
        channels: make the images of folders grey (1) or RGB (3).
        floor: whether to add the floor.
        seed: decides which images make the floor.
        root: folder of all results.
        overrides: changes of the experiment, where `reference` is a YAML file.
        events: who is told of the progress, in images.

    Raises:
        ConfigError: if features or metrics have problems.
        DataError: if a path stands for no usable images, weights are missing, or no metric can be computed.
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
    from noisette.evaluation.rows import PairEvaluation  # torch, which a finished report does without

    rows = PairEvaluation(
        request,
        root / "features",
        lambda done: events.step(run, done, {}),
        lambda activity: events.activity(run, activity),
    )
    run = Run("evaluate", request.generated.name, directory, rows.total, evaluation.model_dump(mode="json"))
    with events.stage(run):
        report = rows.report(directory)
        with committed(directory, "evaluation", report.protocol) as staging:
            report = replace(report, neighbours=rows.draw_neighbours(staging))
            report.write(staging)
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
