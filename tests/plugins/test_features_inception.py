from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from noisette import DataError
from noisette_plugins.features import Inception
from noisette_plugins.features.extractor import build_with_weights
from noisette_plugins.features.inception_network import InceptionV3

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights under the published names, scaled so that signals neither die nor explode."""
    generator = torch.Generator().manual_seed(0)
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in InceptionV3().state_dict().items()}
    tensors = {name: _random(name, shape, generator) for name, shape in shapes.items()}
    folder = tmp_path_factory.mktemp("inception")
    torch.save(tensors, folder / "random.pth")
    save_file(tensors, folder / "random.safetensors")
    return folder


def _random(name: str, shape: torch.Size, generator: torch.Generator) -> torch.Tensor:
    if name.endswith("num_batches_tracked"):
        return torch.tensor(7)
    if name.endswith("running_var"):
        return torch.rand(shape, generator=generator) + 0.5
    if len(shape) == 4:
        return torch.randn(shape, generator=generator) * (2 / shape[1:].numel()) ** 0.5
    return torch.randn(shape, generator=generator) * 0.1 + (1.0 if name.endswith("bn.weight") else 0.0)


def some(count: int, channels: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, channels, 32, 24), generator=generator, dtype=torch.uint8)


def test_it_equals_torch_fidelitys_extractor(weights: Path) -> None:
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    theirs = FeatureExtractorInceptionV3(
        "inception", ["2048"], feature_extractor_weights_path=str(weights / "random.pth")
    )
    plugin = Inception(weights=weights / "random.safetensors", resize="legacy")
    ours = plugin.load(CPU)(some(3))
    expected = theirs(some(3))[0]
    assert ours.shape == (3, 2048)
    assert float((ours - expected).abs().max()) < 1e-4
    assert float(expected.std()) > 0.1  # control: there is something to be equal to
    clean = Inception(weights=weights / "random.safetensors").load(CPU)(some(3))
    assert float((clean - expected).abs().max()) > 0.01


def test_its_logits_are_those_of_torch_fidelity_without_the_bias(weights: Path) -> None:
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    names = ["logits_unbiased", "logits"]
    theirs = FeatureExtractorInceptionV3(
        "inception", names, feature_extractor_weights_path=str(weights / "random.pth")
    )
    plugin = Inception(weights=weights / "random.safetensors", resize="legacy")
    ours = plugin.load_classifier()(plugin.load(CPU)(some(3)))
    unbiased, biased = theirs(some(3))
    assert ours.shape == (3, 1008)
    assert float((ours - unbiased).abs().max()) < 1e-3
    assert float((ours - biased).abs().max()) > 0.1  # control: the bias matters


def test_grey_is_repeated_and_batches_do_not_matter(weights: Path) -> None:
    extract = Inception(weights=weights / "random.safetensors").load(CPU)
    grey = some(2, channels=1)
    found = extract(grey)
    assert torch.equal(found, extract(grey.expand(-1, 3, -1, -1)))
    assert torch.equal(found[1:], extract(grey[1:]))


def test_older_files_without_counters_are_read(weights: Path) -> None:
    """Weights converted from TensorFlow have no `num_batches_tracked`; nothing else may be missing."""
    tensors = torch.load(weights / "random.pth", weights_only=True)
    fewer = {name: tensor for name, tensor in tensors.items() if not name.endswith("num_batches_tracked")}
    assert len(tensors) - len(fewer) == 94
    build_with_weights(InceptionV3, fewer)
    del fewer["Mixed_6a.branch3x3.conv.weight"]
    with pytest.raises(RuntimeError, match=r"Mixed_6a\.branch3x3"):
        build_with_weights(InceptionV3, fewer)


def test_only_the_published_weights_are_called_inception(weights: Path) -> None:
    others = Inception(weights=weights / "random.safetensors")
    assert Inception().label == "inception"
    assert others.label == f"inception-{others.weights_sha256()[:8]}"
    assert Inception().weights_sha256().startswith("6726825d")
    assert Inception(resize="legacy").label == "inception"
    assert "legacy" in Inception(resize="legacy").resizing


def test_another_pth_file_is_refused(weights: Path) -> None:
    plugin = Inception(weights=weights / "random.pth")
    for use in (plugin.weights_sha256, lambda: plugin.load(CPU)):
        with pytest.raises(DataError, match=r"random\.pth: expected the Inception weights.*6726825d.*safetensors"):
            use()


def test_damaged_missing_and_foreign_files_are_named(weights: Path, tmp_path: Path) -> None:
    broken, foreign = tmp_path / "broken.safetensors", tmp_path / "foreign.safetensors"
    broken.write_bytes((weights / "random.safetensors").read_bytes()[:1000])
    save_file({"weight": torch.zeros(2)}, foreign)
    for path, message in (
        (broken, "expected safetensors"),
        (foreign, "expected the weights of Inception v3"),
        (tmp_path / "none.safetensors", "No such file"),
        (tmp_path / "none.pth", "No such file"),
    ):
        with pytest.raises(DataError, match=f"{path.name}: .*{message}"):
            Inception(weights=path).load(CPU)


def test_offline_it_says_where_the_file_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOISETTE_CACHE", str(tmp_path))
    monkeypatch.setattr("noisette_plugins.features.inception._URLS", ("http://127.0.0.1:9/weights.pth",))
    with pytest.raises(
        DataError, match=rf"could not be downloaded(.|\n)*put it at {tmp_path}/weights/pt_inception"
    ):
        Inception().load(CPU)


def test_a_file_in_the_cache_is_used_without_a_download(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a published hash that is this file's, since the real one cannot be had here."""
    from hashlib import sha256

    from noisette_plugins.features import inception

    content = (weights / "random.pth").read_bytes()
    known = inception.PublishedWeights("weights", sha256(content).hexdigest(), "")
    monkeypatch.setenv("NOISETTE_CACHE", str(tmp_path))
    monkeypatch.setattr(inception, "_WEIGHTS", known)
    monkeypatch.setattr(inception, "_URLS", ("http://127.0.0.1:9/weights.pth",))
    target = tmp_path / "weights" / inception._FILE
    target.parent.mkdir()
    target.write_bytes(content)
    ours = Inception().load(CPU)(some(1))
    assert torch.equal(ours, Inception(weights=weights / "random.safetensors").load(CPU)(some(1)))
    target.write_bytes(content[:-1] + b"x")
    with pytest.raises(DataError, match="another hash"):
        Inception().load(CPU)
