"""What would fail after hours of training is refused before it."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest
from support.tiny import tiny

from noisette import DataError, Metric, PluginError, register, registry, train
from noisette.evaluation.requirements import _result_columns, require_ready
from noisette_plugins.metrics import KID, Recognised


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


def test_two_classes_with_one_result_are_refused_before(monkeypatch: pytest.MonkeyPatch) -> None:
    class AlsoKID(KID):
        """KID under another name."""

        name: ClassVar[str] = "also-kid"

    monkeypatch.setattr(registry(), "sources", registry().sources)
    register(AlsoKID)
    with pytest.raises(PluginError, match="metrics 0 and 2 both give a result 'kid_efficientnet-lite0'"):
        require_ready(tiny("evaluation.metrics=[kid, frechet, also-kid]").evaluation)
    require_ready(tiny("evaluation.metrics=[frechet, also-kid]").evaluation)


def test_the_results_of_shipped_metrics_differ_in_name() -> None:
    shipped = [
        found.plugin
        for found in registry().of_kind("metric")
        if found.origin.distribution == "noisette" and issubclass(found.plugin, Metric)
    ]
    metrics: list[Metric] = [Recognised(trees=5) if kind is Recognised else kind() for kind in shipped]
    features = tiny().evaluation.features
    columns = [
        column for metric in metrics if metric.needs != "model" for column in _result_columns(metric, features)
    ]
    assert len(columns) == len(set(columns)) >= len(metrics)
