"""`unet` and diffusers' UNet2DModel: the same weights give the same outputs, both ways."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from support.fixed_weights import fill_network, inputs
from support.tiny import tiny, write_prepared

from noisette import DataError, Experiment, StorageError, train
from noisette.diffusion.denoiser import Clipped
from noisette.exchange import export_checkpoint
from noisette.machine import Machine
from noisette.training import Model
from noisette_plugins.backbones import UNet
from noisette_plugins.backbones.exchange import export_unet, load_diffusers
from noisette_plugins.samplers import DDIM

diffusers = pytest.importorskip("diffusers")

TINY: dict[str, Any] = {
    "sample_size": 8,
    "block_out_channels": (16, 32),
    "layers_per_block": 1,
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
    "norm_num_groups": 8,
}
"""Beside these, diffusers' own defaults: cosines first, no shift, padded all round, heads of 8 channels."""

AS_GOOGLES: dict[str, Any] = {
    **TINY,
    "sample_size": (16, 8),
    "in_channels": 1,
    "out_channels": 2,
    "block_out_channels": (16, 16, 48),
    "layers_per_block": 2,
    "attention_head_dim": None,
    "freq_shift": 1,
    "flip_sin_to_cos": False,
    "downsample_padding": 0,
    "norm_eps": 1e-6,
    "down_block_types": ("AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "UpBlock2D", "AttnUpBlock2D"),
}
"""The settings of google/ddpm-cifar10-32, but for size and places of attention."""

WEIGHTS = "diffusion_pytorch_model.safetensors"

OLD_NAMES = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}


def theirs(**settings: Any) -> Any:
    return fill_network(diffusers.UNet2DModel(**settings))


def outputs(their: Any, our: torch.nn.Module, *, labels: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    size = their.config.sample_size
    x, t, label = inputs((their.config.in_channels, *((size, size) if isinstance(size, int) else size)))
    with torch.no_grad():
        return their(x, t, label if labels else None).sample, our(x, t, label if labels else None)


@pytest.mark.parametrize("settings", [TINY, AS_GOOGLES], ids=["diffusers-defaults", "as-google's"])
def test_their_weights_give_their_outputs(tmp_path: Path, settings: dict[str, Any]) -> None:
    their = theirs(**settings)
    diffusers.DDPMPipeline(their, diffusers.DDPMScheduler()).save_pretrained(tmp_path)
    pretrained = load_diffusers(UNet, tmp_path)
    expected, came = outputs(their, pretrained.network())
    torch.testing.assert_close(came, expected, atol=1e-5, rtol=0)
    assert expected.std() > 0.1
    assert pretrained.size == ((8, 8) if settings is TINY else (16, 8))


def test_the_first_layout_has_all_in_one_folder_and_other_names(tmp_path: Path) -> None:
    their = theirs(**AS_GOOGLES)
    their.save_pretrained(tmp_path)
    path = tmp_path / WEIGHTS
    renamed = load_file(path)
    for new, old in OLD_NAMES.items():
        renamed = {name.replace(f".{new}.", f".{old}."): tensor for name, tensor in renamed.items()}
    assert any(".proj_attn." in name for name in renamed)
    save_file(renamed, path)
    (tmp_path / "scheduler_config.json").write_text(json.dumps({"num_train_timesteps": 500}))
    pretrained = load_diffusers(UNet, tmp_path)
    expected, came = outputs(their, pretrained.network())
    torch.testing.assert_close(came, expected, atol=1e-5, rtol=0)
    assert pretrained.process["timesteps"] == 500


def test_googles_cifar_config_is_the_papers_network(tmp_path: Path) -> None:
    """The config.json of google/ddpm-cifar10-32, diffusers 0.0.4; its weights are in no package."""
    config = {
        "_class_name": "UNet2DModel", "_diffusers_version": "0.0.4", "act_fn": "silu", "attention_head_dim": None,
        "block_out_channels": [128, 256, 256, 256], "center_input_sample": False,
        "down_block_types": ["DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"],
        "downsample_padding": 0, "flip_sin_to_cos": False, "freq_shift": 1, "in_channels": 3, "layers_per_block": 2,
        "mid_block_scale_factor": 1, "norm_eps": 1e-06, "norm_num_groups": 32, "out_channels": 3, "sample_size": 32,
        "time_embedding_type": "positional",
        "up_block_types": ["UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"],
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    with torch.device("meta"):
        shapes = diffusers.UNet2DModel.from_config(config).state_dict()
    save_file({name: torch.zeros(tensor.shape) for name, tensor in shapes.items()}, tmp_path / WEIGHTS)
    assert load_diffusers(UNet, tmp_path).backbone == UNet()


def test_all_their_classes_are_classes_and_none_adds_nothing(tmp_path: Path) -> None:
    their = theirs(**TINY, num_class_embeds=4)
    their.save_pretrained(tmp_path)
    pretrained = load_diffusers(UNet, tmp_path)
    network = pretrained.network()
    expected, came = outputs(their, network, labels=True)
    torch.testing.assert_close(came, expected, atol=1e-5, rtol=0)
    assert pretrained.classes == 4
    x, t, _ = inputs((3, 8, 8))
    their.class_embedding = None
    with torch.no_grad():
        torch.testing.assert_close(network(x, t), their(x, t).sample, atol=1e-5, rtol=0)


EXPORTED = [
    pytest.param(UNet(channels=16, multipliers=(1, 2), blocks=1, groups=4), (3, 8, 8), 0, 6, id="paper's"),
    pytest.param(
        UNet(channels=16, multipliers=(1, 1), blocks=2, groups=8, heads=4, padding="around", time_shift=0),
        (1, 6, 10), 0, 1, id="heads",
    ),
    pytest.param(
        UNet(channels=16, multipliers=(1, 3), blocks=1, groups=4, attention=(0, 1), head_channels=8),
        (2, 8, 4), 3, 2, id="head-channels-labels",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("backbone", "shape", "classes", "channels"), EXPORTED)
def test_our_weights_give_our_outputs_there(
    tmp_path: Path, backbone: UNet, shape: tuple[int, int, int], classes: int, channels: int
) -> None:
    network = fill_network(backbone.build(shape, classes, channels))
    export_unet(network, backbone, shape, classes, tmp_path)
    their = diffusers.UNet2DModel.from_pretrained(tmp_path).eval()
    came, expected = outputs(their, network, labels=bool(classes))
    torch.testing.assert_close(came, expected, atol=1e-5, rtol=0)
    again = load_diffusers(UNet, tmp_path)
    assert (again.classes, again.in_channels, again.outputs, again.size) == (classes, shape[0], channels, shape[1:])
    assert all(torch.equal(tensor, again.state[name]) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize(
    ("options", "shape", "message"),
    [
        ({}, (1, 9, 8), "multiples of 2; the network is for 9x8"),
        ({"time_channels": 32}, (1, 8, 8), "time_channels 32"),
        ({"multipliers": (2, 2)}, (1, 8, 8), r"multipliers \[2, 2\]"),
        ({"heads": 2, "attention": (0,)}, (1, 8, 8), "2 heads at each level, of 8, 16 channels"),
    ],
)
def test_what_diffusers_cannot_say_is_not_exported(
    tmp_path: Path, options: dict[str, Any], shape: tuple[int, int, int], message: str
) -> None:
    backbone = UNet.model_validate({"channels": 16, "multipliers": (1, 2), "blocks": 1, "groups": 4, **options})
    with pytest.raises(DataError, match=message):
        export_unet(backbone.build(shape, 0, 1), backbone, shape, 0, tmp_path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return lambda *overrides: _train(tmp_path_factory.mktemp("runs"), tiny("training.steps=2", *overrides))


def _train(root: Path, experiment: Experiment) -> Any:
    write_prepared(root, experiment)
    return train(experiment, root)


def test_a_trained_model_is_sampled_by_diffusers(tmp_path: Path, trained: Any) -> None:
    checkpoint = trained("objective=v", "schedule=cosine")
    folder = export_checkpoint(checkpoint, tmp_path / "exported")
    pipeline = diffusers.DDPMPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    drawn = pipeline(
        batch_size=2, num_inference_steps=20, generator=torch.Generator().manual_seed(0), output_type="np"
    )
    assert drawn.images.shape == (2, 8, 8, 1)
    assert drawn.images.std() > 0.05
    assert pipeline.scheduler.config.prediction_type == "v_prediction"
    betas = tiny("schedule=cosine").schedule.betas(20).float()
    torch.testing.assert_close(pipeline.scheduler.betas, betas)


def test_diffusers_walk_over_the_exported_folder_is_ours(tmp_path: Path, trained: Any) -> None:
    """DDIM over all steps, from one start: network, betas, prediction and clipping all came across."""
    checkpoint = trained("objective=v", "schedule=cosine", "sampling.clip_x0=0.7", "training.steps=3")
    export_checkpoint(checkpoint, tmp_path / "exported")
    unet = diffusers.UNet2DModel.from_pretrained(tmp_path / "exported", subfolder="unet")
    scheduler = diffusers.DDIMScheduler.from_pretrained(tmp_path / "exported", subfolder="scheduler")
    scheduler.set_timesteps(20)
    start, _, _ = inputs((1, 8, 8))
    model = Model.load(checkpoint, machine=Machine.detect("fp32"))
    ours = list(DDIM(steps=20).trajectory(Clipped(model.denoiser(), 0.7), start, lambda: start))
    x = start
    with torch.no_grad():
        for t in scheduler.timesteps:
            x = scheduler.step(unet(x, t).sample, t, x, use_clipped_model_output=True).prev_sample
    torch.testing.assert_close(ours[-1], x, atol=1e-4, rtol=0)
    assert x.abs().max() <= 0.7 + 1e-4


def test_the_exported_process_reads_back(tmp_path: Path, trained: Any) -> None:
    folder = export_checkpoint(trained("sampling.clip_x0=2"), tmp_path / "exported")
    process = load_diffusers(UNet, folder).process
    again = tiny(*(f"{key}={json.dumps(value)}" for key, value in process.items() if key != "sampling"))
    torch.testing.assert_close(again.schedule.betas(20), tiny().schedule.betas(20))
    assert again.objective == tiny().objective
    assert process["sampling"] == {"clip_x0": 2.0}


def test_a_pipeline_overwrites_nothing(tmp_path: Path, trained: Any) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(StorageError, match="is not empty"):
        export_checkpoint(trained("seed=1"), tmp_path / "full")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full"]
