"""`noisette ema`, `export`, `import` and `register`: trained networks, and other libraries and MLflow."""

from __future__ import annotations

import json as jsonlib
import shlex
import shutil
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from noisette import ConfigError, DataError, Experiment, StorageError, registry
from noisette.config import apply_overrides, read_yaml
from noisette.errors import Problem
from noisette.exchange import export_checkpoint, import_checkpoint, import_pretrained, make_imported_config
from noisette.formatting import slug
from noisette_flows.cli.options import AsJson, Output, Set, TrackingUri, Trained, parse_settings, resolve_checkpoint

__all__ = ["ema", "export_", "import_", "path_prefix", "register"]


def ema(
    trained: Trained,
    sigma_rel: Annotated[
        float, typer.Option("--sigma-rel", help="Width of the average relative to the training, at most 0.28.")
    ] = 0.1,
    settings: Set = None,
    output: Output = "runs",
) -> None:
    """Make a checkpoint with an EMA of another width from a run's snapshots (EDM2)."""
    checkpoint = resolve_checkpoint(trained, settings, output)
    from noisette.training.posthoc_ema import reconstruct_ema

    print(reconstruct_ema(checkpoint, sigma_rel).directory)


_LONGEST = 64


def export_(
    trained: Trained,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A new folder.", show_default=False)],
    label: Annotated[
        str | None,
        typer.Option(
            "--class", metavar="NAME", help="What it is to draw, for a model with labels.", show_default=False
        ),
    ] = None,
    settings: Set = None,
    output: Output = "runs",
    json: AsJson = False,
) -> None:
    """Write a trained model for another library: the backbone `unet` as diffusers' DDPMPipeline."""
    checkpoint = resolve_checkpoint(trained, settings, output)
    export_checkpoint(checkpoint, folder, label)
    classes = checkpoint.about["experiment"]["training"]["class_conditional"]
    drawn = f"of class {label}" if label is not None else "of no class: choose one with --class" if classes else ""
    if json:
        print(jsonlib.dumps({"folder": str(folder), "checkpoint": str(checkpoint.directory)}, indent=1))
    else:
        print(f"{folder}: {checkpoint.directory}" + (f"; it draws images {drawn}" if drawn else ""))


def import_(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE", help="A folder of diffusers' UNet2DModel, or a file of denoising-diffusion-pytorch."
        ),
    ],
    config: Annotated[
        str | None,
        typer.Argument(
            metavar="[CONFIG]",
            help="YAML file that says data, samplers and metrics. Default: every sampler, 64 images of 50 steps.",
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="NAME|FOLDER",
            help="What the images are compared with, instead of CONFIG's data.",
            show_default=False,
        ),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="FILE", help="The config that is written. Default: named after SOURCE, here."),
    ] = None,
    settings: Set = None,
    output: Output = "runs",
    json: AsJson = False,
) -> None:
    """Make a network that another library trained a model like any other: a config, and its finished training."""
    base = _base_config(config, data, parse_settings(settings))
    pretrained = import_pretrained(source)
    target = to or Path(f"{slug(source.resolve().stem)}.yaml")
    made = make_imported_config(pretrained, base, slug(target.stem)[:_LONGEST])
    experiment = Experiment.parse(made, str(target))
    text = f"# The network of {source}, imported by `noisette import`.\n{_dump_yaml(made)}"
    _write_new(target, text)
    checkpoint = import_checkpoint(pretrained, experiment, output)
    fields = ["backbone", *sorted(key for key in pretrained.process if key != "sampling")]
    if json:
        print(jsonlib.dumps({"config": str(target), "checkpoint": str(checkpoint.directory)}, indent=1))
        return
    rest = f"; the rest from {config}" if config else ""
    print(f"{target}: from {source}: {', '.join(fields)}{rest}")
    print(f"{checkpoint.directory}: {checkpoint.about['parameters']:,} weights")
    print(f"\nnoisette sample {target}")


def _base_config(config: str | None, data: str | None, settings: dict[str, Any]) -> dict[str, Any]:
    """Return what the source of a network does not say: the data, and what is drawn.

    Raises:
        DataError: if nobody says what its images are to be compared with.
    """
    samplers = [{"name": found.plugin.name, "steps": 50} for found in registry().of_kind("sampler")]
    every = {"sampling": {"num_images": 64, "samplers": samplers}}
    base: dict[str, Any] = dict(read_yaml(Path(config))) if config else every
    if data is not None:
        base["dataset"] = {"name": "image-folder", "path": data} if Path(data).is_dir() else data
    base = apply_overrides(base, settings)
    if "dataset" not in base:
        raise DataError("import: expected what its images are compared with: a CONFIG with a dataset, or --data")
    return base


def _dump_yaml(config: dict[str, Any]) -> str:
    return yaml.safe_dump(config, sort_keys=False, default_flow_style=None, width=100)


def _write_new(path: Path, text: str) -> None:
    """Write a file, unless another one is there.

    Raises:
        StorageError: if there is, or it cannot be written.
    """
    try:
        if path.exists() and path.read_text(encoding="utf-8") != text:
            raise StorageError(f"{path}: is there already and says something else; name another with --to")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(f"{path}: cannot be written: {error}") from None


def register(
    trained: Trained,
    name: Annotated[
        str | None,
        typer.Option("--name", help="Of the model. Default: the experiment's name.", show_default=False),
    ] = None,
    alias: Annotated[str, typer.Option("--alias", help="Stands for this version from now on.")] = "current",
    settings: Set = None,
    output: Output = "runs",
    json: AsJson = False,
    tracking_uri: TrackingUri = None,
) -> None:
    """Make a trained model a version in MLflow's registry, from which `mlflow models serve` draws images."""
    from noisette_flows.environment import set_defaults
    from noisette_flows.tracking import Store

    checkpoint = resolve_checkpoint(trained, settings, output)
    store = Store.of(tracking_uri)
    if store is None:
        raise ConfigError("tracking URI", [Problem("", 'expected a store to register in; got "off"')])
    set_defaults()
    from noisette_flows.model_registry import register as register_model

    made = register_model(checkpoint, store, name or checkpoint.about["experiment"]["name"], alias)
    if json:
        facts = {"name": made.name, "version": made.version, "alias": made.alias, "new": made.new, "uri": made.uri}
        print(
            jsonlib.dumps({**facts, "checkpoint": str(checkpoint.directory), "store": store.display_uri}, indent=1)
        )
        return
    fields = "" if made.new else " (it was there before)"
    print(f"{made.name} version {made.version}{fields}: {checkpoint.directory}")
    print(f"\n{path_prefix()}MLFLOW_TRACKING_URI={store.display_uri} \\")
    print(f"  mlflow models serve -m {made.uri} --env-manager local --port 5001")


def path_prefix() -> str:
    """Return the setting of PATH in which `mlflow models serve` finds uvicorn; empty if it does already."""
    ours = Path(sys.executable).parent
    found = shutil.which("uvicorn")
    if found is not None and Path(found).parent.resolve() == ours.resolve():
        return ""
    return f"PATH={shlex.quote(str(ours))}:$PATH "
