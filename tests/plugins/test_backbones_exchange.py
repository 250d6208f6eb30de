"""Trained models to diffusers and back, as `noisette export` and `noisette import` do it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from support.tiny import TINY, tiny, write_prepared

from noisette import CheckpointError, DataError, Experiment, find_checkpoint, sample, train
from noisette.checkpoint import Checkpoint
from noisette.diffusion.denoiser import Clipped
from noisette.exchange import export_checkpoint, import_checkpoint, import_pretrained, make_imported_config
from noisette.machine import Machine
from noisette.training import Model
from noisette_plugins.backbones import LinearAttentionUNet, UNet
from noisette_plugins.samplers import DDIM, DDPM

diffusers = pytest.importorskip("diffusers")

CLOSE = {"atol": 2e-4, "rtol": 0}
"""Float32 over 20 steps that feed on one another; images are 2 wide."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Any:
    def run(*overrides: str) -> Checkpoint:
        experiment, root = tiny(*overrides), tmp_path_factory.mktemp("runs")
        write_prepared(root, experiment)
        return train(experiment, root)

    return run


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(7)


def drawn_by(kind: str, folder: Path, eta: float = 0.0) -> torch.Tensor:
    """Let a pipeline of diffusers draw two images in 20 steps, (2, 1, 8, 8) within [-1, 1]."""
    pipeline = diffusers.DDPMPipeline.from_pretrained(folder)
    options: dict[str, Any] = {}
    if kind == "ddim":
        scheduler = diffusers.DDIMScheduler.from_config(pipeline.scheduler.config, set_alpha_to_one=True)
        pipeline = diffusers.DDIMPipeline(pipeline.unet, scheduler)
        options = {"eta": eta, "use_clipped_model_output": True}
    pipeline.set_progress_bar_config(disable=True)
    images = pipeline(
        batch_size=2, num_inference_steps=20, generator=generator(), output_type="np", **options
    ).images
    return torch.from_numpy(images).permute(0, 3, 1, 2) * 2 - 1


def drawn_here(checkpoint: Checkpoint, sampler: DDIM | DDPM, label: int | None) -> torch.Tensor:
    """Draw with our sampler from the same numbers of torch's generator."""
    numbers = generator()

    def noise() -> torch.Tensor:
        return torch.randn(2, 1, 8, 8, generator=numbers)

    model = Model.load(checkpoint, machine=Machine.detect("fp32"))
    labels = None if label is None else torch.full((2,), label)
    denoise = Clipped(model.denoiser(labels), checkpoint.about["experiment"]["sampling"]["clip_x0"])
    return list(sampler.trajectory(denoise, noise(), noise))[-1].clamp(-1, 1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("overrides", "label"),
    [
        (["objective=v", "schedule=cosine"], None),
        (["objective=eps"], None),
        (["objective=x0", "training.class_conditional=true"], None),
        (["objective=v", "training.class_conditional=true", "sampling.clip_x0=0.8"], "5"),
    ],
    ids=str,
)
def test_diffusers_draws_our_images_from_the_same_noise(
    tmp_path: Path, trained: Any, overrides: list[str], label: str | None
) -> None:
    checkpoint = trained(*overrides)
    folder = export_checkpoint(checkpoint, tmp_path / "exported", label)
    ddpm = drawn_here(checkpoint, DDPM(steps=20), None if label is None else int(label))
    ddim = drawn_here(checkpoint, DDIM(steps=20), None if label is None else int(label))
    torch.testing.assert_close(drawn_by("ddpm", folder), ddpm, **CLOSE)
    torch.testing.assert_close(drawn_by("ddim", folder), ddim, **CLOSE)
    assert not torch.allclose(ddpm, ddim, atol=1e-3)  # control: the tolerance tells walks apart
    assert ddpm.std() > 0.1
    if label is not None:  # control: the label is in the folder
        other = drawn_here(checkpoint, DDPM(steps=20), 2)
        assert not torch.allclose(ddpm, other, atol=1e-3)


def test_what_diffusers_cannot_say_is_refused_in_words(tmp_path: Path, trained: Any) -> None:
    labelled = ["training.class_conditional=true"]
    for overrides, label, message in (
        ([], "3", "class '3': the network knows no classes: it was trained without labels"),
        (labelled, "9", "class '9': the network knows 0, 1, 2, 3"),
        ([*labelled, "training.class_dropout=0"], None, r"class_dropout=0\): give a class, one of 0, 1"),
        (["training.self_condition=true"], None, "shows a network the noisy image alone"),
        (["objective={name: eps, bound: hybrid}"], None, "a learned variance .* is not exported"),
        (["backbone={name: small, channels: 16}"], None, "backbone small cannot be exported to another library"),
    ):
        checkpoint = trained("training.steps=1", *overrides)
        with pytest.raises(DataError, match=message):
            export_checkpoint(checkpoint, tmp_path / "exported", label)
    assert not list(tmp_path.iterdir())


def imported(folder: Path, root: Path, **config: Any) -> tuple[Experiment, Checkpoint]:
    pretrained = import_pretrained(folder)
    experiment = Experiment.parse(make_imported_config(pretrained, {**TINY, **config}, "imported"))
    return experiment, import_checkpoint(pretrained, experiment, root)


def test_a_model_that_left_and_came_back_draws_the_same_images(tmp_path: Path, trained: Any) -> None:
    checkpoint = trained("objective=v", "schedule=cosine", "sampling.clip_x0=2")
    export_checkpoint(checkpoint, tmp_path / "exported")
    experiment, again = imported(tmp_path / "exported", tmp_path / "runs")
    assert experiment.schedule == tiny("schedule=cosine").schedule  # by its name, not as 20 betas
    assert experiment.objective == tiny("objective=v").objective
    assert experiment.sampling.clip_x0 == 2
    assert again.about["imported"] == str(tmp_path / "exported" / "unet")
    before = sample(tiny("sampling.clip_x0=2"), checkpoint, DDPM(steps=20), tmp_path)
    after = sample(experiment, again, DDPM(steps=20), tmp_path)
    assert np.abs(before.images.astype(int) - after.images).max() <= 1
    assert before.images.std() > 20


def test_an_imported_model_is_found_as_any_other_and_is_not_trained(tmp_path: Path, trained: Any) -> None:
    export_checkpoint(trained(), tmp_path / "exported")
    experiment, checkpoint = imported(tmp_path / "exported", tmp_path / "runs")
    assert train(experiment, tmp_path / "runs") == checkpoint
    assert find_checkpoint(checkpoint.directory.parent.parent) == checkpoint
    with pytest.raises(
        CheckpointError, match=r"training\.steps=0 stands for an imported network, and there is none"
    ):
        train(experiment, tmp_path / "elsewhere")


def test_training_goes_on_from_an_imported_model(tmp_path: Path, trained: Any) -> None:
    export_checkpoint(trained(), tmp_path / "exported")
    experiment = Experiment.parse(make_imported_config(import_pretrained(tmp_path / "exported"), TINY, "imported"))
    write_prepared(tmp_path, experiment)
    _, checkpoint = imported(tmp_path / "exported", tmp_path)
    further = Experiment.parse(
        {**experiment.options(), "training": {**experiment.options()["training"], "steps": 1}}
    )
    after = train(further, tmp_path)
    weights = [Model.load(one, ema=False).network.state_dict() for one in (checkpoint, after)]
    moved = max(float((weights[1][name] - tensor).abs().max()) for name, tensor in weights[0].items())
    assert 0 < moved < 1.01e-3  # one step of Adam at 1e-3; other weights would be far away


def test_a_labelled_folder_keeps_its_classes(tmp_path: Path) -> None:
    their = diffusers.UNet2DModel(
        sample_size=8, in_channels=1, out_channels=1, num_class_embeds=3, block_out_channels=(16, 32),
        layers_per_block=1, down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"), norm_num_groups=8,
    )  # fmt: skip
    their.save_pretrained(tmp_path / "theirs")
    experiment, checkpoint = imported(tmp_path / "theirs", tmp_path / "runs")
    assert experiment.training.class_conditional
    model = Model.load(checkpoint)
    assert model.classes == ("0", "1", "2")
    x, t, label = torch.randn(3, 1, 8, 8, generator=generator()), torch.tensor([0, 7, 19]), torch.tensor([2, 0, 1])
    with torch.no_grad():
        torch.testing.assert_close(model.network(x, t, label), their.eval()(x, t, label).sample, atol=1e-5, rtol=0)


def test_the_librarys_file_needs_the_size_of_its_images(tmp_path: Path) -> None:
    backbone = LinearAttentionUNet(channels=8, multipliers=(1, 2), heads=2, head_channels=4)
    names = Path(__file__).parents[1] / "golden" / "lucidrains_unet.txt"
    lines = [line.split() for line in names.read_text().splitlines()]
    save_file({name: torch.zeros([int(n) for n in shape]) for name, *shape in lines}, tmp_path / "unet.safetensors")
    pretrained = import_pretrained(tmp_path / "unet.safetensors")
    assert isinstance(pretrained.backbone, type(backbone))
    with pytest.raises(DataError, match=r"the size of its images is unknown: set preparation\.size"):
        imported(tmp_path / "unet.safetensors", tmp_path)
    experiment, checkpoint = imported(tmp_path / "unet.safetensors", tmp_path, preparation={"size": 16})
    assert checkpoint.about["shape"] == [3, 16, 16]
    assert experiment.preparation.channels == 3
    assert experiment.schedule == tiny().schedule  # the file says nothing of the process: the config does


def test_what_no_backbone_can_read_is_refused_in_words(tmp_path: Path, trained: Any) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "strange.pt").write_bytes(b"no tensors")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text(json.dumps({"_class_name": "UNet2DConditionModel"}))
    for name, message in (
        ("nowhere", "there is no such file or folder"),
        ("folder", "no installed backbone supports it"),
        ("strange.pt", "expected an archive of tensors alone"),
        ("other", "expected a UNet2DModel; came UNet2DConditionModel"),
    ):
        with pytest.raises(DataError, match=message):
            import_pretrained(tmp_path / name)
    export_checkpoint(trained(), tmp_path / "exported")
    with pytest.raises(DataError, match="expected 2 output channels for the objective eps; got 1"):
        pretrained = import_pretrained(tmp_path / "exported")
        config = make_imported_config(pretrained, TINY, "imported") | {
            "objective": {"name": "eps", "bound": "hybrid"}
        }
        import_checkpoint(pretrained, Experiment.parse(config), tmp_path)
    assert isinstance(pretrained.backbone, UNet)
