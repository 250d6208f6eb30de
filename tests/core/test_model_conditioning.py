"""Self-conditioning and super-resolution: what networks are shown beside x_t, in training and in sampling."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.tiny import tiny, write_prepared
from torch import Tensor, nn

from noisette import DataError, Model, NetworkDenoiser, sample, train
from noisette.config import Experiment
from noisette.data import Prepared
from noisette.layout import data_directory
from noisette.model.conditioning import Conditioning, downsample, scaled_size, upsample
from noisette.sampling.loop import generate, load_low_res
from noisette.training.batches import Batches
from noisette_plugins.objectives import X0
from noisette_plugins.samplers import DDIM
from noisette_plugins.schedules import Linear

SHOWN = ["training.self_condition=true", "training.low_res_size=4", "sampling.samplers=[ddim]"]
T100 = Linear().process(100)


class Echo(nn.Module):
    """Says 3 times the mean of all further channels, plus 1; keeps what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[Tensor] = []

    def forward(self, x: Tensor, t: Tensor, label: Tensor | None) -> Tensor:
        self.shown.append(x)
        return 3 * x[:, 1:].mean(dim=1, keepdim=True) + 1


def test_a_walk_shows_the_network_its_last_view() -> None:
    network = Echo()
    denoise = NetworkDenoiser(network, X0(), T100, self_condition=True)
    list(DDIM(steps=3).trajectory(denoise, torch.zeros(2, 1, 4, 4), lambda: None))  # type: ignore[arg-type]
    seen = [float(x[:, 1].mean()) for x in network.shown]
    assert seen == [0.0, 1.0, 1.0]  # zeros first, then its own 1 and 4, within [-1, 1]


def test_small_images_are_means_in_256_levels() -> None:
    x0 = torch.rand(2, 3, 8, 12, generator=torch.Generator().manual_seed(0)) * 2 - 1
    small = downsample(x0, 4)
    assert small.shape == (2, 3, 4, 6) == (2, 3, *scaled_size((8, 12), 4))
    exact = x0.view(2, 3, 4, 2, 6, 2).mean(dim=(3, 5))
    assert float((small - exact).abs().max()) <= 0.5 / 127.5 + 1e-6
    assert torch.equal(((small + 1) * 127.5).round(), ((small + 1) * 127.5).round().clamp(0, 255))
    large = upsample(small, (8, 12))
    assert large.shape == x0.shape
    assert float((downsample(large, 4) - small).abs().mean()) < 0.1


def test_batches_show_small_versions_of_their_own_images(tmp_path: Path) -> None:
    experiment = tiny(*SHOWN, "training.random_flip=true")
    write_prepared(tmp_path, experiment)
    data = Prepared.open(data_directory(experiment, tmp_path))
    batch = Batches(experiment, data)[3]
    assert torch.equal(batch.low_res, upsample(downsample(batch.x0, 4), (8, 8)))
    twice = [Batches(experiment, data)[step].self_condition for step in range(40)]
    assert 8 < sum(twice) < 32
    plain = tiny("training.random_flip=true")
    same = Batches(plain, data)[3]
    assert torch.equal(same.x0, batch.x0)  # what they draw does not move what others drew
    assert torch.equal(same.eps, batch.eps)
    assert (same.low_res, same.self_condition) == (None, False)


@pytest.mark.parametrize("shown", [SHOWN[:1], SHOWN[1:2], SHOWN[:2]], ids=["self", "small", "both"])
def test_training_and_sampling_with_them(tmp_path: Path, shown: list[str]) -> None:
    experiment = tiny(*shown, "training.preview_every=6", "sampling.samplers=[ddim]", "sampling.samplers.0.steps=4")
    write_prepared(tmp_path, experiment)
    checkpoint = train(experiment, tmp_path)
    sampler = experiment.sampling.samplers[0]
    samples = sample(experiment, checkpoint, sampler, tmp_path)
    assert samples.images.shape == (6, 1, 8, 8)
    assert samples.images.std() > 0


@pytest.mark.slow
def test_a_trained_network_heeds_its_small_image(tmp_path: Path) -> None:
    experiment = tiny(*SHOWN, "training.steps=150", "objective=x0", "training.self_condition=false")
    write_prepared(tmp_path, experiment, images=200)
    model = Model.load(train(experiment, tmp_path), ema=False)
    data = Prepared.open(data_directory(experiment, tmp_path))
    low_res = load_low_res(model, data, range(16))
    drawn = generate(
        model.denoiser(low_res=low_res), DDIM(steps=5), model.shape, range(16), 0, model.machine.device
    )
    apart = (downsample(drawn, 4) - downsample(low_res, 4)).abs().mean()
    control = (downsample(drawn, 4) - downsample(low_res, 4).roll(1, 0)).abs().mean()
    assert float(apart) < 0.5 * float(control)


def test_what_cannot_be_shown_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"fewer pixels than the images' 8; got 8"):
        Conditioning(low_res_size=8).shape((1, 8, 9))
    assert Conditioning(True, 4).shape((3, 8, 9)) == (9, 8, 9)
    experiment = tiny(*SHOWN)
    write_prepared(tmp_path, experiment)
    model = Model.load(train(experiment, tmp_path))
    with pytest.raises(DataError, match="small images of 4 pixels: expected them"):
        model.denoiser()
    with pytest.raises(DataError, match="test split; got none"):
        load_low_res(model, None, range(2))


def test_options_of_old_checkpoints_are_none() -> None:
    assert Conditioning.of({"steps": 3}) == Conditioning()
    assert (
        Conditioning.of(Experiment.parse({"name": "x", "dataset": "digits"}).training.model_dump())
        == Conditioning()
    )
