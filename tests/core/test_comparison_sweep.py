from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image
from support.tiny import TINY, tiny, write_prepared

from noisette import CheckpointError, ConfigError, DataError, Events, Experiment, Run, hookimpl, sample, train
from noisette.checkpoint import Checkpoint
from noisette.comparison import Sweep, SweepResult, compare
from noisette.comparison.sweep import read_sweep_requests
from noisette.layout import data_directory

CHOSEN = {
    "samplers": ["ddim", "ddpm:variance=fixed-large"],
    "steps": (5, 3, 50),
    "num_images": 6,
    "metrics": ["kid"],
}


class Started:
    """Remembers the stages that did something."""

    def __init__(self) -> None:
        self.stages: list[str] = []

    @hookimpl
    def on_run_start(self, run: Run) -> None:
        self.stages.append(f"{run.stage} {run.name}")


@pytest.fixture(scope="module")
def sweep_result(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Checkpoint, list[str]]:
    """A trained model, its sweep, and what was done for it."""
    root = tmp_path_factory.mktemp("sweep_result")
    write_prepared(root, tiny())
    checkpoint = train(tiny(), root)
    experiment = tiny()
    sample(experiment, checkpoint, experiment.sampling.samplers[0], root)  # ddim-5: drawn before
    started = Started()
    compare(Sweep.of(checkpoint.directory, **CHOSEN), events=Events([started], installed=False))
    return root, checkpoint, started.stages


def made(sweep_result: tuple[Path, Checkpoint, list[str]]) -> tuple[Sweep, SweepResult]:
    sweep = Sweep.of(sweep_result[1].directory, **CHOSEN)
    finished = sweep.finished()
    assert finished is not None
    return sweep, finished


def test_every_sampler_at_every_trained_length_the_shortest_first(sweep_result) -> None:
    sweep, _ = made(sweep_result)
    assert [walk.label for walk in sweep.experiment.sampling.samplers] == [
        "ddim-3",
        "ddim-5",
        "ddpm-3-variance=fixed-large",
        "ddpm-5-variance=fixed-large",
    ]
    assert sweep.notes == ("50 steps are left out: the model was trained with 20",)
    assert sweep_result[2] == [
        "sample ddim-3",
        "sample ddpm-3-variance=fixed-large",
        "sample ddpm-5-variance=fixed-large",  # ddim-5 was drawn by the experiment
        "evaluate tiny",
    ]


def test_the_report_has_the_walks_between_floor_and_noise_and_a_chart(sweep_result) -> None:
    sweep, finished = made(sweep_result)
    labels = [walk.label for walk in sweep.experiment.sampling.samplers]
    assert [row.label for row in finished.report.rows] == ["held-out", *labels, "noise"]
    assert list(finished.charts) == finished.report.columns == ["kid_efficientnet-lite0"]
    for path in finished.charts.values():
        with Image.open(path) as image:
            image.load()
            assert image.format == "PNG"
        assert path.with_suffix(".svg").read_text(encoding="utf-8").count("ddim") >= 1


def test_all_lies_beside_the_checkpoint(sweep_result) -> None:
    root, checkpoint, _ = sweep_result
    sweep, finished = made(sweep_result)
    run = checkpoint.directory.parent.parent
    assert sweep.run == run
    assert sweep.root == root
    assert finished.directory.parent == run / "sweeps"
    assert finished.report.directory.parent == run / "evaluations"
    assert {path.parent for path in map(sweep.samples_path, sweep.samplers)} == {run / "samples"}


def test_a_finished_sweep_does_nothing_again(sweep_result) -> None:
    sweep, finished = made(sweep_result)
    again = Started()
    assert compare(sweep, events=Events([again], installed=False)) == finished
    assert again.stages == []


def copied(sweep_result, folder: Path) -> tuple[Path, Sweep]:
    """Return a copy of all results, which a test may damage, and the sweep in it."""
    shutil.copytree(sweep_result[0], folder / "copy")
    run = folder / "copy" / sweep_result[1].directory.parent.parent.name
    return run, Sweep.of(run, **CHOSEN)


def test_a_sweep_that_lost_a_walk_draws_that_one(sweep_result, tmp_path: Path) -> None:
    _, sweep = copied(sweep_result, tmp_path)
    assert sweep.finished() is not None
    shutil.rmtree(sweep.samples_path(sweep.samplers[1]))
    assert sweep.finished() is None
    again = Started()
    compare(sweep, events=Events([again], installed=False))
    assert again.stages == ["sample ddpm-3-variance=fixed-large"]  # the same images: the same evaluation
    assert sweep.finished() is not None


def test_a_lost_chart_is_drawn_again_and_a_lost_report_made_again(sweep_result, tmp_path: Path) -> None:
    _, sweep = copied(sweep_result, tmp_path)
    finished = sweep.finished()
    assert finished is not None
    (chart,) = finished.charts.values()
    before = chart.read_bytes()
    chart.unlink()
    assert sweep.finished() is None
    (chart,) = compare(sweep).charts.values()
    assert chart.read_bytes() == before
    shutil.rmtree(finished.report.directory)
    assert sweep.finished() is None
    assert compare(sweep).report == finished.report


def test_more_images_another_metric_or_length_is_another_sweep(sweep_result) -> None:
    sweep, _ = made(sweep_result)
    others = ({"num_images": 7}, {"metrics": ["frechet"]}, {"steps": (3,)}, {"samplers": ["ddim"]})
    places = {Sweep.of(sweep_result[1].directory, **{**CHOSEN, **other}).directory for other in others}
    assert len(places | {sweep.directory}) == 5
    assert Sweep.of(sweep_result[1].directory, **{**CHOSEN, "steps": (3, 5)}).directory == sweep.directory


def test_what_is_asked_for_is_written_down(sweep_result) -> None:
    sweep, finished = made(sweep_result)
    (asked,) = read_sweep_requests(sweep.run)
    assert asked.checkpoint == sweep_result[1].digest
    assert asked.samples == [sweep.samples_path(walk).name for walk in sweep.experiment.sampling.samplers]
    assert asked.matches(finished.report)
    sweep.directory.with_name("torn.json").write_text('{"check')
    assert list(read_sweep_requests(sweep.run)) == [asked]
    sweep.directory.with_name("torn.json").unlink()


def test_a_config_leads_to_the_same_sweep_and_its_changes_count(sweep_result, tmp_path: Path) -> None:
    import yaml

    config = tmp_path / "tiny.yaml"
    config.write_text(yaml.safe_dump(TINY), encoding="utf-8")
    sweep, _ = made(sweep_result)
    assert Sweep.of(config, output=sweep_result[0], **CHOSEN).directory == sweep.directory
    changed = Sweep.of(config, output=sweep_result[0], overrides=["sampling.clip_x0=null"], **CHOSEN)
    assert changed.experiment.sampling.clip_x0 is None
    assert changed.directory != sweep.directory
    with pytest.raises(CheckpointError, match="is not trained"):
        Sweep.of(config, output=sweep_result[0], overrides=["seed=5"], **CHOSEN)


def test_without_the_prepared_images_nothing_is_drawn(sweep_result, tmp_path: Path) -> None:
    run, _ = copied(sweep_result, tmp_path)
    shutil.rmtree(data_directory(tiny(), run.parent))
    sweep = Sweep.of(run, **{**CHOSEN, "num_images": 3})
    with pytest.raises(DataError, match=r"run `noisette prepare CONFIG --output .*copy`"):
        compare(sweep)
    assert sweep.finished_samples() == []


def test_by_default_every_sampler_that_the_model_can_be_drawn_with(sweep_result) -> None:
    sweep = Sweep.of(sweep_result[1].directory, steps=(5,))
    walks = [walk.label for walk in sweep.experiment.sampling.samplers]
    assert {"ddim-5", "ddpm-5", "ddpm-5-variance=fixed-large", "dpmpp-2m-5", "dpmpp-2m-5-sde=True"} <= set(walks)
    assert "ddpm-5-variance=learned" not in walks  # the model learned no variance


def test_a_sampler_that_the_model_cannot_be_drawn_with_is_refused_if_it_was_named(sweep_result) -> None:
    with pytest.raises(ConfigError, match=r"guidance_scale: needs training\.class_conditional=true"):
        Sweep.of(sweep_result[1].directory, ["ddim:guidance_scale=2"], (5,))
    assert isinstance(Sweep.of(sweep_result[1].directory, ["ddim"], (5,)).trained, Experiment)
