from __future__ import annotations

import logging
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from conformance.right.features import Convolutions
from conformance.right.metrics import Distance

from noisette import DataError, PluginError
from noisette.evaluation import ImageSet
from noisette.evaluation.feature_cache import FeatureCache
from noisette.evaluation.set_statistics import compute_states


class Counted(Convolutions):
    """Counts the images that go through it."""

    name: ClassVar[str] = "counted"
    seen: ClassVar[list[int]] = []
    tone: int = 0

    def load(self, device: torch.device):
        extract = super().load(device)

        def counting(images: torch.Tensor) -> torch.Tensor:
            self.seen.append(len(images))
            return extract(images) + self.tone

        return counting


@pytest.fixture(autouse=True)
def fresh() -> None:
    Counted.seen.clear()


def some(count: int = 300, seed: int = 0) -> ImageSet:
    return ImageSet("some", np.random.default_rng(seed).integers(0, 256, (count, 1, 6, 6), dtype=np.uint8))


def cache(folder: Path | None, **options: int) -> FeatureCache:
    return FeatureCache(Counted(**options), torch.device("cpu"), folder)


def mean(images: ImageSet, kept: FeatureCache, **keep: bool) -> dict[str, torch.Tensor]:
    [state] = compute_states(images, [Distance()], kept, **keep)
    return state


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def test_features_are_computed_once(tmp_path: Path) -> None:
    first = mean(some(), cache(tmp_path))
    assert sum(Counted.seen) == 300
    again = mean(some(), cache(tmp_path))
    assert sum(Counted.seen) == 300
    assert same(first, again)
    assert same(first, mean(some(), cache(None)))  # with no folder nothing is kept, and the bits are the same
    assert sum(Counted.seen) == 600


def test_other_images_options_and_weights_are_computed_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = mean(some(), cache(tmp_path))
    for other in (lambda: mean(some(seed=1), cache(tmp_path)), lambda: mean(some(), cache(tmp_path, tone=1))):
        before = sum(Counted.seen)
        assert not same(first, other())
        assert sum(Counted.seen) == before + 300
    before = sum(Counted.seen)
    monkeypatch.setattr(Counted, "weights_sha256", lambda self: "0" * 64)
    mean(some(), cache(tmp_path))
    assert sum(Counted.seen) == before + 300


@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_a_damaged_file_is_made_anew(tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    first = mean(some(), cache(tmp_path))
    [path] = tmp_path.glob("*/features.npy")
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.unlink()
    if damage != "remove":
        path.write_bytes(content if damage == "flip" else content[:-8])
    with caplog.at_level(logging.WARNING):
        assert same(first, mean(some(), cache(tmp_path)))
    assert "computed again" in caplog.text
    assert sum(Counted.seen) == 600
    mean(some(), cache(tmp_path))
    assert sum(Counted.seen) == 600


def test_statistics_of_a_reference_are_kept_where_they_are_smaller_than_features(tmp_path: Path) -> None:
    first = mean(some(), cache(tmp_path), keep=True)
    assert len(list(tmp_path.glob("distance-counted-*/state.safetensors"))) == 1
    for path in tmp_path.glob("counted-*/*"):
        path.unlink()
    assert same(first, mean(some(), cache(tmp_path), keep=True))
    assert sum(Counted.seen) == 300  # neither images nor features were needed
    mean(some(2), cache(tmp_path), keep=True)
    assert len(list(tmp_path.glob("distance-*"))) == 1
    mean(some(seed=5), cache(tmp_path), keep=False)
    assert len(list(tmp_path.glob("distance-*"))) == 1


def test_an_error_on_the_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self, state, batch):
        raise RuntimeError("a fault of the metric")

    with monkeypatch.context() as patch:
        patch.setattr(Distance, "update", broken)
        with pytest.raises(RuntimeError, match="a fault of the metric"):
            mean(some(), cache(tmp_path))
    assert list(tmp_path.iterdir()) == []
    mean(some(), cache(tmp_path))
    assert len(list(tmp_path.iterdir())) == 1  # control


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (lambda rows: rows[:, :3], PluginError, r"features counted: expected shape \(128, 16\); got \(128, 3\)"),
        (lambda rows: rows * float("inf"), DataError, "features counted: .*not finite"),
    ],
    ids=["shape", "infinite"],
)
def test_wrong_features_are_named(wrong, error, message: str, tmp_path: Path, monkeypatch) -> None:
    right = Convolutions.extract
    monkeypatch.setattr(Convolutions, "extract", lambda *arguments: wrong(right(*arguments)))
    with pytest.raises(error, match=message):
        mean(some(), cache(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_an_empty_set_has_no_statistics(tmp_path: Path) -> None:
    assert mean(some(0), cache(tmp_path)) == {}
