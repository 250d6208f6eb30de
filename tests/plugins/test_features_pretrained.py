"""DINOv2 and CLIP from a folder, as transformers and timm save them: tiny random weights in the right layout."""

from __future__ import annotations

import hashlib
import json
import pickle
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from noisette import DataError
from noisette.testing import run_checks
from noisette_plugins.features import CLIP, DINOv2
from noisette_plugins.features.extractor import clean
from noisette_plugins.features.pretrained import Pretrained

CPU = torch.device("cpu")
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}


def dinov2_of_transformers(folder: Path) -> tuple[Pretrained, Callable]:
    transformers = pytest.importorskip("transformers")
    model = transformers.Dinov2Model(transformers.Dinov2Config(**SMALL, image_size=28, patch_size=14)).eval()
    model.save_pretrained(folder)
    return DINOv2(weights=folder, size=28), lambda x: model(pixel_values=x).last_hidden_state[:, 0]


def clip_of_transformers(folder: Path) -> tuple[Pretrained, Callable]:
    transformers = pytest.importorskip("transformers")
    vision = {**SMALL, "image_size": 32, "patch_size": 8, "intermediate_size": 64}
    text = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    text |= {"vocab_size": 100, "bos_token_id": 1, "eos_token_id": 2}
    config = transformers.CLIPConfig(projection_dim=24, vision_config=vision, text_config=text)
    model = transformers.CLIPModel(config).eval()
    model.save_pretrained(folder)

    def embedded(x: torch.Tensor) -> torch.Tensor:
        return model.visual_projection(model.vision_model(pixel_values=x).pooler_output)

    return CLIP(weights=folder), embedded


def dinov2_of_timm(folder: Path) -> tuple[Pretrained, Callable]:
    arguments = {"depth": 2, "embed_dim": 32, "num_heads": 2}
    model = of_timm(folder, "vit_small_patch14_dinov2", {**arguments, "img_size": 28}, 0, arguments)
    return DINOv2(weights=folder, size=28), model


def clip_of_timm(folder: Path) -> tuple[Pretrained, Callable]:
    arguments = {"depth": 2, "embed_dim": 32, "num_heads": 2, "img_size": 64}
    model = of_timm(folder, "vit_base_patch32_clip_224", arguments, 24, arguments)
    return CLIP(weights=folder), model


def of_timm(folder: Path, name: str, arguments: dict, classes: int, told: dict) -> Callable:
    timm = pytest.importorskip("timm")
    model = timm.create_model(name, num_classes=classes, **arguments).eval()
    for parameter in model.parameters():  # as made, a block of DINOv2 changes nearly nothing
        torch.nn.init.normal_(parameter, std=0.2)
    save_file(model.state_dict(), folder / "model.safetensors")
    config = {"architecture": name, "num_classes": classes, "num_features": 32, "model_args": told}
    config["pretrained_cfg"] = {"input_size": [3, arguments["img_size"], arguments["img_size"]]}
    (folder / "config.json").write_text(json.dumps(config))
    return model


MADE = [dinov2_of_transformers, clip_of_transformers, dinov2_of_timm, clip_of_timm]


@pytest.fixture(scope="module", params=MADE, ids=lambda make: make.__name__)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Pretrained, Callable]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return request.param(tmp_path_factory.mktemp("weights"))


def some(count: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, 3, 20, 24), generator=generator, dtype=torch.uint8)


def test_it_equals_the_library_on_the_same_images(made: tuple[Pretrained, Callable]) -> None:
    plugin, theirs = made
    mean, std = (torch.tensor(values)[:, None, None] for values in (plugin.mean, plugin.std))
    seen = (clean(some().float(), plugin.input_size) / 255 - mean) / std
    with torch.no_grad():
        expected = theirs(seen)
    ours = plugin.load(CPU)(some())
    assert ours.shape == (3, plugin.dimensions)
    assert torch.allclose(ours, expected, atol=1e-5)
    assert float(expected.std()) > 0.05  # control: there is something to be equal to
    assert not torch.allclose(ours[0], ours[1], atol=1e-3)


def test_it_keeps_its_contract(made: tuple[Pretrained, Callable]) -> None:
    outcomes = run_checks(made[0])
    assert not [outcome for outcome in outcomes if outcome.outcome == "failed"]
    assert sum(outcome.outcome == "passed" for outcome in outcomes) >= 8


def test_results_bear_the_hash_of_the_file(made: tuple[Pretrained, Callable]) -> None:
    plugin, _ = made
    content = (plugin.weights / "model.safetensors").read_bytes()
    assert plugin.weights_sha256() == hashlib.sha256(content).hexdigest()
    assert plugin.label == f"{plugin.name}-{plugin.weights_sha256()[:8]}"
    assert plugin.facts["network"]


def test_a_missing_tensor_is_an_error_and_not_a_random_one(
    made: tuple[Pretrained, Callable], tmp_path: Path
) -> None:
    plugin, _ = made
    for file in plugin.weights.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    tensors = load_file(tmp_path / "model.safetensors")
    ours = [name for name in tensors if not name.startswith("text")]
    lost = next(name for name in ours if "encoder.layer" in name or "blocks.1" in name)
    save_file({k: v for k, v in tensors.items() if k != lost}, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(DataError, match=f"{tmp_path}: "):
        plugin.model_copy(update={"weights": tmp_path}).load(CPU)


def test_loading_draws_no_random_number(made: tuple[Pretrained, Callable]) -> None:
    before = torch.get_rng_state()
    made[0].load(CPU)
    assert torch.equal(torch.get_rng_state(), before)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    def refused(plugin: Pretrained, message: str) -> None:
        for use in (plugin.weights_sha256, lambda: plugin.load(CPU)):
            with pytest.raises(DataError, match=message):
                use()

    refused(DINOv2(), "features dinov2: expected weights: a folder with the config.json of a dinov2")
    refused(CLIP(weights=tmp_path), "config.json: expected the config.json of a clip.*; No such file")
    (tmp_path / "config.json").write_text("{")
    refused(CLIP(weights=tmp_path), "config.json: expected JSON")
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    refused(CLIP(weights=tmp_path), "expected the config.json of a clip or clip_vision_model .*; got bert")
    (tmp_path / "config.json").write_text('{"model_type": "clip"}')
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    refused(CLIP(weights=tmp_path), "expected model.safetensors; there is none; pickled weights are never read")


@pytest.mark.parametrize(("package", "config"), [("timm", "architecture"), ("transformers", "model_type")])
def test_a_missing_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, config: str
) -> None:
    told = {config: "dinov2", "num_features": 32, "hidden_size": 32}
    (tmp_path / "config.json").write_text(json.dumps(told))
    save_file({"a": torch.zeros(1)}, tmp_path / "model.safetensors")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(DataError, match=f"one of {package}, which is not installed: pip install .*{package}"):
        DINOv2(weights=tmp_path).load(CPU)


def test_neither_library_is_imported_before_the_network_is_needed(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "clip", "projection_dim": 24}')
    save_file({"a": torch.zeros(1)}, tmp_path / "model.safetensors")
    code = (
        "import sys; from noisette_plugins.features import CLIP\n"
        f"plugin = CLIP(weights={str(tmp_path)!r}); plugin.label; plugin.dimensions; plugin.resizing\n"
        "assert not {'torch', 'numpy', 'timm', 'transformers'} & set(sys.modules), 'heavy'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The addresses that were asked for; none is reached."""
    found: list[object] = []

    def refuse(*arguments: object, **_: object) -> None:
        found.append(arguments)
        raise OSError("no network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    return found


def spoilt(make: Callable, folder: Path, **settings: object) -> Pretrained:
    """Return a plugin whose folder says something else."""
    with torch.random.fork_rng():
        plugin, _ = make(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **settings}))
    return plugin


@pytest.mark.parametrize(
    ("make", "settings", "message"),
    [
        (dinov2_of_timm, {"architecture": "hf-hub:evil/dinov2"}, "architecture: String should match pattern"),
        (dinov2_of_timm, {"architecture": "local-dir:/x/dinov2"}, "architecture: String should match pattern"),
        (dinov2_of_timm, {"architecture": "dinov2_of_nobody"}, "dinov2_of_nobody"),
        (dinov2_of_timm, {"model_args": {"checkpoint_path": "x.pth"}}, "model_args.checkpoint_path: Extra inputs"),
        (dinov2_of_timm, {"model_args": {"depth": 10**6}}, "model_args.depth: Input should be less than"),
        (dinov2_of_timm, {"model_args": {"num_heads": 5}}, ": "),
        (dinov2_of_timm, {"model_args": ["depth"]}, "model_args: "),
        (dinov2_of_timm, {"num_features": "many"}, "num_features: Input should be a valid integer"),
        (dinov2_of_transformers, {"num_hidden_layers": 10**6}, "num_hidden_layers: Input should be less than"),
        (dinov2_of_transformers, {"num_attention_heads": 7}, ": "),
        (dinov2_of_transformers, {"hidden_act": "evil"}, "evil"),
        (dinov2_of_transformers, {"hidden_size": [32]}, "hidden_size: Input should be a valid"),
    ],
)
def test_a_config_of_a_stranger_is_refused_and_asks_no_network(
    tmp_path: Path, asked: list[object], make: Callable, settings: dict[str, object], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        spoilt(make, tmp_path, **settings).load(CPU)
    assert not asked


@pytest.mark.parametrize(
    "settings",
    [
        {"attn_implementation": "evil/kernels"},
        {"_attn_implementation": "evil/kernels"},
        {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}},
        {"dtype": "evil", "torch_dtype": "evil"},
        {"auto_map": {"AutoModel": "evil/repository--module.Model"}},
    ],
)
def test_what_leads_elsewhere_is_dropped(tmp_path: Path, asked: list[object], settings: dict[str, object]) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "spoilt").mkdir()
    whole = spoilt(dinov2_of_transformers, tmp_path / "whole").load(CPU)
    for file in (tmp_path / "whole").iterdir():
        (tmp_path / "spoilt" / file.name).write_bytes(file.read_bytes())
    config = json.loads((tmp_path / "spoilt" / "config.json").read_text())
    (tmp_path / "spoilt" / "config.json").write_text(json.dumps({**config, **settings}))
    found = DINOv2(weights=tmp_path / "spoilt", size=28).load(CPU)(some())
    assert torch.equal(found, whole(some()))
    assert not asked


@pytest.mark.parametrize("make", [dinov2_of_timm, dinov2_of_transformers])
@pytest.mark.parametrize("content", [pickle.dumps({"a": 1}), b"PK\3\4", b"", b"\xff" * 100])
def test_weights_that_are_no_safetensors_are_refused(tmp_path: Path, make: Callable, content: bytes) -> None:
    plugin = spoilt(make, tmp_path)
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(DataError, match=f"{tmp_path}: "):
        plugin.load(CPU)


@pytest.mark.parametrize("content", ["[" * 500_000, "[]", '{"image_mean": "grey"}', '{"image_std": [1, 2]}'])
def test_colours_that_are_none_are_refused(tmp_path: Path, content: str) -> None:
    plugin = spoilt(dinov2_of_timm, tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(content)
    with pytest.raises(DataError, match=r"preprocessor_config\.json: "):
        plugin.load(CPU)(some())
