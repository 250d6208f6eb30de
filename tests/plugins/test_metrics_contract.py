"""Metrics with other options than their defaults, which tests/conformance/test_right.py tries, and their names."""

from __future__ import annotations

from noisette.testing import parametrize_with_checks
from noisette_plugins.metrics import KID, Frechet, FrechetInfinity, InceptionScore, Recognised


@parametrize_with_checks([KID(subsets=5, size=50)])
def test_means_of_few_subsets_keep_the_contract(plugin, check) -> None:
    check(plugin)


def test_results_are_called_as_in_the_literature_over_inception_only() -> None:
    assert Frechet().column("frechet", "inception") == "fid"
    assert KID().column("kid", "inception") == "kid"
    assert FrechetInfinity().column("frechet_infinity", "inception") == "fid_infinity"
    assert InceptionScore().column("inception_score", "inception") == "inception_score"
    for features in ("efficientnet-lite0", "inception-69e99a5c", "dinov2"):
        assert Frechet().column("frechet", features) == f"frechet_{features}"
        assert KID().column("kid", features) == f"kid_{features}"
        assert FrechetInfinity().column("frechet_infinity", features) == f"frechet_infinity_{features}"
        assert InceptionScore().column("inception_score", features) == f"inception_score_{features}"
    assert Recognised().column("recognised", "inception") == "recognised"
