"""Every shipped config runs to its end, scaled down: data in, images out, logged; and says what it should."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.dataset_files import accept_small_datasets
from support.mlflow_store import empty_store
from support.pipelines import write_pipeline

from noisette import Experiment, Prepared, evaluate, prepare, sample, train
from noisette.config import FiguresConfig, load
from noisette.figures import FigureResult, make_figure
from noisette.layout import data_directory, run_directory, training_directory
from noisette.stages import plan_stages
from noisette_flows.tracking.mirror import FigureMirror, Mirror
from noisette_flows.tracking.store import Store

pytestmark = pytest.mark.slow

CONFIGS = Path(__file__).parent.parent / "configs"
SMALL = {
    "timesteps": 20,
    "training.steps": 3,
    "training.batch_size": 8,
    "training.precision": "fp32",
    "training.lr_warmup_steps": 0,
    "training.log_every": 1,
    "training.preview_every": None,
    "training.evaluate_every": None,
    "sampling.num_images": 12,
    "evaluation.features": {"name": "efficientnet-lite0", "size": 32},
    "evaluation.metrics": ["kid"],
    "preparation.limit": 24,
}
UNET = {"backbone.channels": 8, "backbone.multipliers": [1, 2], "backbone.attention": [1], "backbone.groups": 4}
LINEAR = {"backbone.channels": 8, "backbone.multipliers": [1, 2], "preparation.size": 16}
DDIM = {"sampling.samplers": [{"name": "ddim", "steps": 3}]}
DDPM = {"sampling.samplers.0.steps": 4}
FACES = {**UNET, **DDIM, "preparation.size": 16}

SCALED: dict[str, dict[str, Any]] = {
    "tutorial": {
        **LINEAR,
        **DDIM,
        "training.evaluate_every": 2,
        "training.evaluate_images": 8,
        "evaluation.metrics": ["frechet"],
    },
    "bedrooms": {**LINEAR, **DDIM},
    "forward-process": {},
    "mnist-annotated": {**DDPM, "backbone.channels": 32, "backbone.multipliers": [1, 1], "backbone.attention": [1]},
    "mnist-conditional": {
        **{f"sampling.samplers.{number}.steps": 4 for number in range(3)},
        "figures.0.sampler.steps": 4,
        "figures.0.rows": 1,
        "backbone.channels": 8,
        "evaluation.metrics": ["kid", "recognised"],
    },
    "text-to-image": {"figures.0.steps": 2},
    "mnist-from-scratch": {
        **DDPM,
        "backbone.channels": 8,
        "backbone.levels": 2,
        "backbone.attention": [2],
        "backbone.heads": 2,
        "backbone.groups": 4,
        "figures.0.sampler.steps": 20,
        "figures.0.num_images": 2,
        "figures.0.timesteps": [0, 3, 19],
    },
    "flowers": {**UNET, **DDPM, "preparation.size": 16, "backbone.time_channels": 8},
    "cifar10": {
        **UNET,
        **DDIM,
        "evaluation.metrics": ["kid", {"name": "likelihood", "terms": 4}],
    },
    "inpaint": {
        **FACES,
        **{f"figures.{number}.sampler.steps": 6 for number in range(2)},
        **{f"figures.{number}.jump_n_sample": 2 for number in range(2)},
        **{f"figures.{number}.jump_length": 2 for number in range(2)},
        "figures.1.box": [0, 8, 16, 8],
    },
    "super-resolution": {
        **FACES,
        "training.low_res_size": 4,
        **{f"figures.{number}.sampler.steps": 3 for number in range(2)},
    },
    "interpolate": {
        **FACES,
        "figures.0.timesteps": [0, 5, 15],
        **{f"figures.{number}.sampler.steps": 5 for number in range(2)},
    },
}
"""Of each row of the table of experiments, what is changed to run it in seconds."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Small files of all data sets that are downloads, and a pretrained pipeline."""
    folder = tmp_path_factory.mktemp("files")
    pipeline = write_pipeline(folder / "ldm-text2im-large-256")
    with accept_small_datasets(folder) as paths:
        yield {**paths, "pipeline": str(pipeline)}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return empty_store(tmp_path_factory.mktemp("mlflow") / "mlflow.db")


def scaled(name: str, files: dict[str, str]) -> Experiment | FiguresConfig:
    """Load a shipped config with the changes that `--set` would make."""
    whole = load(CONFIGS / f"{name}.yaml")
    changes = SCALED[name]
    if isinstance(whole, Experiment):
        changes = {**SMALL, "dataset.path": files[whole.dataset.name], **changes}
    elif name == "text-to-image":
        changes = {**changes, "figures.0.pipeline": files["pipeline"]}
    return load(CONFIGS / f"{name}.yaml", changes)


def run(config: Experiment | FiguresConfig, root: Path, store: Store) -> list[FigureResult]:
    """Do what `noisette run` does, without Prefect; return the images of the process."""
    directory = run_directory(config, root)
    if not isinstance(config, Experiment):
        shown = [make_figure(config, figure, root) for figure in config.figures]
        FigureMirror(config, directory, store).sync({"parent": "FINISHED"})
        return shown
    prepare(config, root)
    checkpoint = train(config, root)
    samples = [sample(config, checkpoint, sampler, root) for sampler in config.sampling.samplers]
    shown = [make_figure(config, figure, root, checkpoint=checkpoint) for figure in config.figures]
    evaluate(config, samples, root)
    Mirror(config, directory, store, {}).sync({"parent": "FINISHED"})
    return shown


def logged(name: str, store: Store) -> tuple[set[str], set[str]]:
    """Return the metrics and the files of an experiment's run in MLflow."""
    from mlflow import MlflowClient

    client = MlflowClient(store.uri)
    experiment = client.get_experiment_by_name(name)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    parents = [found for found in runs if "mlflow.parentRunId" not in found.data.tags]
    metrics = {key for found in parents for key in found.data.metrics}
    files = {
        file.path.rpartition("/")[2]
        for found in parents
        for folder in client.list_artifacts(found.info.run_id, "figures")
        for file in client.list_artifacts(found.info.run_id, folder.path)
    }
    return metrics, files


def test_every_row_of_the_table_has_its_config() -> None:
    assert set(SCALED) <= {path.stem for path in CONFIGS.glob("*.yaml")}
    assert len(SCALED) == 12


@pytest.mark.parametrize("name", SCALED)
def test_it_runs_to_its_end(name: str, files: dict[str, str], root: Path, store: Store) -> None:
    config = scaled(name, files)
    shown = run(config, root, store)
    stages = plan_stages(config, root)
    assert stages
    assert [stage.name for stage in stages if not stage.finished] == []
    grids = [
        stage.directory / "grid.png" for stage in stages if stage.name.startswith("sample ") and stage.directory
    ]
    images = [*grids, *(path for one in shown for path in one.files)]
    assert images
    for path in images:
        with Image.open(path) as image:
            image.load()
            assert np.asarray(image.convert("L")).std() > 1, path
    metrics, kept = logged(config.name, store)
    assert {path.name for one in shown for path in one.files} <= kept
    if isinstance(config, Experiment):
        assert any(key.startswith("train/loss") for key in metrics)
        assert any(key.startswith(("kid", "frechet")) for key in metrics)


# What each of them is there for.


def of(name: str, files: dict[str, str], root: Path) -> tuple[Experiment, dict[str, FigureResult]]:
    """Return a config and its images, which the test above has made."""
    config = scaled(name, files)
    assert isinstance(config, Experiment)
    stages = [stage for stage in plan_stages(config, root) if stage.name.startswith("figures ")]
    found = [FigureResult.finished(stage.directory) for stage in stages if stage.directory]
    return config, {shown.label: shown for shown in found if shown}


def test_the_tutorial_measures_on_the_way(files: dict[str, str], root: Path) -> None:
    config, _ = of("tutorial", files, root)
    lines = (training_directory(config, root) / "metrics.jsonl").read_text().splitlines()
    assert [line for line in lines if '"stage": "train"' in line and "frechet" in line]


def test_the_conditional_grid_has_a_column_a_class_and_moves(files: dict[str, str], root: Path) -> None:
    config, shown = of("mnist-conditional", files, root)
    assert [path.suffix for path in shown["classes"].files] == [".png", ".gif", ".webp"]
    with Image.open(shown["classes"].files[1]) as animation:
        assert getattr(animation, "n_frames", 1) == 5  # four steps, and the images
    assert [sampler.guidance_scale for sampler in config.sampling.samplers] == [1, 1.5, 3]
    data = Prepared.open(data_directory(config, root))
    assert (data.shape, len(data.classes)) == ((1, 28, 28), 10)


def test_padding_is_not_resizing(files: dict[str, str], root: Path) -> None:
    padded, resized = (
        Prepared.open(data_directory(of(name, files, root)[0], root)).images("train")
        for name in ("mnist-from-scratch", "mnist-annotated")
    )
    assert padded.shape == resized.shape == (24, 1, 32, 32)
    assert (padded[:, :, :2].max(), padded[..., -2:].max()) == (0, 0)
    assert resized[:, :, :2].max() > 0


def test_the_faces_are_trained_once_for_both(files: dict[str, str], root: Path) -> None:
    first, second = (training_directory(of(name, files, root)[0], root) for name in ("interpolate", "inpaint"))
    assert first == second
    shown = [path.name.rpartition("-")[0] for path in (first / "figures").iterdir()]
    assert sorted(shown) == ["denoise", "inpaint", "interpolate", "lower-half"]


@pytest.mark.parametrize("loss", ["l1", "huber"])
def test_the_other_losses_of_the_flowers(files: dict[str, str], root: Path, loss: str) -> None:
    changes = {**SMALL, **SCALED["flowers"], "dataset.path": files["flowers102"]}
    config = Experiment.load(CONFIGS / "flowers.yaml", {**changes, "objective.loss": loss})
    prepare(config, root)
    assert train(config, root).step == 3
    assert training_directory(config, root) != training_directory(of("flowers", files, root)[0], root)


@pytest.mark.parametrize(
    ("name", "shape", "classes", "count"),
    [
        ("tutorial", (3, 128, 128), 0, 35_711_491),
        ("bedrooms", (3, 128, 128), 0, 35_711_491),
        ("mnist-from-scratch", (1, 32, 32), 0, 35_178_689),
        ("flowers", (3, 64, 64), 0, 63_200_387),
        ("cifar10", (3, 32, 32), 0, 35_746_307),
    ],
)
def test_networks_are_as_large_as_the_documents_say(
    name: str, shape: tuple[int, int, int], classes: int, count: int
) -> None:
    import torch

    config = Experiment.load(CONFIGS / f"{name}.yaml")
    with torch.device("meta"):
        network = config.backbone.build(shape, classes, shape[0])
    assert sum(parameter.numel() for parameter in network.parameters()) == count


FACTS: dict[str, dict[str, Any]] = {
    "tutorial": {
        "timesteps": 1000,
        "training.batch_size": 32,
        "training.microbatches": 1,
        "training.lr": 8e-5,
        "training.adam_betas": (0.9, 0.99),
        "training.steps": 700_000,
        "training.ema_decay": 0.995,
        "evaluation.features.name": "inception",
    },
    "bedrooms": {"training.steps": 7000, "backbone.flash": True, "training.ema_decay": 0.995, "training.lr": 8e-5},
    "mnist-annotated": {
        "timesteps": 1000,
        "training.steps": 15 * -(-60_000 // 64),
        "training.batch_size": 64,
        "training.lr": 2e-5,
        "preparation.fit": "resize",
        "backbone.widths": (64, 128, 256, 1024),
    },
    "mnist-conditional": {
        "timesteps": 400,
        "schedule.start": 1e-4,
        "schedule.end": 0.02,
        "training.steps": 20 * -(-60_000 // 256),
        "training.batch_size": 256,
        "training.lr": 1e-4,
        "training.lr_schedule": "linear-by-epoch",
        "training.class_dropout": 0.1,
    },
    "mnist-from-scratch": {
        "timesteps": 1000,
        "training.steps": 75 * (60_000 // 64),
        "training.lr": 2e-5,
        "training.ema_decay": 0.9999,
        "preparation.fit": "pad",
        "backbone.widths": (64, 128, 256, 512, 512, 384),
        "backbone.dropout": 0.1,
        "figures.0.timesteps": (0, 15, 50, 100, 200, 300, 400, 550, 700, 999),
    },
    "flowers": {
        "training.steps": 800 * (1020 // 32),
        "training.batch_size": 32,
        "training.lr": 2e-4,
        "training.ema_decay": 0.999,
        "training.random_flip": True,
        "backbone.groups": 8,
        "sampling.samplers.0.variance": "fixed-small",
    },
    "cifar10": {
        "timesteps": 1000,
        "schedule.start": 1e-4,
        "schedule.end": 0.02,
        "objective.name": "eps",
        "objective.loss": "mse",
        "training.steps": 800_000,
        "training.batch_size": 128,
        "training.lr": 2e-4,
        "training.adam_betas": (0.9, 0.999),
        "training.lr_warmup_steps": 5000,
        "training.max_grad_norm": 1.0,
        "training.ema_decay": 0.9999,
        "training.random_flip": True,
        "backbone.dropout": 0.1,
        "backbone.attention": (1,),
        "sampling.num_images": 50_000,
        "sampling.samplers.1.variance": "fixed-large",
    },
}


@pytest.mark.parametrize("name", FACTS)
def test_settings_are_the_documents(name: str) -> None:
    config = Experiment.load(CONFIGS / f"{name}.yaml")
    for path, value in FACTS[name].items():
        found: Any = config
        for word in path.split("."):
            found = found[int(word)] if word.isdigit() else getattr(found, word)
        assert found == value, path


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("cifar10", 1000),
        ("flowers", 1000),
        ("mnist-annotated", 1000),
        ("mnist-conditional", 400),
        ("mnist-from-scratch", 1000),
    ],
)
def test_betas_are_the_documents_whatever_the_number_of_steps(name: str, steps: int) -> None:
    config = Experiment.load(CONFIGS / f"{name}.yaml")
    betas = config.schedule.betas(config.timesteps)
    assert len(betas) == steps
    assert betas[[0, -1]].tolist() == pytest.approx([1e-4, 0.02])
