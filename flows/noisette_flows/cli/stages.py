"""`noisette prepare`, `train`, `sample`, `figures` and `evaluate`: one stage of an experiment each."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from noisette import ConfigError
from noisette.comparison.choice import parse_sampler
from noisette.errors import Problem
from noisette.stages import Stage
from noisette_flows.cli import evaluate_folders as image_sets
from noisette_flows.cli.options import (
    Again,
    AsJson,
    Config,
    Output,
    Set,
    TrackingUri,
    parse_settings,
    resolve_checkpoint,
)
from noisette_flows.cli.runner import FlowRequest
from noisette_flows.cli.sample import refuse_file_options, sample_files

__all__ = ["evaluate", "figures", "prepare", "sample", "train"]


def prepare(
    config: Config, settings: Set = None, output: Output = "runs", again: Again = False, json: AsJson = False
) -> None:
    """Make the images of an experiment uniform."""
    request = FlowRequest(config, parse_settings(settings), output)
    skipped = request.run("prepare_data", request.plan_stages("prepare"), again=again)
    _print_stages(request.plan_stages("prepare"), skipped, json)


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
    """Train an experiment's network on its prepared images, or go on training it."""
    request = FlowRequest(config, parse_settings(settings) | _process_overrides(nproc), output)
    skipped = request.run("train", request.plan_stages("train"), tracking_uri, again)
    _print_stages(request.plan_stages("train"), skipped, json)


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
    guidance_scale: Annotated[
        float | None,
        typer.Option(
            "--guidance-scale",
            min=0,
            help="Scale of classifier-free guidance, 1 is off; with --to.",
            show_default=False,
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
        checkpoint = resolve_checkpoint(config, settings, output)
        sample_files(checkpoint, to, sampler or "ddim", steps, guidance_scale, seed, class_name, count or 16, json)
        return
    refuse_file_options(config, {"--class": class_name, "--guidance-scale": guidance_scale, "--seed": seed})
    overrides = parse_settings(settings) | _sampling_overrides(sampler, steps, count)
    request = FlowRequest(config, overrides, output)
    skipped = request.run("sample", request.plan_stages("sample"), tracking_uri, again)
    _print_stages(request.plan_stages("sample"), skipped, json)


def evaluate(
    config: image_sets.Subject,
    real: image_sets.Reference = None,
    features: image_sets.Features = "",
    metrics: image_sets.Metrics = "",
    held_out: image_sets.HeldOut = None,
    size: image_sets.Size = None,
    fit: image_sets.Fit = "crop",
    channels: image_sets.Channels = None,
    floor: image_sets.Floor = True,
    seed: image_sets.Seed = 0,
    settings: Set = None,
    output: Output = "runs",
    again: Again = False,
    json: AsJson = False,
    tracking_uri: TrackingUri = None,
) -> None:
    """Compare an experiment's drawn images with real ones; or any two folders of images, IMAGES with REAL.

    The latter needs no experiment; it is logged to MLflow only if --tracking-uri names a store.
    """
    evaluation_options = image_sets.evaluation_options(features, metrics)
    if real is not None and again:
        raise typer.BadParameter("--again: expected the config of an experiment; got two folders of images")
    if real is not None:
        options = {
            "heldout": held_out,
            "size": size,
            "fit": fit,
            "channels": channels,
            "floor": floor,
            "seed": seed,
        }
        others = {"root": output, "overrides": parse_settings(settings)}
        image_sets.evaluate_image_sets(
            config, real, {**evaluation_options, **options, **others}, tracking_uri, json=json
        )
        return
    given = {
        "--held-out": held_out,
        "--size": size,
        "--channels": channels,
        "--no-floor": not floor,
        "--seed": seed,
    }
    image_sets.refuse_image_set_options(config, {**given, "--fit": fit != "crop"})
    request = FlowRequest(
        config,
        parse_settings(settings) | {f"evaluation.{key}": it for key, it in evaluation_options.items()},
        output,
    )
    skipped = request.run("evaluate", request.plan_stages("evaluate"), tracking_uri, again)
    (stage,) = request.plan_stages("evaluate")
    if json or stage.directory is None:
        _print_stages([stage], skipped, json)
    else:
        _show_report(stage.directory)


def figures(
    config: Config,
    settings: Set = None,
    output: Output = "runs",
    again: Again = False,
    json: AsJson = False,
    tracking_uri: TrackingUri = None,
) -> None:
    """Make the figures that a config lists, with its trained network where they need one."""
    request = FlowRequest(config, parse_settings(settings), output)
    if not request.plan_stages("figures"):
        raise ConfigError(
            config, [Problem("figures", "is empty: there is nothing to make; list some, such as denoise")]
        )
    skipped = request.run("make_figures", request.plan_stages("figures"), tracking_uri, again)
    _print_stages(request.plan_stages("figures"), skipped, json)


def _process_overrides(count: int | None) -> dict[str, Any]:
    return {} if count is None else {"training.processes": count}


def _sampling_overrides(sampler: str | None, steps: int | None, count: int | None) -> dict[str, Any]:
    if steps is not None and sampler is None:
        raise typer.BadParameter("--steps belongs to a sampler: give --sampler as well")
    chosen: dict[str, Any] = {}
    if sampler is not None:
        parsed = parse_sampler(sampler)
        options = parsed if isinstance(parsed, dict) else {"name": parsed}
        chosen["sampling.samplers"] = [options | ({} if steps is None else {"steps": steps})]
    if count is not None:
        chosen["sampling.num_images"] = count
    return chosen


def _print_stages(stages: Sequence[Stage], skipped: Collection[str], json: bool) -> None:
    from noisette_flows.outcome import stage_json

    facts = [stage_json(stage, skipped) for stage in stages]
    if json:
        print(jsonlib.dumps({"stages": facts}, indent=1))
        return
    for stage in facts:
        place = f"{stage['directory']}/grid.png" if stage["name"].startswith("sample ") else stage["directory"]
        print(f"{stage['name']}: {stage['status']}  {place}")


def _show_report(directory: Path) -> None:
    from rich.console import Console

    from noisette import Report
    from noisette_flows.display.report import show_report

    show_report(Report.open(directory), Console())
