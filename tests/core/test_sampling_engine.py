from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from support.tiny import tiny, write_prepared
from torch import Tensor

from noisette import Events, Model, NotFiniteError, PluginError, Run, Sampler, hookimpl, sample, train
from noisette.checkpoint import Checkpoint
from noisette.journal import read_journal
from noisette.model.model import build_denoiser
from noisette.pixels import to_bytes
from noisette.sampling.loop import generate
from noisette_plugins.samplers import DDIM, PNDM, Heun


class Broken(Sampler):
    """Ends badly, in one of several ways."""

    name: ClassVar[str] = "broken"
    way: str = "nan"

    def trajectory(self, denoise, x: Tensor, noise) -> Iterator[Tensor]:
        if self.way == "nothing":
            return
        yield x * float("nan") if self.way == "nan" else x[:, :, 1:]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    root = tmp_path_factory.mktemp("trained")
    write_prepared(root, tiny())
    return train(tiny(), root)


def bits(checkpoint: Checkpoint, *overrides: str, sampler: int = 1) -> np.ndarray:
    experiment = tiny(*overrides)
    done = sample(experiment, checkpoint, experiment.sampling.samplers[sampler])
    return np.array(done.images)


@pytest.mark.parametrize("sampler", [0, 1])
@pytest.mark.parametrize("batch", [1, 2, 4, 5])
def test_a_image_does_not_depend_on_its_batch(trained: Checkpoint, sampler: int, batch: int) -> None:
    model = Model.load(trained)
    walk = tiny().sampling.samplers[sampler]
    denoise = build_denoiser(model, walk, None)
    device = model.machine.device
    whole = to_bytes(generate(denoise, walk, model.shape, range(6), 0, device))
    parts = [
        to_bytes(generate(denoise, walk, model.shape, range(start, min(start + batch, 6)), 0, device))
        for start in range(0, 6, batch)
    ]
    assert torch.equal(whole, torch.cat(parts))


def test_another_seed_gives_other_images(trained: Checkpoint) -> None:
    assert not np.array_equal(bits(trained), bits(trained, "seed=1"))


def test_more_images_begin_with_the_same_ones(trained: Checkpoint) -> None:
    assert np.array_equal(bits(trained), bits(trained, "sampling.num_images=9")[:6])


def test_what_is_written_says_what_it_is(trained: Checkpoint) -> None:
    experiment = tiny("sampling.num_images=7")
    seen: list[int] = []

    class Listener:
        @hookimpl
        def on_step(self, run: Run, step: int) -> None:
            assert (run.stage, run.name, run.total) == ("sample", "ddim-5", 7)
            seen.append(step)

    samples = sample(experiment, trained, experiment.sampling.samplers[0], events=Events([Listener()]))
    assert samples.images.shape == (7, 1, 8, 8)
    assert samples.images.dtype == np.uint8
    assert {key: samples.about[key] for key in ("label", "steps", "network_calls", "count", "seed", "ema")} == {
        "label": "ddim-5",
        "steps": 5,
        "network_calls": 5,
        "count": 7,
        "seed": 0,
        "ema": True,
    }
    assert samples.about["seconds_per_image"] > 0
    assert samples.about["checkpoint"] == trained.digest
    assert seen[-1] == 7
    with Image.open(samples.grid) as grid:
        assert grid.width >= 512
    entries = [entry for entry in read_journal(trained.directory.parent.parent) if entry["name"] == "ddim-5"]
    assert entries[-1]["metrics"] == {"seconds_per_image": samples.about["seconds_per_image"]}


@pytest.mark.parametrize(
    ("sampler", "calls"),
    [
        (Heun(steps=5), 8),  # from pure noise its first step is Euler's
        (PNDM(steps=5), 5),  # and there is nothing to warm up with
        (DDIM(steps=5), 5),
        (
            Heun(steps=5, guidance_scale=2.0, guidance_interval=(14, 10)),
            8 + 3,
        ),  # it looks at 14 once and at 10 twice
    ],
)
def test_network_calls_are_those_that_were_made(tmp_path: Path, sampler: Sampler, calls: int) -> None:
    process = ("schedule=zero-terminal", "objective=v", "training.class_conditional=true", "training.steps=1")
    experiment = tiny(*process, "sampling.num_images=4", "sampling.batch_size=4")
    write_prepared(tmp_path, experiment)
    checkpoint = train(experiment, tmp_path)
    assert sample(experiment, checkpoint, sampler, tmp_path).about["network_calls"] == calls


def test_finished_samples_are_returned_without_work(trained: Checkpoint) -> None:
    experiment = tiny()
    first = sample(experiment, trained, experiment.sampling.samplers[0])
    stamp = (first.directory / "images.npy").stat().st_mtime_ns
    again = sample(experiment, trained, experiment.sampling.samplers[0])
    assert again.digest == first.digest
    assert (again.directory / "images.npy").stat().st_mtime_ns == stamp


@pytest.mark.parametrize(
    ("way", "error", "message"),
    [("nan", NotFiniteError, "not finite"), ("nothing", PluginError, "nothing"), ("shape", PluginError, "shape")],
)
def test_a_bad_sampler_is_named_and_leaves_nothing(
    trained: Checkpoint, way: str, error: type[Exception], message: str
) -> None:
    folder = trained.directory.parent.parent / "samples"
    before = set(folder.glob("*"))
    with pytest.raises(error, match=f"broken.*{message}"):
        sample(tiny(), trained, Broken(way=way, steps=5))
    assert set(folder.glob("*")) == before


def test_bytes_are_rounded_and_bounded() -> None:
    unit = torch.tensor([-2.0, -1.0, -1.0 + 0.6 / 127.5, 0.0, 1.0, 3.0])
    assert to_bytes(unit).tolist() == [0, 0, 1, 128, 255, 255]


def test_drawing_leaves_the_global_generator_alone(trained: Checkpoint) -> None:
    before = torch.get_rng_state()
    bits(trained, "sampling.num_images=3")
    assert torch.equal(torch.get_rng_state(), before)


def test_more_steps_than_were_trained_are_refused(trained: Checkpoint) -> None:
    with pytest.raises(PluginError, match="expected 1 to 20, the trained timesteps; got 50"):
        sample(tiny(), trained, Broken())


class Told(Events):
    """Stop the drawing, as Ctrl-C does, when so many images are done."""

    def __init__(self, at: int) -> None:
        super().__init__(installed=False)
        self.at, self.statuses = at, list[str]()

    def step(self, run: Run, step: int, metrics) -> None:
        if step == self.at:
            raise KeyboardInterrupt

    def run_end(self, run: Run, status) -> None:
        self.statuses.append(status)


class Tinted(Sampler):
    """Gives grey images, of a shade that somebody may change in the code; remembers which it drew."""

    name: ClassVar[str] = "tinted"
    shade: ClassVar[float] = 0.5
    drawn: ClassVar[list[int]] = []

    def trajectory(self, denoise, x: Tensor, noise) -> Iterator[Tensor]:
        self.drawn.append(len(x))
        yield torch.full_like(x, self.shade)


@pytest.fixture
def interrupted(trained: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkpoint]:
    """A checkpoint of which six of ten images are drawn, in batches of two."""
    root = tmp_path_factory.mktemp("interrupted")
    run = trained.directory.parents[1]
    shutil.copytree(run, root / run.name)
    checkpoint = Checkpoint.open(root / run.name / "checkpoints" / trained.directory.name)
    Tinted.drawn.clear()
    told = Told(6)
    with pytest.raises(KeyboardInterrupt):
        sample(TEN, checkpoint, Tinted(steps=5), events=told)
    assert told.statuses == ["stopped"]
    assert Tinted.drawn == [2, 2, 2]
    Tinted.drawn.clear()
    yield checkpoint
    Tinted.shade = 0.5


TEN = tiny("sampling.num_images=10", "sampling.batch_size=2")


def shades(checkpoint: Checkpoint, *overrides: str) -> set[int]:
    samples = sample(
        tiny("sampling.num_images=10", "sampling.batch_size=2", *overrides), checkpoint, Tinted(steps=5)
    )
    return set(samples.images.ravel().tolist())


def test_what_was_drawn_before_a_stop_is_not_drawn_again_but_for_one_batch(interrupted: Checkpoint) -> None:
    assert shades(interrupted) == {191}
    assert Tinted.drawn == [2, 2, 2]  # the last one kept, to see that it is still the same, and two new ones


def test_after_a_change_of_the_code_all_is_drawn_again(
    interrupted: Checkpoint, caplog: pytest.LogCaptureFixture
) -> None:
    Tinted.shade = -1.0
    assert shades(interrupted) == {0}
    assert "tinted-5 starts again" in caplog.text


def test_batches_of_another_size_are_not_mixed(interrupted: Checkpoint) -> None:
    assert shades(interrupted, "sampling.batch_size=5") == {191}
    assert Tinted.drawn == [5, 5]


@pytest.mark.parametrize("damage", [b"", b"\n", b"[]\n", b"{}\n", b'{"start": 0}\n', b"\xff\xfe\n"])
def test_a_damaged_list_of_batches_costs_no_image(interrupted: Checkpoint, damage: bytes) -> None:
    (file,) = interrupted.directory.parents[1].glob("samples/.partial-*/.batches.jsonl")
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(lines[0] + damage + lines[1])
    assert shades(interrupted) == {191}


def test_a_file_that_is_no_array_costs_no_image(interrupted: Checkpoint) -> None:
    (file,) = interrupted.directory.parents[1].glob("samples/.partial-*/images.npy")
    file.write_bytes(b"x" * file.stat().st_size)
    assert shades(interrupted) == {191}
    assert Tinted.drawn == [2] * 5


def test_the_first_call_of_the_network_is_not_timed(trained: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    model = Model.load(trained)
    model.network.register_forward_pre_hook(lambda *_: told.append("call"))
    monkeypatch.setattr("noisette.sampling.writer.Model.load", lambda *_, **__: model)
    clock = time.perf_counter
    monkeypatch.setattr("noisette.sampling.writer.time.perf_counter", lambda: told.append("clock") or clock())
    experiment = tiny("sampling.num_images=3", "sampling.batch_size=3", "seed=0", "sampling.clip_x0=2.5")
    sample(experiment, trained, experiment.sampling.samplers[0])
    assert told == ["call", "clock", *["call"] * 5, "clock"]
