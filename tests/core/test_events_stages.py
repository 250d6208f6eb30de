"""How each stage of an experiment ends in `on_run_end`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from support.tiny import tiny

from noisette import Events, Experiment, Run, evaluate, hookimpl, prepare, sample, train
from noisette.figures import make_figure

STAGES = ["prepare", "train", "sample", "figures", "evaluate"]


class Recorder:
    """Keep the status of each stage."""

    statuses: ClassVar[dict[str, str]] = {}

    @hookimpl
    def on_run_end(self, run: Run, status: str) -> None:
        self.statuses[run.stage] = status


class RaiseAt(Events):
    """Events that raise at the first step of a stage; an exception of a listener would be logged."""

    def __init__(self, stage: str = "", error: BaseException | None = None) -> None:
        super().__init__([Recorder()], installed=False)
        self.at, self.error = stage, error

    def step(self, run: Run, step: int, metrics) -> None:
        if run.stage == self.at and self.error is not None:
            raise self.error


def stages(experiment: Experiment, root: Path, events: Events) -> Iterator[str]:
    """Run a stage, then yield its name."""
    prepare(experiment, root, events=events)
    yield "prepare"
    checkpoint = train(experiment, root, events=events)
    yield "train"
    samples = [sample(experiment, checkpoint, experiment.sampling.samplers[0], root, events=events)]
    yield "sample"
    make_figure(experiment, experiment.figures[0], root, checkpoint=checkpoint, events=events)
    yield "figures"
    evaluate(experiment, samples, root, events=events)
    yield "evaluate"


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), SystemExit(143), RuntimeError("defect")], ids=["Ctrl-C", "exit", "error"]
)
def test_every_stage_ends_with_the_same_statuses(tmp_path: Path, error: BaseException) -> None:
    experiment = tiny(
        "preparation.limit=40",
        "figures=[{name: denoise, num_images: 1, frames: 2, sampler: {name: ddim, steps: 3}}]",
        "evaluation={metrics: [nearest], baselines: false}",
    )
    Recorder.statuses.clear()
    for number, stage in enumerate(STAGES):
        with pytest.raises(type(error)):
            for _ in stages(experiment, tmp_path, RaiseAt(stage, error)):
                pass
        failed = "failed" if isinstance(error, Exception) else "stopped"
        assert Recorder.statuses == {**dict.fromkeys(STAGES[:number], "finished"), stage: failed}
    assert list(stages(experiment, tmp_path, RaiseAt())) == STAGES
    assert Recorder.statuses == dict.fromkeys(STAGES, "finished")
