from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from noisette import Denoiser, Noise, NotFiniteError, Prediction, Sampler
from noisette.figures import Trajectory, save_animation
from noisette.figures.trajectory import evenly_spaced, record_sampler_trajectory
from noisette.pixels import to_bytes
from noisette.sampling.loop import generate
from noisette_plugins.samplers import DDIM, DDPM, PNDM, DPMSolverPP, Heun, UniPC
from noisette_plugins.schedules import Linear

TABLES = Linear().process(100)
SHAPE = (1, 2, 2)
SAMPLERS = [DDIM(steps=7), DDPM(steps=7), Heun(steps=7), DPMSolverPP(steps=7), UniPC(steps=7), PNDM(steps=7)]


class Grows(Denoiser):
    """Sees a grey that says the step: x0 = 1 - 2 t / 99 everywhere."""

    def __init__(self) -> None:
        self.process = TABLES

    def __call__(self, x_t: Tensor, t: int) -> Prediction:
        return Prediction(x_t, *TABLES(t), x0=torch.full_like(x_t, grey(t)))


def grey(t: int) -> float:
    return 1 - 2 * t / 99


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda sampler: sampler.name)
def test_a_frame_is_a_step_with_what_was_seen_in_it(sampler: Sampler) -> None:
    trajectory = record_sampler_trajectory(Grows(), sampler, SHAPE, [3, 8], seed=1)
    expected = TABLES.timesteps(7)
    assert trajectory.steps[0] == 99
    assert trajectory.steps[-1] == -1
    assert len(trajectory.steps) == len(expected)
    for step, x0 in zip(trajectory.steps[:-1], trajectory.x0, strict=False):
        assert np.all(x0 == to_bytes(torch.tensor(grey(step))).item())
    assert trajectory.x_t.shape == (8, 2, *SHAPE)
    assert np.array_equal(trajectory.x0[-1], trajectory.x_t[-1])


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda sampler: sampler.name)
def test_it_begins_at_the_noise_and_ends_in_the_images_that_drawing_gives(sampler: Sampler) -> None:
    trajectory = record_sampler_trajectory(Grows(), sampler, SHAPE, [3, 8], seed=1)
    drawn = generate(Grows(), sampler, SHAPE, [3, 8], 1, torch.device("cpu"))
    assert np.array_equal(trajectory.images, to_bytes(drawn).numpy())
    assert np.array_equal(trajectory.x_t[0], to_bytes(Noise(1, [3, 8], SHAPE)()).numpy())


def test_frames_that_are_kept_are_those_of_the_whole_walk() -> None:
    whole = record_sampler_trajectory(Grows(), DDPM(steps=100), SHAPE, [0], seed=0, frames=200)
    some = record_sampler_trajectory(Grows(), DDPM(steps=100), SHAPE, [0], seed=0, frames=11)
    assert whole.steps == (*range(99, -1, -1), -1)
    assert some.steps == tuple(whole.steps[i] for i in evenly_spaced(101, 11)) == (*range(99, 0, -10), -1)
    for key in ("x_t", "x0"):
        assert np.array_equal(getattr(some, key), getattr(whole, key)[evenly_spaced(101, 11)])


def test_memory_does_not_grow_with_the_steps() -> None:
    """Frames of 64 KiB: 100 of them are 6 MiB; six of x_t and of x0 are less than one."""
    tracemalloc.start()
    record_sampler_trajectory(Grows(), DDIM(steps=100), (1, 256, 256), [0], seed=0, frames=6)
    few = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    record_sampler_trajectory(Grows(), DDIM(steps=100), (1, 256, 256), [0], seed=0, frames=101)
    all_of_them = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert few < 3 * 2**20
    assert all_of_them > 12 * 2**20  # control: the measure sees frames


class Reuses(Sampler):
    """Yields one tensor again and again, changed in place."""

    name = "reuses"

    def trajectory(self, denoise: Denoiser, x: Tensor, noise: Noise) -> Iterator[Tensor]:
        state = x.clone()
        for t in denoise.process.timesteps(self.steps)[:-1]:
            denoise(state, t)
            state.fill_(grey(t))
            yield state


def test_a_sampler_may_change_its_state_in_place() -> None:
    trajectory = record_sampler_trajectory(Grows(), Reuses(steps=4), SHAPE, [0], seed=0)
    assert trajectory.x_t[1:, 0, 0, 0, 0].tolist() == [0, 85, 170, 255]


class Breaks(Reuses):
    name = "breaks"

    def trajectory(self, denoise: Denoiser, x: Tensor, noise: Noise) -> Iterator[Tensor]:
        denoise(x, 99)
        yield x * float("nan")


def test_a_walk_into_nan_is_an_error() -> None:
    with pytest.raises(NotFiniteError, match="breaks-1: the images are not finite"):
        record_sampler_trajectory(Grows(), Breaks(steps=1), SHAPE, [0], seed=0)


@pytest.mark.parametrize(("count", "wanted"), [(1, 60), (5, 60), (51, 10), (1001, 60), (1001, 2), (7, 1)])
def test_evenly_has_the_ends_and_no_more_than_wanted(count: int, wanted: int) -> None:
    chosen = evenly_spaced(count, wanted)
    assert chosen == sorted(set(chosen))
    assert len(chosen) == min(count, wanted)
    assert chosen[-1] == count - 1
    gaps = np.diff(chosen)
    assert wanted == 1 or (chosen[0] == 0 and (count == 1 or gaps.max() - gaps.min() <= 1))


def test_the_strip_has_two_rows_a_image_and_a_column_a_frame() -> None:
    dark, light = np.zeros((4, 3, 1, 8, 8), np.uint8), np.full((4, 3, 1, 8, 8), 255, np.uint8)
    strip = np.asarray(Trajectory("ddim-3", (9, 5, 2, -1), dark, light).strip(columns=2))
    middle = strip[:, strip.shape[1] // 3]
    runs = [int(value) for value, before in zip(middle[1:], middle, strict=False) if value != before]
    assert [value for value in runs if value in (0, 255)] == [0, 255] * 3


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
@pytest.mark.parametrize("channels", [1, 3])
def test_an_animation_has_the_frames_and_holds_the_last(tmp_path: Path, suffix: str, channels: int) -> None:
    trajectory = record_sampler_trajectory(Grows(), DDPM(steps=6), (channels, 4, 4), range(3), seed=0)
    path = save_animation(list(trajectory.frames()), tmp_path / "new" / f"walk{suffix}", milliseconds=50, hold=1500)
    with Image.open(path) as animation:
        assert animation.n_frames == 7
        assert animation.info["loop"] == 0
        durations, shown = [], []
        for frame in range(7):
            animation.seek(frame)
            animation.load()
            durations.append(animation.info["duration"])
            shown.append(np.asarray(animation.convert("RGB")).astype(int))
    assert durations == [50] * 6 + [1500]
    wanted = [np.asarray(frame.convert("RGB")).astype(int) for frame in trajectory.frames()]
    for came, frame in zip(shown, wanted, strict=True):
        assert came.shape == frame.shape
        # WebP loses nothing; GIF has 256 colours
        assert np.abs(came - frame).mean() <= (0 if suffix == ".webp" or channels == 1 else 12)
    assert [path.name for path in path.parent.iterdir()] == [f"walk{suffix}"]


@pytest.mark.parametrize(
    ("sampler", "side"),
    [
        (DDIM(spacing=tuple(range(98, -1, -2))), 2),  # a label of 180 letters
        (
            DDIM(steps=7, eta=0.125, guidance_scale=2.5, guidance_interval=(90, 20), dynamic_threshold=0.995),
            460,
        ),  # a wide title
    ],
)
def test_frames_are_of_one_size_whatever_stands_above_them(tmp_path: Path, sampler: Sampler, side: int) -> None:
    frames = list(record_sampler_trajectory(Grows(), sampler, (1, side, side), [0], seed=0, frames=7).frames())
    assert len({frame.size for frame in frames}) == 1
    assert frames[0].width < 800
    path = save_animation(frames, tmp_path / "walk.webp")
    with Image.open(path) as moving:
        assert moving.size == frames[0].size
        assert getattr(moving, "n_frames", 1) == len(frames)
