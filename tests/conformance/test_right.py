"""The built-in plugins, and the toys that the wrong ones are made from, pass every check."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest
from conformance.right.backbones import Tiny
from conformance.right.datasets import Stripes
from conformance.right.features import Convolutions
from conformance.right.metrics import Distance, Likeness, Subsets
from conformance.right.samplers import Heun, Multistep
from conformance.right.unusual_samplers import (
    Churn,
    EulerMaruyama,
    EverySecond,
    OwnLevels,
    PredictorCorrector,
)

from noisette import Plugin, registry
from noisette.testing import parametrize_with_checks, run_checks
from noisette.testing.checks import datasets as dataset_checks
from noisette_plugins.backbones import ADM, ContextUNet, DiT, LabmlUNet, LinearAttentionUNet, ScratchUNet, UNet
from noisette_plugins.datasets import _common, _idx, glyphs
from noisette_plugins.datasets.hugging_face import HuggingFace
from noisette_plugins.datasets.image_folder import ImageFolder
from noisette_plugins.metrics import Recognised
from noisette_plugins.schedules import Given, ScaledLinear

pytestmark = pytest.mark.slow

TOYS = [Tiny(), Stripes(), Convolutions(), Distance(), Likeness(), Subsets(), Heun(), Multistep()]
UNUSUAL = [Churn(), PredictorCorrector(), OwnLevels(), EulerMaruyama(), EverySecond()]

NEED_OPTIONS: dict[type[Plugin], list[Plugin]] = {
    ImageFolder: [],  # needs a folder: see the test below
    HuggingFace: [],  # likewise: see tests/plugins/test_datasets_hugging_face.py
    Given: [Given(values=(1e-4, 0.01, 0.3, 0.9, 0.999)), Given(values=(0.01, 0.5, 1.0))],
    Recognised: [Recognised(trees=30)],  # of 500; that they are many is no part of a promise
    # in small sizes and with all their options in tests/plugins/test_backbones_checks.py
    **{backbone: [] for backbone in (ADM, ContextUNet, DiT, LabmlUNet, LinearAttentionUNet, ScratchUNet, UNet)},
}


def built_in() -> Iterator[Plugin]:
    for found in registry().found:
        if found.origin.distribution == "noisette":
            yield from NEED_OPTIONS.get(found.plugin) or ([] if found.plugin in NEED_OPTIONS else [found.plugin()])


def known(plugin: Plugin) -> Mapping[str, str]:
    if isinstance(plugin, ScaledLinear):
        return {"final-signal-is-small": "Stable Diffusion's process ends with 7 % of the signal (Lin et al. 2024)"}
    return {}


@pytest.fixture(scope="module", autouse=True)
def _fast_datasets(full: bool) -> Iterator[None]:
    """Read a file and render a glyph once: the checks make 40 passes. Without --full check 500 images each."""
    render, images = glyphs._render_glyph, {}

    def rendered(character: str, font):
        if character not in images:
            images[character] = render(character, font)
        return images[character]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_common, "read_package_csv", cache(_common.read_package_csv))
        patch.setattr(_idx, "_unpack", cache(_idx._unpack))
        patch.setattr(glyphs, "_render_glyph", rendered)
        if not full:
            patch.setattr(dataset_checks, "MAX_EXAMPLES", 500)
        yield
        dataset_checks._facts.cache_clear()


@parametrize_with_checks([*built_in(), *TOYS, *UNUSUAL], known)
def test_right(plugin: Plugin, check) -> None:
    check(plugin)


@pytest.mark.parametrize(
    ("labels", "held_out", "skipped"), [(False, 0.3, []), (True, 0.3, []), (True, 0.0, ["test-is-held-out"])]
)
def test_image_folder(tmp_path: Path, labels: bool, held_out: float, skipped: list[str]) -> None:
    for index, example in enumerate(Stripes(count=60).examples("train", tmp_path)):
        folder = tmp_path / Stripes().classes()[example.label]
        folder.mkdir(exist_ok=True)
        example.image.save(folder / f"{index}.png")
    (tmp_path / "upright" / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    plugin = ImageFolder(path=tmp_path, labels=labels, held_out=held_out)
    results = run_checks(plugin)
    assert [result.message for result in results if result.outcome not in ("passed", "skipped")] == []
    assert [result.check for result in results if result.outcome == "skipped"] == skipped


def test_every_built_in_plugin_is_checked() -> None:
    there = {found.plugin for found in registry().found if found.origin.distribution == "noisette"}
    elsewhere = {plugin for plugin, given in NEED_OPTIONS.items() if not given}
    assert there == {type(plugin) for plugin in built_in()} | elsewhere
