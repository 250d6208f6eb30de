"""`noisette prepare`, `train`, `sample`, `pictures` and `evaluate`: one stage of an experiment each."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from noisette import ConfigError
from noisette.comparison.choice import inline
from noisette.errors import Problem
from noisette.stages import Stage
from noisette_flows.cli import evaluate_folders as two
from noisette_flows.cli.options import Again, AsJson, Config, Output, Set, TrackingUri, checkpoint_of, overrides_of
from noisette_flows.cli.runner import Order
from noisette_flows.cli.sample import only_for_files, sample_files

__all__ = ["evaluate", "pictures", "prepare", "sample", "train"]


def prepare(
    config: Config, settings: Set = None, output: Output = "runs", again: Again = False, json: AsJson = False
) -> None:
    """Make the pictures of an experiment uniform."""
    order = Order(config, overrides_of(settings), output)
    skipped = order.run("prepare_data", order.stages("prepare"), again=again)
    _tell(order.stages("prepare"), skipped, json)


def train(
    config: Config,
    settings: Set = None,
    nproc: Annotated[
        int | None,
        typer.Option("--nproc", help="Processes that share each batch, such as one a GPU: training.processes."),
    ] = None,
    output: Output = "runs",
    again: Again = False,
    json: AsJson = False,
    tracking_uri: TrackingUri = None,
) -> None:
    """Train an experiment's network on its prepared pictures, or go on training it."""
    order = Order(config, overrides_of(settings) | _in_processes(nproc), output)
    skipped = order.run("train", order.stages("train"), tracking_uri, again)
    _tell(order.stages("train"), skipped, json)


def sample(
    config: Annotated[
        str,
        typer.Argument(
            metavar="CONFIG",
            help="YAML file of the experiment; with --to also a run's or a checkpoint's directory.",
            show_default=False,
        ),
    ],
    settings: Set = None,
    sampler: Annotated[
        str | None,
        typer.Option(
            "--sampler",
            metavar="SAMPLER",
            help="Such as ddpm, or ddim:eta=1; by default the config's, with --to ddim.",
            show_default=False,
        ),
    ] = None,
    steps: Annotated[int | None, typer.Option("--steps", help="Its steps.", show_default=False)] = None,
    count: Annotated[
        int | None,
        typer.Option("--count", min=1, help="How many images; with --to 16 by default.", show_default=False),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="FOLDER", help="Save each image as a PNG file here.", show_default=False),
    ] = None,
    class_name: Annotated[
        str | None,
        typer.Option("--class", metavar="NAME", help="Class of all images, with --to.", show_default=False),
    ] = None,
    guidance: Annotated[
        float | None,
        typer.Option(
            "--guidance", min=-1, help="Strength of classifier-free guidance, with --to.", show_default=False
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", help="Seed of the noise, with --to; the experiment's if not said."),
    ] = None,
    output: Output = "runs",
    again: Again = False,
    json: AsJson = False,
    tracking_uri: TrackingUri = None,
) -> None:
    """Generate images with an experiment's trained network; with --to as image files, from any checkpoint."""
    if to is not None:
        if again:
            raise typer.BadParameter("--again is for samples of an experiment; for files give another --to FOLDER")
        checkpoint = checkpoint_of(config, settings, output)
        sample_files(checkpoint, to, sampler or "ddim", steps, guidance, seed, class_name, count or 16, json)
        return
    only_for_files(config, {"--class": class_name, "--guidance": guidance, "--seed": seed})
    overrides = overrides_of(settings) | _choice(sampler, steps, count)
    order = Order(config, overrides, output)
    skipped = order.run("sample", order.stages("sample"), tracking_uri, again)
    _tell(order.stages("sample"), skipped, json)


def evaluate(
    config: two.Subject,
    real: two.Reference = None,
    features: two.Features = "",
    metrics: two.Metrics = "",
    held_out: two.HeldOut = None,
    size: two.Size = None,
    fit: two.Fit = "crop",
    channels: two.Channels = None,
    floor: two.Floor = True,
    seed: two.Seed = 0,
    settings: Set = None,
    output: Output = "runs",
    again: Again = False,
    json: AsJson = False,
    tracking_uri: TrackingUri = None,
) -> None:
    """Compare an experiment's drawn pictures with real ones; or any two folders of pictures, PICTURES with REAL.

    The latter needs no experiment; it is logged to MLflow only if --tracking-uri names a store.
    """
    judges = two.judges(features, metrics)
    if real is not None and again:
        raise typer.BadParameter("--again: expected the config of an experiment; got two folders of pictures")
    if real is not None:
        options = {
            "heldout": held_out,
            "size": size,
            "fit": fit,
            "channels": channels,
            "floor": floor,
            "seed": seed,
        }
        others = {"root": output, "overrides": overrides_of(settings)}
        two.evaluate_two(config, real, {**judges, **options, **others}, tracking_uri, json=json)
        return
    given = {
        "--held-out": held_out,
        "--size": size,
        "--channels": channels,
        "--no-floor": not floor,
        "--seed": seed,
    }
    two.only_for_two(config, {**given, "--fit": fit != "crop"})
    order = Order(config, overrides_of(settings) | {f"evaluation.{key}": it for key, it in judges.items()}, output)
    skipped = order.run("evaluate", order.stages("evaluate"), tracking_uri, again)
    (stage,) = order.stages("evaluate")
    if json or stage.directory is None:
        _tell([stage], skipped, json)
    else:
        _show_report(stage.directory)


def pictures(
    config: Config,
    settings: Set = None,
    output: Output = "runs",
    again: Again = False,
    json: AsJson = False,
    tracking_uri: TrackingUri = None,
) -> None:
    """Make the pictures that a config lists: of a trained experiment, or pictures that need no training."""
    order = Order(config, overrides_of(settings), output)
    if not order.stages("pictures"):
        raise ConfigError(
            config, [Problem("pictures", "is empty: there is nothing to make; list some, such as denoise")]
        )
    skipped = order.run("draw_pictures", order.stages("pictures"), tracking_uri, again)
    _tell(order.stages("pictures"), skipped, json)


def _in_processes(count: int | None) -> dict[str, Any]:
    return {} if count is None else {"training.processes": count}


def _choice(sampler: str | None, steps: int | None, count: int | None) -> dict[str, Any]:
    if steps is not None and sampler is None:
        raise typer.BadParameter("--steps belongs to a sampler: give --sampler as well")
    chosen: dict[str, Any] = {}
    if sampler is not None:
        named = inline(sampler)
        options = named if isinstance(named, dict) else {"name": named}
        chosen["sampling.samplers"] = [options | ({} if steps is None else {"steps": steps})]
    if count is not None:
        chosen["sampling.num_images"] = count
    return chosen


def _tell(stages: Sequence[Stage], skipped: Collection[str], json: bool) -> None:
    from noisette_flows.outcome import stage_json

    told = [stage_json(stage, skipped) for stage in stages]
    if json:
        print(jsonlib.dumps({"stages": told}, indent=1))
        return
    for stage in told:
        place = f"{stage['directory']}/grid.png" if stage["name"].startswith("sample ") else stage["directory"]
        print(f"{stage['name']}: {stage['status']}  {place}")


def _show_report(directory: Path) -> None:
    from rich.console import Console

    from noisette import Report
    from noisette_flows.display.report import show_report

    show_report(Report.open(directory), Console())
