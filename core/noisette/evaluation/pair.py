"""Any two sets of pictures compared, without an experiment or a checkpoint: a tool of its own.

    <root>/evaluations/<key>/     report.json
    <root>/data/folder-<key>/     the pictures of a folder, read once
    <root>/features/              features and reference statistics

The same pictures, options and seed give the same bits, and are found again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from noisette.config import Evaluation, Preparation
from noisette.config.problems import problems_of
from noisette.errors import ConfigError, DataError
from noisette.evaluation.report import Report
from noisette.evaluation.sources import Pair, sides
from noisette.events import Events
from noisette.hooks import Run
from noisette.progress import default_events
from noisette.storage import committed

__all__ = ["evaluate_pictures"]


def evaluate_pictures(
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
    """Compare two sets of pictures; a finished report is returned at once.

    Each of the paths is a folder of picture files, the directory of a sampler's or of prepared pictures, or the
    YAML file of an experiment whose data are prepared (`noisette.evaluation.sources` says how they are read).

    The floor is a row of real pictures that the reference does not have: `heldout`, or the test split of prepared
    pictures. Where there is neither, as many of the reference as were judged, at most half, are drawn by the seed
    and compared with the others.

    Args:
        generated: the pictures that are judged.
        reference: the real pictures they are compared with.
        heldout: a folder of real pictures that the reference does not have.
        features: the feature network, as a config says it; EfficientNet-Lite0 if not given.
        metrics: as a config says them; Frechet distance and KID if there are none.
        size: bring the pictures of folders to this height and width, in pixels.
        fit: how: cut the centre square and scale it, stretch, or pad with black.
        channels: make the pictures of folders grey (1) or RGB (3).
        floor: whether to add the floor.
        seed: decides which pictures make the floor.
        root: folder of all results.
        overrides: changes of the experiment, where `reference` is a YAML file.
        events: who is told of the progress, in pictures.

    Raises:
        ConfigError: if features or metrics have problems.
        DataError: if a path stands for no usable pictures, weights are missing, or no metric can be computed.
        StorageError: if something is damaged or cannot be written.
    """
    root, events = Path(root), events or default_events()
    evaluation = _evaluation(features, metrics, floor)
    places = [generated, reference, *([heldout] if heldout is not None else [])]
    asked = Preparation(size=size, fit=fit, channels=channels)
    found = sides(places, asked, evaluation.features.input_size, root, overrides=overrides, events=events)
    pair = Pair(found[0], found[1], found[2] if len(found) > 2 else None, evaluation, seed)
    directory = pair.directory(root)
    done = Report.finished(directory)
    if done is not None:
        return done
    from noisette.evaluation.rows import Rows  # torch, which a finished report does without

    rows = Rows(
        pair,
        root / "features",
        lambda done: events.step(run, done, {}),
        lambda activity: events.activity(run, activity),
    )
    run = Run("evaluate", pair.generated.name, directory, rows.total, evaluation.model_dump(mode="json"))
    events.run_start(run)
    try:
        report = rows.report(directory)
        with committed(directory, "evaluation", report.protocol) as staging:
            report = replace(report, neighbours=rows.draw_neighbours(staging))
            report.write(staging)
    except BaseException:
        events.run_end(run, "failed")
        raise
    events.run_end(run, "finished")
    return Report.open(directory)


def _evaluation(features: Any, metrics: Sequence[Any], floor: bool) -> Evaluation:
    given: dict[str, Any] = {"baselines": floor}
    given |= {"features": features} if features else {}
    given |= {"metrics": tuple(metrics)} if metrics else {}
    try:
        evaluation = Evaluation.model_validate(given)
    except ValidationError as error:
        raise ConfigError("evaluate", problems_of(error, Evaluation)) from None
    if all(metric.needs == "model" for metric in evaluation.metrics):
        raise DataError("evaluate: expected a metric that compares pictures; all of these judge a model")
    return evaluation
