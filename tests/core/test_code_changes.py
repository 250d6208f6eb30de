"""What an edited plugin makes is made again, said aloud, and never taken for what was made before."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from support.tiny import tiny, write_prepared

import noisette
from noisette import (
    Backbone,
    CheckpointError,
    Experiment,
    Model,
    PluginError,
    Sampler,
    Schedule,
    evaluate,
    sample,
    train,
)
from noisette.checkpoint import Checkpoint
from noisette.layout import samples_directory, training_directory
from noisette.stages import plan_stages


def black(value: float) -> type[Sampler]:
    """Return a sampler whose images are all of one value, as two edits of one class."""

    class Flat(Sampler):
        """Flat images."""

        name: ClassVar[str] = "flat"

        def trajectory(self, denoise, x, noise):
            yield x * 0 + value

    return Flat


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_prepared(tmp_path, tiny())
    return tmp_path


@pytest.fixture
def trained(root: Path) -> Checkpoint:
    return train(tiny(), root)


@pytest.fixture(autouse=True)
def nothing_stays_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    known = noisette.registry()
    monkeypatch.setattr(known, "sources", known.sources)


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_an_edited_sampler_samples_again_and_says_so(
    root: Path, trained: Checkpoint, caplog: pytest.LogCaptureFixture
) -> None:
    first = sample(tiny(), trained, black(-1.0)(steps=5), root)
    with caplog.at_level(logging.WARNING, "noisette"):
        assert sample(tiny(), trained, black(-1.0)(steps=5), root).directory == first.directory
        assert not warnings_in(caplog)
        edited = sample(tiny(), trained, black(1.0)(steps=5), root)
    (message,) = warnings_in(caplog)
    assert message.startswith(f"the code of sampler 'flat' has changed since {first.directory} (")
    assert message.endswith("): sampling again")
    assert (int(first.images[0].max()), int(edited.images[0].min())) == (0, 255)
    assert sample(tiny(), trained, black(-1.0)(steps=5), root).directory == first.directory  # the edit taken back


def test_other_options_are_no_edit(root: Path, trained: Checkpoint, caplog: pytest.LogCaptureFixture) -> None:
    sample(tiny(), trained, black(-1.0)(steps=5), root)
    with caplog.at_level(logging.WARNING, "noisette"):
        sample(tiny(), trained, black(1.0)(steps=7), root)
    assert not warnings_in(caplog)


def network(scale: float) -> type[Backbone]:
    class Point(Backbone):
        """One weight for all pixels."""

        name: ClassVar[str] = "point"

        def build(self, shape, classes, outputs):
            from torch import nn

            class Net(nn.Module):
                def __init__(self):
                    super().__init__()
                    self.mix = nn.Conv2d(shape[0], outputs, 1)

                def forward(self, x, t, label=None):
                    return self.mix(x) * scale

            return Net()

    return Point


def of(backbone: type[Backbone], *overrides: str) -> Experiment:
    return tiny(*overrides).model_copy(update={"backbone": backbone()})


def test_a_network_of_a_script_is_refused_before_step_0(root: Path) -> None:
    with pytest.raises(PluginError, match=r"backbone 'point': expected a class .*noisette\.register\("):
        train(of(network(1.0)), root)
    assert not list(root.glob("tiny-*"))


def test_a_registered_network_trains_and_is_loaded(root: Path) -> None:
    point = noisette.register(network(1.0))
    checkpoint = train(of(point), root)
    assert Model.load(checkpoint).shape == (1, 8, 8)
    assert noisette.registry().find("backbone", "point").plugin is point


def test_an_edited_network_trains_again_and_says_so(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = train(of(noisette.register(network(1.0))), root)
    with caplog.at_level(logging.WARNING, "noisette"):
        edited = noisette.register(network(2.0))
        assert noisette.registry().find("backbone", "point").plugin is edited
        second = train(of(edited), root)
    assert second.run != first.run
    assert second.digest != first.digest
    (message,) = warnings_in(caplog)
    assert message.startswith(f"the code of backbone 'point' has changed since {first.run} was trained (")
    caplog.clear()
    with caplog.at_level(logging.WARNING, "noisette"):
        Model.load(first)
    assert warnings_in(caplog) == [
        f"{first.directory}: the code of backbone 'point' has changed since it was trained"
    ]


def test_a_class_that_is_no_plugin_is_not_registered() -> None:
    with pytest.raises(PluginError, match="dict is not a plugin"):
        noisette.register(dict)  # type: ignore[type-var]


def test_an_experiment_under_another_name_finds_what_is_trained(root: Path, trained: Checkpoint) -> None:
    renamed = tiny("name=renamed")
    assert train(renamed, root).directory == trained.directory
    assert [stage.finished for stage in plan_stages(renamed, root)][:2] == [True, True]
    assert train(tiny("name=renamed", "seed=1"), root).run.name.startswith("renamed-")


def test_a_longer_run_under_another_name_goes_on_behind_a_shorter_one(
    root: Path, trained: Checkpoint, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "noisette"):
        longer = train(tiny("name=renamed", "training.steps=14"), root)
    assert f"training resumes at step 12 of 14, from {trained.directory}" in caplog.messages
    assert longer.run.name.startswith("renamed-")


def test_samples_and_reports_are_made_again_when_asked(root: Path, trained: Checkpoint) -> None:
    experiment = tiny("evaluation.metrics=[precision-recall]", "evaluation.features=classifier")
    sampler = experiment.sampling.samplers[0]
    samples = sample(experiment, trained, sampler, root)
    before = (samples.directory / "MANIFEST.json").stat().st_ino
    assert sample(experiment, trained, sampler, root).directory == samples.directory
    assert (samples.directory / "MANIFEST.json").stat().st_ino == before
    again = sample(experiment, trained, sampler, root, again=True)
    assert again.directory == samples.directory
    assert (samples.directory / "MANIFEST.json").stat().st_ino != before
    assert np.array_equal(again.images, samples.images)


def test_a_training_made_again_keeps_what_was_trained(root: Path, trained: Checkpoint) -> None:
    sample(tiny(), trained, tiny().sampling.samplers[0], root)
    content = {path.relative_to(trained.run): path.read_bytes() for path in trained.run.rglob("*.safetensors")}
    again = train(tiny(), root, again=True)
    assert again.run == trained.run
    (kept,) = root.glob("tiny-*-before-*")
    assert {path.relative_to(kept): path.read_bytes() for path in kept.rglob("*.safetensors")} == content
    assert not list(again.run.glob("samples/*"))
    assert again.digest == trained.digest  # the same bits, trained anew


def test_a_training_made_again_begins_at_step_0_beside_a_shorter_one(
    root: Path, trained: Checkpoint, caplog: pytest.LogCaptureFixture
) -> None:
    longer = tiny("training.steps=14")
    train(longer, root)
    with caplog.at_level(logging.INFO, "noisette"):
        train(longer, root, again=True)
    assert "training starts at step 0, as requested" in caplog.messages


def test_old_samples_stay_if_making_them_again_fails(root: Path, trained: Checkpoint, monkeypatch) -> None:
    sampler = tiny().sampling.samplers[0]
    samples = sample(tiny(), trained, sampler, root)
    monkeypatch.setattr(type(sampler), "trajectory", lambda *_: iter(()))
    with pytest.raises(PluginError):
        sample(tiny(), trained, sampler, root, again=True)
    assert noisette.Samples.open(samples.directory).digest == samples.digest


def test_an_imported_network_cannot_be_trained_again(root: Path) -> None:
    with pytest.raises(CheckpointError, match="is imported, not trained; import it again"):
        train(tiny("training.steps=0"), root, again=True)


@pytest.mark.slow
def test_an_edited_metric_judges_again(root: Path, trained: Checkpoint, caplog: pytest.LogCaptureFixture) -> None:
    experiment = tiny("evaluation.features=classifier")
    samples = [sample(experiment, trained, experiment.sampling.samplers[0], root)]
    first, second = (_judged_by(experiment, value) for value in (1.0, 2.0))
    reports = [evaluate(first, samples, root)]
    with caplog.at_level(logging.WARNING, "noisette"):
        reports.append(evaluate(second, samples, root))
    assert [report.rows[1].results["level"].value for report in reports] == [1.0, 2.0]
    assert [message for message in warnings_in(caplog) if "the code of metric 'level' has changed since" in message]


def _judged_by(experiment: Experiment, value: float) -> Experiment:
    from noisette import Estimate, Metric

    class Level(Metric):
        """A constant."""

        name: ClassVar[str] = "level"
        needs: ClassVar[str] = "images"
        better: ClassVar[str] = "lower"

        def update(self, state, batch):
            return {}

        def merge(self, a, b):
            return {}

        def compute(self, generated, reference, heldout):
            return {"level": Estimate(value, 0.0)}

        def column(self, result, features):
            return result

    evaluation = experiment.evaluation.model_copy(update={"metrics": (Level(),)})
    return experiment.model_copy(update={"evaluation": evaluation})


def soft(end: float) -> type[Schedule]:
    class Soft(Schedule):
        """Betas of one value."""

        name: ClassVar[str] = "soft"

        def betas(self, timesteps):
            import torch

            return torch.full((timesteps,), end, dtype=torch.float64)

    return Soft


def test_the_code_of_a_plugin_behind_an_option_is_part_of_every_key(root: Path) -> None:
    outer = noisette.registry().find("schedule", "zero-terminal").plugin

    def trained_in(end: float) -> list[Path]:
        update = {"schedule": outer(of=soft(end)())}
        experiment = tiny("objective=v").model_copy(update=update)
        run = training_directory(experiment, root)
        sampler = experiment.sampling.samplers[0]
        return [run, samples_directory(root, "c", sampler, experiment)]

    assert trained_in(0.1) == trained_in(0.1)
    assert not set(trained_in(0.1)) & set(trained_in(0.2))
