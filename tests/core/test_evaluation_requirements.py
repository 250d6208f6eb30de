"""What would fail after hours of training is refused before it."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.tiny import tiny

from noisette import DataError, PluginError, train
from noisette.evaluation.requirements import require_ready


def test_weights_that_are_not_there_are_asked_for_before(tmp_path: Path) -> None:
    missing = f"evaluation.features={{name: inception, weights: {tmp_path / 'weights.pth'}}}"
    with pytest.raises(DataError, match=r"weights\.pth: expected the Inception weights"):
        require_ready(tiny(missing).evaluation)


def test_weights_that_cannot_be_downloaded_are_asked_for_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> Path:
        raise DataError("no host gives it")

    monkeypatch.setenv("NOISETTE_CACHE", str(tmp_path))
    monkeypatch.setattr("noisette.plugin_api.fetch", refused)
    with pytest.raises(DataError, match="no host gives it"):
        require_ready(tiny("evaluation.features=inception").evaluation)
    require_ready(tiny("evaluation.features=inception", "evaluation.metrics=[held-out-loss]").evaluation)


def test_features_that_are_learned_from_the_data_need_none() -> None:
    require_ready(tiny("evaluation.features=classifier").evaluation)


TWICE = "evaluation.metrics=[{name: kid, subsets: 10}, {name: kid, subsets: 20}, frechet]"


def test_two_results_of_one_name_are_refused_before(root: Path) -> None:
    with pytest.raises(PluginError, match="metrics 0 and 1 both give a result 'kid_efficientnet-lite0'; leave one"):
        require_ready(tiny(TWICE).evaluation)
    with pytest.raises(PluginError, match="leave one out"):
        train(tiny(TWICE, "training={evaluate_every: 4, steps: 4}"), root)
    assert not list(root.glob("tiny-*"))
    require_ready(tiny("evaluation.metrics=[kid, frechet]").evaluation)
