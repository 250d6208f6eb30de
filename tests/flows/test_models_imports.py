"""What other libraries trained, the whole way: imported, drawn from with every built-in sampler, evaluated."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import yaml
from support.fixed_weights import fill_state
from torch import Tensor
from typer.testing import CliRunner

from noisette import Experiment, NoisetteError, evaluate, prepare, registry, sample, train
from noisette_flows.cli import app
from noisette_plugins.backbones.exchange import load_lucidrains
from noisette_plugins.backbones.linear_attention_unet import LinearAttentionUNet
from noisette_plugins.backbones.unet import UNet
from noisette_plugins.schedules import Cosine, Linear, Sigmoid

NAMES = Path(__file__).parents[1] / "golden" / "lucidrains_unet.txt"
"""State of Unet(dim=8, dim_mults=(1, 2), attn_heads=2, attn_dim_head=4) at commit faed4db of the library."""

HUB = {
    "_class_name": "UNet2DModel",
    "_diffusers_version": "0.1.1",
    "act_fn": "silu",
    "attention_head_dim": None,
    "block_out_channels": [128, 256, 256, 256],
    "center_input_sample": False,
    "down_block_types": ["DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"],
    "downsample_padding": 0,
    "flip_sin_to_cos": False,
    "freq_shift": 1,
    "in_channels": 3,
    "layers_per_block": 2,
    "mid_block_scale_factor": 1,
    "norm_eps": 1e-06,
    "norm_num_groups": 32,
    "out_channels": 3,
    "sample_size": 32,
    "time_embedding_type": "positional",
    "up_block_types": ["UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"],
}
"""config.json of google/ddpm-cifar10-32."""

SCHEDULER = {
    "_class_name": "DDPMScheduler",
    "_diffusers_version": "0.1.1",
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "beta_start": 0.0001,
    "clip_sample": True,
    "num_train_timesteps": 1000,
    "trained_betas": None,
    "variance_type": "fixed_large",
}

SAMPLERS = ["ddim", "ddpm", "dpmpp-2m", "heun", "pndm", "unipc"]
CHEAP = [f"sampling.samplers.{place}.steps={4 if name == 'pndm' else 2}" for place, name in enumerate(SAMPLERS)]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of its own, in which commands are called."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def called(*words: str) -> str:
    done = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def hub_folder(folder: Path, channels: list[int], groups: int) -> Path:
    """Write the layout of google/ddpm-cifar10-32, everything in one folder, with weights of `channels`."""
    from diffusers import UNet2DModel
    from safetensors.torch import save_file

    config = {**HUB, "block_out_channels": channels, "norm_num_groups": groups}
    network = UNet2DModel.from_config(config)
    fill_state(network.state_dict())
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "scheduler_config.json").write_text(json.dumps(SCHEDULER))
    index = {"_class_name": "DDPMPipeline", "scheduler": ["diffusers", "DDPMScheduler"]}
    (folder / "model_index.json").write_text(json.dumps({**index, "unet": ["diffusers", "UNet2DModel"]}))
    save_file(network.state_dict(), folder / "diffusion_pytorch_model.safetensors", metadata={"format": "pt"})
    return folder


def trainers_file(path: Path, betas: Tensor, weight: Tensor | None = None) -> Path:
    """Write what the library's Trainer saves, of its network in golden/ and a process."""
    lines = [line.split() for line in NAMES.read_text().splitlines()]
    state = fill_state({name: torch.empty([int(side) for side in shape]) for name, *shape in lines})
    tables = {"betas": betas.float()} | ({} if weight is None else {"loss_weight": weight.float()})
    model = tables | {f"model.{name}": tensor for name, tensor in state.items()}
    torch.save(
        {"step": 1, "model": model, "ema": {f"ema_model.{name}": value for name, value in model.items()}}, path
    )
    return path


def weights_of(betas: Tensor, objective: str, bound: float = float("inf")) -> Tensor:
    """Return `loss_weight` as the library's GaussianDiffusion computes it."""
    signal = (1 - betas).cumprod(0)
    snr = signal / (1 - signal)
    bounded = snr.clamp(max=bound)
    return {"eps": bounded / snr, "x0": bounded, "v": bounded / (snr + 1)}[objective]


def everything(config: str) -> dict[str, dict[str, float]]:
    """Prepare, sample and evaluate what was imported; return the results by row."""
    experiment = Experiment.load(config)
    prepare(experiment)
    checkpoint = train(experiment)
    assert checkpoint.about["imported"]
    report = evaluate(experiment, [sample(experiment, checkpoint, each) for each in experiment.sampling.samplers])
    assert report.directory.is_relative_to("runs")
    return {row.label: {name: found.value for name, found in row.results.items()} for row in report.rows}


@pytest.mark.slow
def test_a_ddpm_of_the_hub_is_drawn_from_with_every_sampler_and_evaluated(place: Path) -> None:
    hub_folder(place / "ddpm-cifar10-32", [8, 16, 16, 16], 4)
    settings = ["preparation.limit=12", "sampling.num_images=4", *CHEAP]
    changes = [word for setting in settings for word in ("--set", setting)]
    said = called("import", "ddpm-cifar10-32", "--data", "digits", "--to", "cifar.yaml", *changes)
    assert "cifar.yaml: from ddpm-cifar10-32: backbone, objective, schedule, timesteps\n" in said
    config = yaml.safe_load((place / "cifar.yaml").read_text())
    assert (config["dataset"], config["preparation"]) == ("digits", {"limit": 12, "size": 32, "channels": 3})
    rows = everything("cifar.yaml")
    assert {label.rsplit("-", 1)[0] for label in rows} >= {*SAMPLERS}
    assert all(results for results in rows.values())


@pytest.mark.slow
def test_a_trainers_file_is_drawn_from_and_evaluated_with_its_own_process(place: Path) -> None:
    betas = Sigmoid().betas(1000)
    trainers_file(place / "model-7.pt", betas, weights_of(betas, "v"))
    base = {"dataset": "digits", "preparation": {"size": 8, "channels": 3, "limit": 12}}
    samplers = [{"name": name, "steps": 4 if name == "pndm" else 2} for name in SAMPLERS]
    (place / "base.yaml").write_text(yaml.safe_dump({**base, "sampling": {"num_images": 4, "samplers": samplers}}))
    said = called("import", "model-7.pt", "base.yaml", "--to", "seven.yaml")
    assert "backbone, objective, schedule, timesteps; the rest from base.yaml" in said
    config = yaml.safe_load((place / "seven.yaml").read_text())
    assert (config["schedule"], config["objective"], config["timesteps"]) == ({"name": "sigmoid"}, "v", 1000)
    assert {label.rsplit("-", 1)[0] for label in everything("seven.yaml")} >= {*SAMPLERS}


def test_without_a_config_every_sampler_is_asked_for(place: Path) -> None:
    assert sorted(found.plugin.name for found in registry().of_kind("sampler")) == SAMPLERS
    hub_folder(place / "tiny", [8, 16, 16, 16], 4)
    (place / "mine").mkdir()
    called("import", "tiny", "--data", "mine", "--to", "tiny.yaml")
    config = yaml.safe_load((place / "tiny.yaml").read_text())
    assert config["dataset"] == {"name": "image-folder", "path": "mine"}
    assert sorted(sampler["name"] for sampler in config["sampling"]["samplers"]) == SAMPLERS
    done = CliRunner().invoke(app, ["import", "tiny", "--to", "other.yaml"])
    assert isinstance(done.exception, NoisetteError)
    assert "a CONFIG with a dataset, or --data" in str(done.exception)
    assert not (place / "other.yaml").exists()


def test_the_published_network_has_the_papers_size(tmp_path: Path) -> None:
    from diffusers import UNet2DModel

    from noisette_plugins.backbones.exchange.diffusers_unet import parse_unet

    backbone, _ = parse_unet(UNet, HUB, tmp_path)
    with torch.device("meta"):
        ours, theirs = backbone.build((3, 32, 32), 0, 3), UNet2DModel.from_config(HUB)
    counts = [sum(weight.numel() for weight in network.parameters()) for network in (ours, theirs)]
    assert counts == [35_746_307, 35_746_307]


@pytest.mark.parametrize("schedule", [Linear(), Cosine(), Sigmoid()], ids=lambda schedule: schedule.name)
@pytest.mark.parametrize("objective", ["eps", "x0", "v"])
@pytest.mark.parametrize("bound", [float("inf"), 5.0])
def test_schedule_and_objective_follow_from_the_tables(tmp_path: Path, schedule, objective, bound) -> None:
    betas = schedule.betas(1000)
    path = trainers_file(tmp_path / "model-1.pt", betas, weights_of(betas, objective, bound))
    expected = {"schedule": {"name": schedule.name}, "timesteps": 1000, "objective": objective}
    assert load_lucidrains(LinearAttentionUNet, path).process == expected


def test_other_betas_are_kept_as_they_are_and_damaged_tables_refused(tmp_path: Path) -> None:
    betas = torch.linspace(0.01, 0.3, 50).double()
    process = load_lucidrains(LinearAttentionUNet, trainers_file(tmp_path / "a.pt", betas)).process
    assert (process["schedule"]["name"], process["timesteps"]) == ("given", 50)
    assert process["schedule"]["values"] == pytest.approx(betas.tolist())
    assert "objective" not in process  # nothing says it
    with pytest.raises(NoisetteError, match="betas: expected variances within 0 and 1"):
        load_lucidrains(LinearAttentionUNet, trainers_file(tmp_path / "b.pt", torch.zeros(5)))
    with pytest.raises(NoisetteError, match="loss_weight: expected that of eps, x0 or v"):
        load_lucidrains(LinearAttentionUNet, trainers_file(tmp_path / "c.pt", betas, torch.linspace(0, 1, 50)))
