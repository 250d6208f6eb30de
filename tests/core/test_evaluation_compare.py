from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from conformance.right.features import Convolutions
from conformance.right.metrics import Distance, Likeness

from noisette import DataError, Estimate, Metric, PluginError
from noisette.evaluation import ImageSet, compare_sets, set_statistics
from noisette.evaluation.feature_cache import FeatureCache
from noisette.evaluation.set_statistics import compute_states
from noisette_plugins.metrics import KID, Frechet, Recognised, feature_statistics
from noisette_plugins.metrics.frechet_distance import Gaussian


class Recorder(Metric):
    """Keeps the shapes of what it was shown."""

    name: ClassVar[str] = "recorder"
    needs: ClassVar[str] = "images"

    def update(self, state, batch):
        assert batch.features is None
        return self.merge(state, {"images": batch.images, "parts": torch.tensor([len(batch.images)])})

    def merge(self, a, b):
        return {key: torch.cat([a[key], b[key]]) for key in a} if a and b else dict(a or b)

    def compute(self, generated, reference, heldout):
        return {"recorder": Estimate(float(len(heldout)))}


class Bad(Recorder):
    """Gives what it is told to."""

    name: ClassVar[str] = "bad"
    value: float | None = None
    stderr: float | None = 0.0

    def compute(self, generated, reference, heldout):
        return {"bad": Estimate(float("nan") if self.value is None else self.value, self.stderr)}


def some(count: int = 200, seed: int = 0, top: int = 256, labels: bool = False) -> ImageSet:
    generator = np.random.default_rng(seed)
    images = generator.integers(0, top, (count, 1, 6, 6), dtype=np.uint8)
    return ImageSet(f"set {seed}", images, np.arange(count) % 2 if labels else None)


def test_two_sets_are_compared_on_their_own(tmp_path: Path) -> None:
    metrics = [Frechet(), KID(), Recorder()]
    near = compare_sets(some(seed=1), some(), some(50, 2), Convolutions(), metrics, folder=tmp_path)
    far = compare_sets(some(seed=1, top=128), some(), None, Convolutions(), metrics)
    assert list(near.results) == ["frechet_convolutions", "kid_convolutions", "recorder"]
    assert near.left_out == far.left_out == {}
    assert far.results["frechet_convolutions"].value > 10 * near.results["frechet_convolutions"].value
    assert far.results["kid_convolutions"].value > 10 * abs(near.results["kid_convolutions"].value)
    assert (near.results["recorder"].value, far.results["recorder"].value) == (2.0, 0.0)
    again = compare_sets(some(seed=1), some(), some(50, 2), Convolutions(), metrics)
    assert again == near


def test_one_pass_shows_every_image_once_in_order() -> None:
    done: list[int] = []
    cache = FeatureCache(Convolutions(), torch.device("cpu"), None)
    shown = some(300)
    [state, moments] = compute_states(shown, [Recorder(), Distance()], cache, on_progress=done.append)
    assert torch.equal(state["images"], torch.from_numpy(shown.images))
    assert state["parts"].tolist() == [128, 128, 44]
    assert done == [128, 256, 300]
    assert float(moments["n"]) == 300


def test_a_network_that_nothing_reads_is_not_touched() -> None:
    class Missing(Convolutions):
        name: ClassVar[str] = "missing"

        def load(self, device: torch.device):
            raise DataError("there are no weights")

    assert compare_sets(some(), some(), None, Missing(), [Recorder()]).results["recorder"].value == 0
    with pytest.raises(DataError, match="there are no weights"):
        compare_sets(some(), some(), None, Missing(), [Distance()])


def test_growing_states_merge_to_those_of_one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = FeatureCache(Convolutions(), torch.device("cpu"), None)
    metrics = [Frechet(), KID(), Recorder()]
    monkeypatch.setattr(feature_statistics, "SAMPLE_ROWS", 100)
    monkeypatch.setattr(set_statistics, "_BATCH_SIZE", 1000)
    whole = compute_states(some(333), metrics, cache)
    monkeypatch.setattr(set_statistics, "_BATCH_SIZE", 7)
    parts = compute_states(some(333), metrics, cache)
    assert int(whole[0]["count"]) == int(parts[0]["count"]) == 233
    covariances = [Gaussian.of(states[0]).covariance() for states in (whole, parts)]
    assert torch.allclose(*covariances, rtol=1e-10)
    assert torch.allclose(whole[1]["features"], parts[1]["features"], atol=1e-6)
    assert torch.equal(whole[2]["images"], parts[2]["images"])


@pytest.mark.parametrize("bad", [Bad(), Bad(value=1.0, stderr=-1.0)])
def test_a_number_that_is_none_is_left_out_with_its_reason(bad: Bad) -> None:
    comparison = compare_sets(some(), some(), None, Convolutions(), [bad, Recorder()])
    assert list(comparison.results) == ["recorder"]
    assert "broke its contract: bad came out as" in comparison.left_out["bad"]


def test_a_metric_that_cannot_be_computed_is_left_out_unless_none_can() -> None:
    comparison = compare_sets(some(1), some(), None, Convolutions(), [Frechet(), Recorder(), Recognised()])
    assert list(comparison.results) == ["recorder"]
    assert "at least 2 judged images" in comparison.left_out["frechet"]
    assert "no labels" in comparison.left_out["recognised"]
    with pytest.raises(DataError, match=r"set 0: nothing could be computed: frechet: .*; kid: .*got 1"):
        compare_sets(some(1), some(), None, Convolutions(), [Frechet(), KID()])


def test_two_metrics_of_one_name_are_kept_apart_or_refused() -> None:
    with pytest.raises(PluginError, match="two results are called 'kid_convolutions'"):
        compare_sets(some(), some(), None, Convolutions(), [KID(), KID(subsets=3)])
    both = compare_sets(some(labels=True), some(seed=1, labels=True), some(20, 2, labels=True), Convolutions(),
                        [Distance(), Likeness(), Recognised(trees=5)])  # fmt: skip
    assert len(both.results) >= 3


class Sure(Metric):
    """The mean of the largest logit."""

    name: ClassVar[str] = "sure"
    needs_logits: ClassVar[bool] = True

    def update(self, state, batch):
        assert batch.features is not None
        return self.merge(state, {"largest": batch.logits.amax(dim=1)})

    def merge(self, a, b):
        return {"largest": torch.cat([a["largest"], b["largest"]])} if a and b else dict(a or b)

    def compute(self, generated, reference, heldout):
        return {"sure": Estimate(float(generated["largest"].mean()))}


class Knowing(Convolutions):
    name: ClassVar[str] = "knowing"
    has_classifier: ClassVar[bool] = True

    def load_classifier(self):
        return lambda features: features[:, :3] * 2


def test_logits_come_from_the_features_own_classifier() -> None:
    cache = FeatureCache(Knowing(), torch.device("cpu"), None)
    [state, _] = compute_states(some(200), [Sure(), Distance()], cache)
    features = Knowing().load(torch.device("cpu"))(torch.from_numpy(some(200).images))
    assert torch.allclose(state["largest"], 2 * features[:, :3].amax(dim=1))
    assert compare_sets(some(), some(1), None, Knowing(), [Sure()]).results.keys() == {"sure_knowing"}


def test_over_features_that_classify_nothing_it_is_left_out() -> None:
    comparison = compare_sets(some(), some(), None, Convolutions(), [Sure(), Recorder()])
    assert comparison.left_out == {"sure": "the features end in no classifier"}
    with pytest.raises(DataError, match="convolutions: expected a network that ends in a classifier"):
        Convolutions().load_classifier()


@pytest.mark.parametrize("logits", [torch.zeros(3, 2), torch.full((200, 2), torch.nan), torch.zeros(200)])
def test_logits_that_are_none_are_refused(logits: torch.Tensor) -> None:
    class Broken(Knowing):
        name: ClassVar[str] = "broken-logits"

        def load_classifier(self):
            return lambda features: logits

    with pytest.raises(PluginError, match=r"broken-logits: expected finite logits \(128, K\)"):
        compare_sets(some(), some(), None, Broken(), [Sure()])


@pytest.mark.slow
def test_a_large_set_needs_no_more_memory_than_a_small_one(tmp_path: Path) -> None:
    """Peak of a process over 1,500 and over 8,000 images of 12 kB in each set, which are 152 MiB more."""
    code = (
        "import resource, sys; from pathlib import Path; import torch; torch.set_num_threads(1)\n"
        "from conformance.right.features import Convolutions; from noisette_plugins.metrics import Frechet\n"
        "from noisette.evaluation import compare_sets, sets\n"
        "def run(count, seed): return sets.noise((3, 64, 64), count, seed)\n"
        "count = int(sys.argv[1])\n"
        "folder = Path(sys.argv[2])\n"
        "found = compare_sets(run(count, 0), run(count, 1), None, Convolutions(), [Frechet()], folder=folder)\n"
        "assert found.results\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    )

    def peak(count: int) -> float:
        command = [sys.executable, "-c", code, str(count), str(tmp_path / str(count))]
        path = {"PYTHONPATH": str(Path(__file__).parents[1]), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **path})
        return float(done.stdout)

    small, large = peak(1500), peak(8000)
    assert large - small < 40
