"""Checkpoints of denoising-diffusion-pytorch, made by hand from the names and shapes of its own network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from support.fixed_weights import digest, fill_state, inputs
from torch import Tensor

from noisette import DataError
from noisette_plugins.backbones import LinearAttentionUNet
from noisette_plugins.backbones.exchange import load_lucidrains

NAMES = Path(__file__).parents[1] / "golden" / "lucidrains_unet.txt"
"""State of Unet(dim=8, dim_mults=(1, 2), attn_heads=2, attn_dim_head=4) at commit faed4db of the library."""

GOLDEN = [-0.066055, 0.204018, -0.284935, -0.039657, -0.32935, -0.05023, -0.365843, -0.085635]
"""What that network said for `inputs((3, 8, 12))`, filled as here; see test_backbones_golden for the columns."""


def theirs() -> dict[str, Tensor]:
    lines = [line.split() for line in NAMES.read_text().splitlines()]
    return fill_state({name: torch.empty([int(side) for side in shape]) for name, *shape in lines})


def trainers(state: dict[str, Tensor], averaged: dict[str, Tensor]) -> dict[str, Any]:
    """Return what the library's Trainer saves: the network inside its process, the EMA, and more."""
    inside = {f"model.{name}": tensor for name, tensor in state.items()}
    ema = {f"ema_model.model.{name}": tensor for name, tensor in averaged.items()}
    return {
        "step": 700,
        "model": {"betas": torch.full((5,), 0.1), **inside},
        "opt": {"state": {}, "param_groups": [{"lr": 8e-5, "betas": (0.9, 0.99)}]},
        "ema": {"initted": torch.tensor(True), "step": torch.tensor(700), "ema_model.betas": torch.zeros(5), **ema},
        "scaler": None,
        "version": "2.3.1",
    }


def said(path: Path, **options: bool) -> list[float]:
    x, t, _ = inputs((3, 8, 12))
    with torch.no_grad():
        return digest(load_lucidrains(LinearAttentionUNet, path, **options).network((8, 12))(x, t))


def test_its_weights_give_its_outputs(tmp_path: Path) -> None:
    save_file(theirs(), tmp_path / "unet.safetensors")
    assert said(tmp_path / "unet.safetensors") == pytest.approx(GOLDEN, abs=2e-5)
    expected = LinearAttentionUNet(
        channels=8, multipliers=(1, 2), full_attention=(1,), heads=2, head_channels=4, memory=4
    )
    assert load_lucidrains(LinearAttentionUNet, tmp_path / "unet.safetensors").backbone == expected


def test_the_trainers_file_gives_the_averaged_weights_or_its_own(tmp_path: Path) -> None:
    state = theirs()
    torch.save(trainers({name: 2 * tensor for name, tensor in state.items()}, state), tmp_path / "model-7.pt")
    assert said(tmp_path / "model-7.pt") == pytest.approx(GOLDEN, abs=2e-5)
    assert said(tmp_path / "model-7.pt", ema=False) != pytest.approx(GOLDEN, abs=1e-2)


def test_learned_rates_are_found(tmp_path: Path) -> None:
    state = theirs() | {"time_mlp.0.weights": torch.ones(6), "time_mlp.1.weight": torch.ones(32, 13)}
    save_file(state, tmp_path / "unet.safetensors")
    backbone = load_lucidrains(LinearAttentionUNet, tmp_path / "unet.safetensors").backbone
    assert (backbone.time, backbone.time_waves) == ("learned", 6)


def without(state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key: tensor for key, tensor in state.items() if key != name}


@pytest.mark.parametrize(
    ("spoilt", "message"),
    [
        (lambda state: without(state, "init_conv.weight"), "there is no init_conv.weight in it"),
        (lambda state: without(state, "mid_attn.mem_kv"), "is not like the library's Unet of today: .*memory"),
        (lambda state: without(state, "downs.0.0.mlp.1.bias"), "1 weights do not fit"),
        (lambda state: state | {"downs.0.4.weight": torch.ones(1)}, "downs.0.4.weight"),
        (lambda state: state | {"init_conv.weight": torch.ones(8, 6, 7, 7)}, "takes 6 channels and gives 3"),
    ],
)
def test_other_networks_are_refused(tmp_path: Path, spoilt: Any, message: str) -> None:
    save_file(spoilt(theirs()), tmp_path / "unet.safetensors")
    with pytest.raises(DataError, match=message):
        load_lucidrains(LinearAttentionUNet, tmp_path / "unet.safetensors")


class Trap:
    """Pickled code: it would run when a careless reader loads it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("trap-was-sprung"),))


def test_pickled_code_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"model": Trap()}, tmp_path / "model-1.pt")
    with pytest.raises(DataError, match="expected an archive of tensors alone"):
        load_lucidrains(LinearAttentionUNet, tmp_path / "model-1.pt")
    assert not Path("trap-was-sprung").exists()
    torch.load(tmp_path / "model-1.pt", weights_only=False)  # the control: careless reading springs it
    assert Path("trap-was-sprung").exists()


@pytest.mark.parametrize(("content", "message"), [(b"", "damaged"), (b"hello", "damaged"), (None, "is missing")])
def test_damaged_files(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "model-1.pt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        load_lucidrains(LinearAttentionUNet, path)


def test_its_size_must_be_given(tmp_path: Path) -> None:
    save_file(theirs(), tmp_path / "unet.safetensors")
    with pytest.raises(DataError, match="expected a size of images, as it defines none"):
        load_lucidrains(LinearAttentionUNet, tmp_path / "unet.safetensors").network()
