"""Folders of diffusers that `unet` cannot stand for, each refused with what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from noisette import DataError
from noisette_plugins.backbones import UNet
from noisette_plugins.backbones.exchange import export_unet, load_diffusers
from noisette_plugins.backbones.exchange.diffusers_folder import parse_scheduler, scheduler_config

WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that can be read; tests spoil it."""
    backbone = UNet(channels=8, multipliers=(1, 2), blocks=1, groups=4)
    export_unet(backbone.build((1, 8, 8), 0, 1), backbone, (1, 8, 8), 0, tmp_path)
    return tmp_path


def spoil(folder: Path, **settings: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **settings}))


def test_the_folder_itself_is_read(folder: Path) -> None:
    assert load_diffusers(UNet, folder).backbone == UNet(channels=8, multipliers=(1, 2), blocks=1, groups=4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"_class_name": "UNet2DConditionModel"}, "expected a UNet2DModel; came UNet2DConditionModel"),
        ({"act_fn": "gelu"}, "act_fn: expected 'silu', as unet has it; came 'gelu'"),
        ({"center_input_sample": True}, "center_input_sample: expected False"),
        ({"time_embedding_type": "fourier"}, "time_embedding_type: expected 'positional'"),
        ({"resnet_time_scale_shift": "scale_shift"}, "resnet_time_scale_shift"),
        ({"add_attention": False}, "add_attention: expected True"),
        ({"mid_block_type": None}, "mid_block_type"),
        ({"class_embed_type": "timestep"}, "class_embed_type: expected None"),
        ({"time_embedding_dim": 64}, "time_embedding_dim: expected 32; came 64"),
        ({"freq_shift": 2}, "freq_shift: Input should be less than or equal to 1; came '2'"),
        ({"block_out_channels": [8, 12]}, r"expected multiples of the first; came \[8, 12\]"),
        ({"block_out_channels": []}, "block_out_channels: Tuple should have at least 1 item"),
        ({"block_out_channels": "8, 16"}, "block_out_channels: Input should be a valid tuple; came '8, 16'"),
        ({"norm_num_groups": 3}, "unet cannot follow it: .*groups: expected a divisor"),
        ({"attention_head_dim": 3}, "head_channels: expected a divisor of level 1's 16 channels; got 3"),
        ({"down_block_types": ["DownBlock2D", "SkipDownBlock2D"]}, "expected DownBlock2D and AttnDownBlock2D"),
        ({"up_block_types": ["UpBlock2D", "AttnUpBlock2D"]}, "their mirror image"),
        ({"a_later_setting": 1}, "a_later_setting: unet knows no such setting"),
        ({"layers_per_block": 2}, "weights are missing or unknown: down_blocks.0.resnets.1"),
        ({"out_channels": 2}, r"leave.weight: expected \(2, 8, 3, 3\); got \(1, 8, 3, 3\)"),
    ],
)
def test_settings_it_cannot_follow(folder: Path, settings: dict[str, Any], message: str) -> None:
    spoil(folder, **settings)
    with pytest.raises(DataError, match=message):
        load_diffusers(UNet, folder)


def test_pickled_weights_are_not_read(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "diffusion_pytorch_model.bin")
    with pytest.raises(DataError, match=r"there is diffusion_pytorch_model.bin.*safe_serialization=True"):
        load_diffusers(UNet, folder)


def test_a_damaged_or_foreign_weight_is_named(folder: Path) -> None:
    weights = load_file(folder / WEIGHTS)
    save_file({**weights, "mid_block.extra.weight": torch.zeros(1)}, folder / WEIGHTS)
    with pytest.raises(DataError, match=r"1 weights are missing or unknown: mid_block\.extra\.weight"):
        load_diffusers(UNet, folder)
    (folder / WEIGHTS).write_bytes(b"not safetensors")
    with pytest.raises(DataError, match="cannot be read"):
        load_diffusers(UNet, folder)


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is missing; expected a folder that diffusers' save_pretrained wrote"):
        load_diffusers(UNet, tmp_path / "nowhere")
    (tmp_path / "config.json").write_text("[1]")
    with pytest.raises(DataError, match="expected a JSON object"):
        load_diffusers(UNet, tmp_path)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, {"name": "linear", "start": 1e-4, "end": 0.02, "scaled": False}),
        ({"beta_schedule": "squaredcos_cap_v2"}, {"name": "cosine"}),
        (
            {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012},
            {"name": "scaled-linear", "start": 0.00085, "end": 0.012},
        ),
        ({"trained_betas": [0.1, 0.2]}, {"name": "given", "values": [0.1, 0.2]}),
        (
            {"rescale_betas_zero_snr": True, "beta_schedule": "squaredcos_cap_v2"},
            {"name": "zero-terminal", "of": {"name": "cosine"}},
        ),
    ],
)
def test_schedules_by_their_names(config: dict[str, Any], expected: dict[str, Any]) -> None:
    assert parse_scheduler(config, Path("s.json"))["schedule"] == expected


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"beta_schedule": "laplace"}, "beta_schedule: expected one of linear, scaled_linear"),
        (
            {"prediction_type": "flow"},
            "prediction_type: expected one of epsilon, sample, v_prediction; came 'flow'",
        ),
        ({"variance_type": "learned_range"}, "a learned variance is not read"),
    ],
)
def test_processes_without_a_counterpart(config: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        parse_scheduler(config, Path("s.json"))


def test_an_objective_of_another_package_is_not_exported() -> None:
    with pytest.raises(DataError, match="no objective 'flow'; it has eps, x0, v"):
        scheduler_config(torch.tensor([0.1, 0.2]), "flow", 1.0)
