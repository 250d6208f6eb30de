from __future__ import annotations

from noisette.testing import parametrize_with_checks
from noisette_plugins.metrics import KID, Frechet, Recognised


@parametrize_with_checks([Frechet(), KID(), KID(subsets=5, size=50), Recognised(trees=30)])
def test_metrics_keep_their_contract(plugin, check) -> None:
    check(plugin)


def test_results_are_called_fid_and_kid_over_inception_only() -> None:
    assert Frechet().column("frechet", "inception") == "fid"
    assert KID().column("kid", "inception") == "kid"
    for features in ("efficientnet-lite0", "inception-69e99a5c", "dinov2"):
        assert Frechet().column("frechet", features) == f"frechet_{features}"
        assert KID().column("kid", features) == f"kid_{features}"
    assert Recognised().column("recognised", "inception") == "recognised"
