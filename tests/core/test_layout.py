from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest

from noisette import Experiment, Sampler
from noisette.config import apply_overrides
from noisette.layout import (
    COSMETIC,
    MONITORING,
    data_directory,
    evaluation_directory,
    samples_directory,
    training_directory,
)

ROOT = Path("runs")


def experiment(*overrides: str) -> Experiment:
    return Experiment.parse(apply_overrides({"name": "x", "dataset": "digits"}, overrides))


def data(e: Experiment) -> Path:
    return data_directory(e, ROOT)


def training(e: Experiment) -> Path:
    return training_directory(e, ROOT)


def samples(e: Experiment, checkpoint: str = "c") -> Path:
    return samples_directory(ROOT / "x", checkpoint, e.sampling.samplers[0], e)


def evaluation(e: Experiment, drawn: tuple[str, ...] = ("a", "b")) -> Path:
    return evaluation_directory(ROOT / "x", list(drawn), e)


def test_results_lie_where_the_docstring_says() -> None:
    plain = experiment()
    assert data_directory(plain, ROOT).relative_to(ROOT).match("data/digits-??????????")
    assert training_directory(plain, ROOT).relative_to(ROOT).match("x-??????????")
    assert samples(plain).relative_to(ROOT).match("x/samples/ddim-50-??????????")
    assert evaluation(plain).relative_to(ROOT).match("x/evaluations/??????????")


DATA = [
    "dataset=mnist-5k",
    "preparation.size=16",
    "preparation.fit=pad",
    "preparation.channels=3",
    "preparation.limit=9",
]
TRAINING = [
    "seed=1",
    "schedule=cosine",
    "schedule={name: linear, end: 0.01}",
    "timesteps=999",
    "objective=v",
    "objective={name: eps, loss: l1}",
    "backbone={name: unet, channels: 64}",
    "training.steps=9",
    "training.batch_size=9",
    "training.lr=9",
    "training.drop_last=true",
    "training.optimizer=adam",
    "training.adam_betas=[.1, .2]",
    "training.adam_eps=1e-7",
    "training={optimizer: sgd, momentum: .5}",
    "training.weight_decay=1",
    "training.lr_warmup_steps=9",
    "training.lr_schedule=cosine",
    "training.max_grad_norm=null",
    "training.ema_decay=null",
    "training.microbatches=2",
    "training.random_flip=true",
    "training.timestep_sampler=antithetic",
    "training.offset_noise=.1",
    "training.self_condition=true",
    "training.low_res_size=4",
    "training.ema_warmup=none",
    "training.ema_update_every=2",
    "training.ema_snapshot_every=4",
    "training.max_seconds=4",
    "training={evaluate_every: 4, patience: 4}",
    "training.class_conditional=true",
    "training.class_dropout=.2",
    "training.precision=bf16",
    "training.compile=true",
]
SAMPLING = [
    "seed=1",
    "sampling.num_images=9",
    "sampling.clip_x0=null",
    "sampling.ema=false",
    "sampling.samplers=[ddpm]",
    "sampling.samplers=[{name: ddim, steps: 9}]",
    "sampling.samplers=[{name: ddim, eta: .5}]",
    "sampling.samplers=[{name: ddim, spacing: trailing}]",
]
EVALUATION = ["seed=1", "evaluation.features=inception", "evaluation.metrics=[kid]", "evaluation.baselines=false"]


@pytest.mark.parametrize(
    ("where", "override"),
    [
        *[(data, override) for override in DATA],
        *[(training, override) for override in DATA + TRAINING],
        *[(samples, override) for override in SAMPLING],
        *[(evaluation, override) for override in EVALUATION],
    ],
)
def test_every_option_that_decides_a_result_moves_it(where: Callable[[Experiment], Path], override: str) -> None:
    assert where(experiment(override)) != where(experiment())


COSMETIC_CHANGES = [
    "training.log_every=7",
    "training.checkpoint_every=7",
    "training.checkpoint_seconds=7",
    "training.preview_every=7",
    "training.keep_checkpoints=7",
    "training.evaluate_every=7",
    "training.evaluate_images=7",
    "training.monitor=kid",
    "training.images=640000",  # which are the default's steps
    "training.processes=2",
    "training.parallel=fsdp",
]
HARDWARE = ["sampling.batch_size=3", "threads=3"]


@pytest.mark.parametrize(
    ("where", "override"),
    [
        *[(data, override) for override in [*TRAINING, *SAMPLING, *EVALUATION]],
        *[(training, override) for override in [*COSMETIC_CHANGES, *SAMPLING[1:], *EVALUATION[1:], *HARDWARE]],
        *[(samples, override) for override in [*COSMETIC_CHANGES, *HARDWARE, *EVALUATION[1:]]],
        *[(evaluation, override) for override in [*COSMETIC_CHANGES, *HARDWARE]],
        (training, "schedule={name: linear, start: 1e-4}"),
    ],
)
def test_options_that_decide_nothing_do_not(where: Callable[[Experiment], Path], override: str) -> None:
    assert where(experiment(override)) == where(experiment())


def test_every_training_option_is_known_to_decide_or_not() -> None:
    tried = {change.partition("=")[0].removeprefix("training.") for change in TRAINING + COSMETIC_CHANGES}
    assert set(experiment().training.model_dump()) <= tried | {"patience", "momentum"}
    harmless = {change.partition("=")[0].removeprefix("training.") for change in COSMETIC_CHANGES}
    assert harmless == COSMETIC | MONITORING


def test_what_came_before_moves_what_comes_after() -> None:
    plain = experiment()
    assert samples(plain, "c") != samples(plain, "d")
    assert evaluation(plain, ("a", "b")) != evaluation(plain, ("a", "c"))


class Wordy(Sampler):
    """A sampler whose options hold any text."""

    name: ClassVar[str] = "wordy"
    note: str = ""

    def trajectory(self, denoise, x, noise):
        yield x


@pytest.mark.parametrize("note", ["../../../etc", "a/b", "nul\0", "new\nline", "*[?]", "x" * 500])
def test_no_option_leads_out_of_the_folder_or_breaks_a_file_name(note: str, tmp_path: Path) -> None:
    plain = experiment()
    place = samples_directory(tmp_path, "c", Wordy(note=note), plain)
    assert place.parent == tmp_path / "samples"
    place.mkdir(parents=True)
    assert place != samples_directory(tmp_path, "c", Wordy(note=note + "."), plain)


def test_a_long_list_of_steps_still_has_a_place(tmp_path: Path) -> None:
    steps = ",".join(str(step) for step in range(999, 0, -2))
    walk = experiment(f"sampling.samplers=[{{name: ddim, spacing: [{steps}]}}]")
    samples_directory(tmp_path, "c", walk.sampling.samplers[0], walk).mkdir(parents=True)
