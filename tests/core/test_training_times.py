from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from support.stop_at import StopAt
from support.tiny import tiny, write_prepared

from noisette import Events, train
from noisette.training.timestep_sampler import ImportanceTimestepSampler, TimestepSampler


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def informed(sizes: torch.Tensor) -> ImportanceTimestepSampler:
    """Return times that saw ten losses of these sizes at each step."""
    times = ImportanceTimestepSampler(len(sizes))
    for _ in range(10):
        times.update(torch.arange(len(sizes)), sizes)
    return times


def test_even_and_antithetic_steps() -> None:
    t, weight = TimestepSampler(1000).draw(20_000, generator())
    assert weight is None
    assert abs(float(t.double().mean()) - 499.5) < 5 * 289 / 20_000**0.5
    pairs, _ = TimestepSampler(1000, antithetic=True).draw(7, generator())
    assert torch.equal(pairs[:3] + pairs[4:], torch.full((3,), 999))


def test_importance_goes_by_the_root_of_the_mean_square() -> None:
    sizes = torch.tensor([1.0, 2.0, 4.0, 1.0])
    p = informed(sizes).probabilities()
    assert torch.allclose(p, 0.999 * sizes.double() / 8 + 0.001 / 4)
    t, _ = informed(sizes).draw(40_000, generator())
    counts = torch.bincount(t, minlength=4).double() / 40_000
    assert float((counts - p).abs().max()) < 0.01


def test_until_every_step_is_known_steps_are_even() -> None:
    times = ImportanceTimestepSampler(4)
    for _ in range(10):
        times.update(torch.tensor([0, 1, 2]), torch.tensor([9.0, 1.0, 1.0]))
    assert torch.equal(times.probabilities(), torch.full((4,), 0.25, dtype=torch.float64))
    assert float(informed(torch.tensor([9.0, 1, 1, 1])).probabilities()[0]) > 0.7  # control


@pytest.mark.slow
def test_the_weighted_mean_is_that_of_even_steps_with_less_noise() -> None:
    sizes = torch.linspace(0.01, 3, 50) ** 4
    even, important = ([], [])
    for seed in range(400):
        t, _ = TimestepSampler(50).draw(16, generator(seed))
        even.append(float(sizes[t].mean()))
        t, weight = informed(sizes).draw(16, generator(seed))
        important.append(float((sizes[t] * weight).mean()))
    a, b = torch.tensor(even), torch.tensor(important)
    assert float(b.mean()) == pytest.approx(float(sizes.mean()), rel=0.01)
    assert float(b.std()) < 0.1 * float(a.std())


def test_only_the_last_ten_losses_count_and_nan_never_does() -> None:
    times = informed(torch.tensor([100.0, 1.0]))
    for _ in range(10):
        times.update(torch.tensor([0, 0]), torch.tensor([1.0, float("nan")]))
    assert torch.allclose(times.probabilities(), torch.full((2,), 0.5, dtype=torch.float64))


def test_a_resumed_training_has_the_history(tmp_path: Path) -> None:
    """Ten steps at once, or six and then four: the same weights, where the steps hang on the losses before."""
    changes = [
        "training.timestep_sampler=importance",
        "timesteps=4",
        "training.batch_size=40",
        "training.checkpoint_every=6",
    ]
    changes += ["sampling.samplers=[ddim]", "sampling.samplers.0.steps=2"]
    straight = tiny(*changes, "training.steps=10", "name=straight")
    write_prepared(tmp_path, straight)
    whole = train(straight, tmp_path)
    history = load_file(whole.directory / "times.safetensors")
    assert int(history["counts"].sum()) == 400
    assert int(history["counts"].min()) > 20  # past the even phase

    parted = tmp_path / "parted"  # elsewhere, or what was trained straight would be found
    write_prepared(parted, straight)
    with pytest.raises(KeyboardInterrupt):
        train(straight, parted, events=Events([StopAt(7)]))
    again = train(straight, parted)
    for name in ("network", "ema", "optimizer", "times"):
        one, other = (load_file(c.directory / f"{name}.safetensors") for c in (whole, again))
        assert all(torch.equal(one[key], other[key]) for key in one), name
