"""Networks of strangers, made to break the import: each is read or refused in one message, in bounded memory."""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from support.fixed_weights import fill_state
from support.tiny import TINY

from noisette import DataError, Experiment, NoisetteError
from noisette.exchange import import_pretrained, make_imported_config
from noisette_plugins.backbones import LinearAttentionUNet, UNet
from noisette_plugins.backbones.exchange import export_unet

NAMES = Path(__file__).parents[1] / "golden" / "lucidrains_unet.txt"

WEIGHTS = "diffusion_pytorch_model.safetensors"

JUNK: list[Any] = [
    None,
    True,
    -1,
    0,
    10**7,
    10**400,
    1e308,
    math.nan,
    math.inf,
    "",
    "x" * 100_000,
    [],
    [[]],
    [1, "a"],
    ["a"] * 5000,
    [8] * 5000,
    {},
    {"a": [1]},
]

SCHEDULER = {
    "_class_name": "DDPMScheduler",
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "beta_start": 1e-4,
    "clip_sample": True,
    "clip_sample_range": 1.0,
    "num_train_timesteps": 50,
    "prediction_type": "epsilon",
    "rescale_betas_zero_snr": False,
    "trained_betas": None,
    "variance_type": "fixed_small",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A network that is imported as it is; tests spoil it."""
    backbone = UNet(channels=8, multipliers=(1, 2), blocks=1, groups=4)
    export_unet(backbone.build((1, 8, 8), 3, 1), backbone, (1, 8, 8), 3, tmp_path)
    (tmp_path / "scheduler_config.json").write_text(json.dumps(SCHEDULER))
    return tmp_path


def imported(path: Path) -> Experiment:
    return Experiment.parse(make_imported_config(import_pretrained(path), TINY, "imported"))


def test_the_network_itself_is_imported(folder: Path) -> None:
    assert imported(folder).timesteps == 50


@pytest.mark.slow
@pytest.mark.parametrize("file", ["config.json", "scheduler_config.json"])
def test_no_value_of_a_config_is_a_bug(folder: Path, file: str) -> None:
    config, refused = json.loads((folder / file).read_text()), list[str]()
    for key in config:
        for value in JUNK:
            (folder / file).write_text(json.dumps({**config, key: value}))
            try:
                imported(folder)
            except NoisetteError as error:
                refused.append(str(error))
    assert len(refused) > 5 * len(config)
    assert max(map(len, refused)) < 2_000


@pytest.mark.parametrize("content", ["[" * 500_000, '{"a":' * 500_000, "[]", "{", "\x00", "null"])
def test_what_is_no_config_is_refused(folder: Path, content: str) -> None:
    (folder / "config.json").write_text(content)
    with pytest.raises(DataError, match=r"config\.json: "):
        import_pretrained(folder)


def test_the_weights_are_counted_before_a_network_is_built(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "layers_per_block": 100}))
    with pytest.raises(DataError, match="weights are too few for 200 blocks"):
        import_pretrained(folder)


def weights() -> dict[str, torch.Tensor]:
    lines = [line.split() for line in NAMES.read_text().splitlines()]
    return fill_state({name: torch.empty([int(side) for side in shape]) for name, *shape in lines})


def of_one_dimension(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {**state, "mid_attn.mem_kv": torch.zeros(4)}


def of_no_dimension(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {**state, "time_mlp.1.bias": torch.tensor(1.0)}


def complex_numbers(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {**state, "init_conv.weight": torch.zeros(8, 3, 7, 7, dtype=torch.complex64)}


def expanded(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {**state, "init_conv.weight": torch.zeros(1, dtype=torch.float16).expand(9 * 10**11)}


def sparse(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {**state, "init_conv.bias": torch.zeros(8).to_sparse()}


def numbered(state: dict[str, torch.Tensor]) -> dict[Any, torch.Tensor]:
    return {1: torch.zeros(1), **{name: tensor for name, tensor in state.items() if name != "mid_attn.mem_kv"}}


@pytest.mark.parametrize(
    "spoil",
    [of_one_dimension, of_no_dimension, complex_numbers, expanded, sparse, numbered],
    ids=lambda it: it.__name__,
)
def test_tensors_that_no_network_has_are_refused(tmp_path: Path, spoil: Callable[[Any], Any]) -> None:
    torch.save({"model": weights()}, tmp_path / "model-1.pt")
    assert isinstance(import_pretrained(tmp_path / "model-1.pt").backbone, LinearAttentionUNet)  # control
    torch.save({"model": spoil(weights())}, tmp_path / "model-1.pt")
    with pytest.raises(DataError, match=r"model-1\.pt: "):
        import_pretrained(tmp_path / "model-1.pt")


@pytest.mark.parametrize("model", [[1, 2], 3, "init_conv.weight", {"betas": torch.tensor(1.0)}, {}])
def test_what_is_no_state_is_refused(tmp_path: Path, model: Any) -> None:
    torch.save({"model": model}, tmp_path / "model-1.pt")
    with pytest.raises(DataError, match=r"model-1\.pt: "):
        import_pretrained(tmp_path / "model-1.pt")


def test_an_archive_that_unpacks_to_more_than_its_size_is_refused_unread(tmp_path: Path) -> None:
    torch.save({"model": weights()}, tmp_path / "whole.pt")
    packed = zipfile.ZipFile(tmp_path / "packed.pt", "w", zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(tmp_path / "whole.pt") as whole, packed:
        for name in whole.namelist():
            packed.writestr(name, whole.read(name))
    assert torch.load(tmp_path / "packed.pt", weights_only=True)  # control: torch unpacks it
    with pytest.raises(DataError, match="its entries are compressed"):
        import_pretrained(tmp_path / "packed.pt")


def test_the_message_of_a_pickle_gives_no_advice_to_run_it(tmp_path: Path) -> None:
    torch.save({"model": Path("x")}, tmp_path / "model-1.pt")
    with pytest.raises(Exception, match="weights_only") as torchs:
        torch.load(tmp_path / "model-1.pt", weights_only=True)
    assert "arbitrary code" in str(torchs.value)  # control
    with pytest.raises(DataError) as refused:
        import_pretrained(tmp_path / "model-1.pt")
    assert "weights_only" not in str(refused.value)
    assert "never loaded" in str(refused.value)


def test_weights_whose_shapes_cannot_be_joined_are_refused(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS)
    name = next(name for name in tensors if name.endswith("to_q.weight"))
    save_file({**tensors, name: torch.zeros(2, 3, 4)}, folder / WEIGHTS)
    with pytest.raises(DataError, match="weights do not fit"):
        import_pretrained(folder)
