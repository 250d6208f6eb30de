"""Several trained models side by side: named by what differs, judged alike, tested pair by pair."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.tiny import tiny, write_prepared

from noisette import CheckpointError, DataError, Events, Report, Run, hookimpl, train
from noisette.checkpoint import Checkpoint
from noisette.comparison import ModelComparison, compare_models
from noisette.layout import data_directory
from noisette.storage import committed

KID = [{"name": "kid", "size": 4, "subsets": 20}]


class Started:
    def __init__(self) -> None:
        self.stages: list[str] = []

    @hookimpl
    def on_run_start(self, run: Run) -> None:
        self.stages.append(f"{run.stage} {run.name}")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Checkpoint]]:
    """A folder with three trained models of the same images, two of them of one run."""
    root = tmp_path_factory.mktemp("models")
    write_prepared(root, tiny())
    last = train(tiny("training.checkpoint_every=6", "training.keep_checkpoints=5"), root)
    other = train(tiny("training.lr=0.01"), root)
    first = Checkpoint.open(last.directory.with_name("step-00000006"))
    return root, [first, last, other]


def comparison(models: tuple[Path, list[Checkpoint]], *chosen: int, **options) -> ModelComparison:
    options = {"num_images": 8, "metrics": KID, **options}
    return ModelComparison.of([models[1][index].directory for index in chosen], **options)


def test_models_are_named_by_what_tells_them_apart(models) -> None:
    assert list(comparison(models, 1, 2).sweeps) == ["lr=0.001", "lr=0.01"]
    assert list(comparison(models, 0, 1).sweeps) == ["tiny step 6", "tiny step 12"]
    assert list(comparison(models, 0, 1, 2).sweeps) == ["lr=0.001, step 6", "lr=0.001, step 12", "lr=0.01, step 12"]
    with pytest.raises(DataError, match=r"expected different models; got .*step-00000012 twice"):
        comparison(models, 1, 1)


def test_each_is_drawn_from_by_its_own_samplers_unless_others_are_asked_for(models) -> None:
    own = comparison(models, 1, 2)
    for sweep in own.sweeps.values():
        assert [walk.label for walk in sweep.experiment.sampling.samplers] == ["ddim-5", "ddpm-4"]
    asked = comparison(models, 1, 2, samplers=["ddim"], steps=(3, 5))
    for sweep in asked.sweeps.values():
        assert [walk.label for walk in sweep.experiment.sampling.samplers] == ["ddim-3", "ddim-5"]
    longer = comparison(models, 1, 2, steps=(3,))
    assert [walk.label for walk in longer.sweeps["lr=0.01"].experiment.sampling.samplers] == ["ddim-3", "ddpm-3"]


@pytest.mark.slow
def test_rows_of_all_stand_between_one_floor_and_one_noise(models) -> None:
    result = compare_models(comparison(models, 1, 2))
    labels = [row.label for row in result.report.rows]
    names = ["lr=0.001: ddim-5", "lr=0.001: ddpm-4", "lr=0.01: ddim-5", "lr=0.01: ddpm-4"]
    assert labels == ["held-out", *names, "noise"]
    assert result.report.details["models"]["lr=0.01"]["digest"] == models[1][2].digest
    for name, sweep in comparison(models, 1, 2).sweeps.items():
        own = sweep.finished().report
        for row in own.rows:
            if row.kind == "sampler":
                [joined] = [other for other in result.report.rows if other.label == f"{name}: {row.label}"]
                assert (joined.results, joined.seconds_per_image) == (row.results, row.seconds_per_image)
    single = compare_models(comparison(models, 1, 2, samplers=["ddim:steps=5"]))
    assert [row.label for row in single.report.rows[1:-1]] == ["lr=0.001", "lr=0.01"]


def test_every_pair_is_tested_and_charts_are_drawn(models) -> None:
    result = compare_models(comparison(models, 1, 2))
    found = result.report.details["differences"]
    assert len(found) == 6
    assert {one["column"] for one in found} == {"kid_efficientnet-lite0"}
    assert "Holm" in result.report.details["test"]
    [chart] = result.charts.values()
    assert np.asarray(Image.open(chart)).std() > 1
    assert chart.with_suffix(".svg").is_file()
    assert Report.open(result.directory, "comparison") == result.report


def test_what_is_finished_is_not_done_again(models) -> None:
    first = compare_models(comparison(models, 1, 2))
    started = Started()
    again = compare_models(comparison(models, 1, 2), events=Events([started], installed=False))
    assert (again, started.stages) == (first, [])
    compare_models(comparison(models, 0, 1), events=Events([started], installed=False))
    assert started.stages == ["sample ddpm-4", "sample ddim-5", "evaluate tiny"]  # of the earlier checkpoint alone
    assert first.directory.parent == models[0] / "comparisons"


def test_models_that_are_judged_by_other_images_are_refused(models, tmp_path: Path) -> None:
    shutil.copytree(models[0], tmp_path / "copy")
    data = data_directory(tiny(), tmp_path / "copy")
    about = {"preparation": {}, "shape": [1, 8, 8], "classes": [], "counts": {}}
    shutil.rmtree(data)
    with pytest.raises(DataError, match="expected the prepared images of tiny; got none"):
        ModelComparison.of([models[1][1].directory, tmp_path / "copy" / models[1][2].run.name], metrics=KID)
    with committed(data, "prepared", about) as staging:
        np.save(staging / "train.npy", np.zeros((2, 1, 8, 8), np.uint8))
    with pytest.raises(DataError, match="expected models with the same reference images"):
        ModelComparison.of([models[1][1].directory, tmp_path / "copy" / models[1][2].run.name], metrics=KID)
    with pytest.raises(CheckpointError, match="there is no such file or folder"):
        ModelComparison.of([models[1][1].directory, tmp_path / "nowhere"])
