"""docs/gallery.md: what `make gallery` wrote is there, small, and speaks of the configs as they are."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from noisette import Experiment, evaluate, prepare, sample, train

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
        assert f"{experiment.training.steps:,} steps of {experiment.training.batch_size} images" in told
        assert " ".join(remark.split()) in told
        rows = re.findall(r"^\| ([^|]+?) \|", part, flags=re.MULTILINE)
        samplers = [sampler.label for sampler in experiment.sampling.samplers]
        assert rows == ["sampler", "---", "real, held out", *samplers, "pure noise"]
        assert f"![{heading} drawn by " in part


def test_images_and_links_are_there_and_small() -> None:
    shown = re.findall(r"!\[[^\]]+\]\(images/gallery/([^)]+)\)", PAGE)
    assert {path.name for path in IMAGES.iterdir()} == {*shown, "strip.webp"}
    assert sum(path.stat().st_size for path in IMAGES.iterdir()) < 3_000_000
    for name in shown:
        with Image.open(IMAGES / name) as image:
            assert 500 <= image.width <= 1100
    for target in re.findall(r"\]\(([^)#:]+)\)", PAGE):
        assert (HERE / "docs" / target).exists(), target


@pytest.mark.parametrize(("channels", "side", "factor"), [(1, 8, 8), (1, 28, 2), (3, 16, 4), (3, 64, 1)])
def test_a_cell_holds_the_image_by_a_whole_factor(gallery, channels: int, side: int, factor: int) -> None:
    image = np.random.default_rng(0).integers(1, 256, (channels, side, side), dtype=np.uint8)
    cell = gallery._cell(image)
    assert cell.shape == (3, 64, 64)
    edge = (64 - factor * side) // 2
    inside = cell[:, edge : 64 - edge, edge : 64 - edge]
    assert (inside[:, ::factor, ::factor] == image).all()
    assert cell.astype(int).sum() == inside.astype(int).sum()  # black around it


@pytest.mark.slow
@pytest.mark.parametrize("name", ["glyphs", "patches"])
def test_the_colour_configs_run_to_their_end(name: str, tmp_path: Path) -> None:
    if name == "glyphs" and not Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf").is_file():
        pytest.skip("needs the Debian package fonts-noto-color-emoji")
    if name == "patches":
        pytest.importorskip("skimage")
    scaled = [
        "preparation.limit=24",
        "training.steps=2",
        "training.batch_size=4",
        "sampling.num_images=4",
        "backbone.channels=16",
    ]
    heads = ["backbone.head_channels=16", "sampling.samplers=[{name: ddim, steps: 2}, {name: ddpm, steps: 2}]"]
    experiment = Experiment.load(HERE / "configs" / f"{name}.yaml", [*scaled, *heads])
    assert prepare(experiment, tmp_path).shape == (3, 16, 16)
    checkpoint = train(experiment, tmp_path)
    samples = [sample(experiment, checkpoint, sampler, tmp_path) for sampler in experiment.sampling.samplers]
    assert [row.label for row in evaluate(experiment, samples, tmp_path).rows] == [
        "held-out",
        "ddim-2",
        "ddpm-2",
        "noise",
    ]
