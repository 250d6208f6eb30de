"""docs/gallery.md: what `make gallery` wrote is there, small, and speaks of the configs as they are."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from noisette import Experiment

HERE = Path(__file__).parents[2]
PAGE = (HERE / "docs" / "gallery.md").read_text(encoding="utf-8")
IMAGES = HERE / "docs" / "images" / "gallery"


@pytest.fixture
def gallery(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(HERE / "scripts"))
    import gallery

    yield gallery
    for name in ("gallery", "figures"):
        sys.modules.pop(name, None)


def test_every_experiment_has_its_part(gallery) -> None:
    parts = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, flags=re.MULTILINE | re.DOTALL))
    assert list(parts) == [heading for heading, _ in gallery.SHOWN.values()]
    for (name, (heading, remark)), part in zip(gallery.SHOWN.items(), parts.values(), strict=True):
        experiment = Experiment.load(HERE / "configs" / f"{name}.yaml")
        told = " ".join(part.split())
        assert f"[configs/{name}.yaml](../configs/{name}.yaml)" in told
        assert f"{experiment.training.steps:,} steps of {experiment.training.batch} pictures" in told
        assert " ".join(remark.split()) in told
        rows = re.findall(r"^\| ([^|]+?) \|", part, flags=re.MULTILINE)
        samplers = [sampler.label for sampler in experiment.sampling.samplers]
        assert rows == ["sampler", "---", "real, held out", *samplers, "pure noise"]
        assert f"![{heading} drawn by " in part


def test_pictures_and_links_are_there_and_small() -> None:
    shown = re.findall(r"!\[[^\]]+\]\(images/gallery/([^)]+)\)", PAGE)
    assert {path.name for path in IMAGES.iterdir()} == {*shown, "strip.webp"}
    assert sum(path.stat().st_size for path in IMAGES.iterdir()) < 3_000_000
    for name in shown:
        with Image.open(IMAGES / name) as image:
            assert 500 <= image.width <= 1100
    for target in re.findall(r"\]\(([^)#:]+)\)", PAGE):
        assert (HERE / "docs" / target).exists(), target


@pytest.mark.parametrize(("channels", "side", "factor"), [(1, 8, 8), (1, 28, 2), (3, 16, 4), (3, 64, 1)])
def test_a_cell_holds_the_picture_by_a_whole_factor(gallery, channels: int, side: int, factor: int) -> None:
    picture = np.random.default_rng(0).integers(1, 256, (channels, side, side), dtype=np.uint8)
    cell = gallery._cell(picture)
    assert cell.shape == (3, 64, 64)
    edge = (64 - factor * side) // 2
    inside = cell[:, edge : 64 - edge, edge : 64 - edge]
    assert (inside[:, ::factor, ::factor] == picture).all()
    assert cell.astype(int).sum() == inside.astype(int).sum()  # black around it
