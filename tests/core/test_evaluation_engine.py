from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from conformance.right.features import Convolutions

from noisette import DataError, Events, Experiment, Report, Run, Samples, StorageError, evaluate, hookimpl, prepare
from noisette.config import apply_overrides
from noisette.data import Prepared
from noisette.journal import read_journal
from noisette.layout import data_directory, training_directory
from noisette.storage import committed
from noisette_plugins.features import EfficientNetLite0

CONFIG = {
    "name": "small",
    "dataset": "digits",
    "sampling": {"num_images": 120},
    "evaluation": {
        "features": {"name": "efficientnet-lite0", "size": 32},
        "metrics": ["frechet", "kid", {"name": "recognised", "trees": 50}],
    },
}


class FakeInception(Convolutions):
    """Stands in for the network whose weights cannot be had here: only its name matters."""

    name: ClassVar[str] = "inception"


class Listener:
    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []

    @hookimpl
    def on_run_start(self, run: Run) -> None:
        self.calls.append(("start", run))

    @hookimpl
    def on_step(self, run: Run, step: int) -> None:
        self.calls.append(("step", step))

    @hookimpl
    def on_activity(self, run: Run, activity: str) -> None:
        self.calls.append(("activity", activity))

    @hookimpl
    def on_metrics(self, run: Run, step: int, metrics: dict[str, float]) -> None:
        self.calls.append(("metrics", dict(metrics)))

    @hookimpl
    def on_run_end(self, run: Run, status: str) -> None:
        self.calls.append(("end", status))

    def of(self, kind: str) -> list[Any]:
        return [value for name, value in self.calls if name == kind]


def small(*overrides: str, **evaluation: Any) -> Experiment:
    config = apply_overrides(CONFIG, overrides)
    config["evaluation"] |= evaluation
    return Experiment.parse(config)


def draw(root: Path, label: str, images: np.ndarray, **about: Any) -> Samples:
    """Write images as a sampler would."""
    sampler = {"name": label, "steps": 50, "spacing": "linspace"}
    told = {
        "label": label, "sampler": sampler, "steps": 50, "network_calls": 50, "count": len(images),
        "seconds_per_image": 0.01, "seed": 0, "clip": 1.0, "ema": True, "checkpoint": "c" * 64, "step": 1500,
        "timed": {"session": "one", "at": "2026-12-01 10:00", "host": "here", "threads": 1, "load": 0.5},
    }  # fmt: skip
    directory = root / "drawn" / label
    with committed(directory, "samples", told | about) as staging:
        np.save(staging / "images.npy", images)
        (staging / "grid.png").write_bytes(b"")
    return Samples.open(directory)


def smeared(images: np.ndarray) -> np.ndarray:
    """Each image with its neighbours' mean: nearly digits."""
    moved = [np.roll(images, shift, axis) for axis in (2, 3) for shift in (-1, 0, 1)]
    return np.mean(moved, axis=0).astype(np.uint8)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Samples]]:
    """Prepared digits, and two "samplers": one that repeats real images, one that smears them."""
    root = tmp_path_factory.mktemp("evaluation")
    data = prepare(small(), root)
    real = np.array(data.images("train")[:120])
    return root, [draw(root, "good", real), draw(root, "smeared", smeared(real), steps=10, network_calls=20)]


@pytest.fixture(scope="module")
def report(prepared: tuple[Path, list[Samples]]) -> Report:
    root, samples = prepared
    return evaluate(small(), samples, root)


@pytest.mark.slow
def test_rows_are_floor_samplers_noise(report: Report) -> None:
    shown = [(row.kind, row.label, row.steps, row.network_calls, row.seconds_per_image) for row in report.rows]
    assert shown == [
        ("floor", "held-out", None, None, None),
        ("sampler", "good", 50, 50, 0.01),
        ("sampler", "smeared", 10, 20, 0.01),
        ("noise", "noise", None, None, None),
    ]
    frechet, kid = "frechet_efficientnet-lite0", "kid_efficientnet-lite0"
    assert report.columns == [frechet, kid, "recognised", "classes_seen", "classifier_accuracy"]
    assert [report.better[column] for column in report.columns] == ["lower"] * 2 + ["higher"] * 3
    assert all(set(row.results) == set(report.columns) for row in report.rows)
    assert report.notes == []


@pytest.mark.parametrize("column", ["frechet_efficientnet-lite0", "kid_efficientnet-lite0"])
def test_numbers_rise_from_real_to_smeared_to_noise(report: Report, column: str) -> None:
    floor, good, smeared, noise = (row.results[column].value for row in report.rows)
    assert abs(good - floor) < 0.2 * (smeared - floor)
    assert floor < smeared < noise
    assert noise - floor > 5 * abs(floor)


def test_what_is_recognised_tells_digits_from_noise(report: Report) -> None:
    floor, good, smeared, noise = (row.results["recognised"].value for row in report.rows)
    assert floor == pytest.approx(0.9, abs=0.01)
    assert good > 0.9 > smeared > noise == 0
    assert report.rows[0].results["classes_seen"].value == 10
    assert report.rows[3].results["classes_seen"].value == 0


def test_the_protocol_says_how(report: Report, prepared: tuple[Path, list[Samples]]) -> None:
    root, _ = prepared
    data = Prepared.open(data_directory(small(), root))
    expected = {
        "features": "efficientnet-lite0",
        "weights_sha256": EfficientNetLite0().weights_sha256(),
        "resize": "anti-aliased bicubic to 32x32",
        "precision": "fp32",
        "dataset": "digits",
        "data": data.digest,
        "reference_split": "train",
        "reference_count": data.count("train"),
        "heldout_split": "test",
        "heldout_count": 120,
        "generated_count": 120,
        "seed": 0,
        "checkpoint": "c" * 64,
        "step": 1500,
        "ema": True,
        "clip": 1.0,
    }
    assert {key: report.protocol[key] for key in expected} == expected
    assert all(isinstance(value, str | int | float | bool) for value in report.protocol.values())
    assert report.details["metrics"][1]["subsets"] == 100
    assert report.details["samplers"]["smeared"]["network_calls"] == 20
    assert set(report.details["sets"]) == {"train", "held-out", "good", "smeared", "noise"}


def test_progress_and_results_are_told_and_kept(prepared: tuple[Path, list[Samples]], tmp_path: Path) -> None:
    root, samples = prepared
    experiment = small(metrics=["kid"])
    listener = Listener()
    done = evaluate(experiment, samples, root, events=Events([listener]))
    [run] = listener.of("start")
    assert (run.stage, run.name, run.directory) == ("evaluate", "small", done.directory)
    assert run.total == done.protocol["reference_count"] + 4 * 120
    steps = listener.of("step")
    assert steps == sorted(steps)
    assert steps[-1] == run.total
    assert len(set(steps)) == len(steps)
    rows = [row.label for row in done.rows]
    assert listener.of("activity") == [f"computing kid of {label}" for label in rows]
    [metrics] = listener.of("metrics")
    row = done.rows[2]
    assert metrics["kid_efficientnet-lite0/smeared"] == row.results["kid_efficientnet-lite0"].value
    assert metrics["kid_efficientnet-lite0_stderr/smeared"] == row.results["kid_efficientnet-lite0"].stderr
    assert len(metrics) == 8
    assert listener.of("end") == ["finished"]
    journal = read_journal(training_directory(experiment, root))
    [entry] = [entry for entry in journal if entry["metrics"] == metrics]
    assert (entry["stage"], entry["name"], entry["step"]) == ("evaluate", "small", run.total)


@pytest.mark.slow
def test_twice_gives_the_same_bits(report: Report, prepared: tuple[Path, list[Samples]], tmp_path: Path) -> None:
    root, samples = prepared
    first = (report.directory / "report.json").read_bytes()
    copy = tmp_path / "another place"
    shutil.copytree(data_directory(small(), root), data_directory(small(), copy))
    again = evaluate(small(), samples, copy)
    assert (again.directory / "report.json").read_bytes() == first
    shutil.rmtree(again.directory)
    from_kept_features = evaluate(small(), samples, copy)
    assert (from_kept_features.directory / "report.json").read_bytes() == first
    other = evaluate(small("seed=1"), samples, copy)
    assert other.rows[3].results != again.rows[3].results  # control: another seed is other noise


def test_the_same_images_under_another_label_are_another_report(
    report: Report, prepared: tuple[Path, list[Samples]]
) -> None:
    root, (good, smeared_ones) = prepared
    twin = draw(root, "twin", np.load(good.directory / "images.npy"))
    assert twin.digest == good.digest
    other = evaluate(small(), [twin, smeared_ones], root)
    assert [row.label for row in other.rows if row.kind == "sampler"] == ["twin", "smeared"]
    assert other.rows[1].results == report.rows[1].results


def test_kept_features_do_without_the_network(
    report: Report, prepared: tuple[Path, list[Samples]], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, samples = prepared

    def load(*_: Any) -> None:
        raise DataError("the network is loaded")

    monkeypatch.setattr(EfficientNetLite0, "load", load)
    fewer = evaluate(small(metrics=["frechet"]), samples, root)
    column = "frechet_efficientnet-lite0"
    assert [row.results[column] for row in fewer.rows] == [row.results[column] for row in report.rows]
    with pytest.raises(DataError, match="the network is loaded"):
        evaluate(small("evaluation.features.size=33"), samples, root)  # control


def test_a_finished_report_is_returned_without_torch(report: Report, prepared: tuple[Path, list[Samples]]) -> None:
    root, samples = prepared
    stamp = (report.directory / "report.json").stat().st_mtime_ns
    code = (
        "import json, sys; from pathlib import Path\n"
        "from noisette import Experiment, Samples, evaluate\n"
        f"experiment = Experiment.parse(json.loads({json.dumps(json.dumps(CONFIG))}))\n"
        f"samples = [Samples.finished(Path(path)) for path in {[str(some.directory) for some in samples]}]\n"
        f"report = evaluate(experiment, samples, Path({str(root)!r}))\n"
        "assert len(report.rows) == 4\n"
        "assert not {'torch', 'numpy'} & set(sys.modules), 'heavy'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert (report.directory / "report.json").stat().st_mtime_ns == stamp


def test_over_inception_the_columns_are_fid_and_kid(prepared: tuple[Path, list[Samples]]) -> None:
    root, samples = prepared
    done = evaluate(small(features=FakeInception(), metrics=["frechet", "kid"]), samples, root)
    assert done.columns == ["fid", "kid"]
    other = evaluate(small(features=Convolutions(), metrics=["frechet", "kid"]), samples, root)
    assert other.columns == ["frechet_convolutions", "kid_convolutions"]
    assert [row.results["fid"] for row in done.rows] == [row.results["frechet_convolutions"] for row in other.rows]


def test_without_baselines_there_are_samplers_only(prepared: tuple[Path, list[Samples]]) -> None:
    root, samples = prepared
    done = evaluate(small("evaluation.baselines=false", features=Convolutions()), samples, root)
    assert [row.kind for row in done.rows] == ["sampler", "sampler"]
    assert "recognised" in done.rows[0].results  # held-out images still set its threshold


def test_few_held_out_images_and_unequal_counts_are_noted(
    prepared: tuple[Path, list[Samples]], tmp_path: Path
) -> None:
    root, samples = prepared
    many = draw(tmp_path, "many", np.tile(np.array(samples[0].images), (5, 1, 1, 1)), ema=False)
    done = evaluate(small(features=Convolutions(), metrics=["kid"]), [samples[0], many], root)
    held = Prepared.open(data_directory(small(), root)).count("test")
    assert held < 600
    assert any(f"only {held} held-out images for 600 generated" in note for note in done.notes)
    assert any("good 120, many 600" in note for note in done.notes)
    assert done.protocol["generated_count"] == "120, 600"
    assert done.protocol["ema"] == "True, False"
    assert done.protocol["heldout_count"] == held


def test_a_metric_that_cannot_be_computed_is_noted_unless_none_can(tmp_path: Path) -> None:
    experiment = small(features=Convolutions())
    directory = data_directory(experiment, tmp_path)
    shown = np.random.default_rng(0).integers(0, 256, (40, 1, 8, 8), dtype=np.uint8)
    about = {"shape": [1, 8, 8], "classes": [], "counts": {}}
    with committed(directory, "prepared", about) as staging:
        np.save(staging / "train.npy", shown)
        np.save(staging / "test.npy", shown[:1])
    one = draw(tmp_path, "one", shown[:1])
    two = draw(tmp_path, "two", shown[:2])
    listener = Listener()
    with pytest.raises(DataError, match=r"no metric could be computed: .*recognised.*no labels.*frechet.*got 1"):
        evaluate(experiment, [one], tmp_path, events=Events([listener]))
    assert listener.of("end") == ["failed"]
    assert not list(tmp_path.glob("small-*/evaluations/*"))
    done = evaluate(experiment, [one, two], tmp_path)
    assert [sorted(row.results) for row in done.rows] == [
        [], [], ["frechet_convolutions", "kid_convolutions"], ["frechet_convolutions", "kid_convolutions"],
    ]  # fmt: skip
    notes = "\n".join(done.notes)
    assert "recognised is left out: the images have no labels" in notes
    assert "frechet is left out for held-out, one: expected at least 2 judged images" in notes


def test_what_is_missing_or_does_not_fit_is_named(prepared: tuple[Path, list[Samples]], tmp_path: Path) -> None:
    root, samples = prepared
    with pytest.raises(DataError, match="samples of at least one sampler"):
        evaluate(small(), [], root)
    with pytest.raises(DataError, match=r"digits-.*is not prepared; run the prepare stage first"):
        evaluate(small(), samples, tmp_path)
    large = draw(tmp_path, "large", np.zeros((4, 1, 16, 16), np.uint8))
    with pytest.raises(DataError, match=r"large: expected images of \(1, 8, 8\); got \(1, 16, 16\)"):
        evaluate(small(), [large], root)


def test_damaged_images_are_refused(prepared: tuple[Path, list[Samples]], tmp_path: Path) -> None:
    root, samples = prepared
    some = draw(tmp_path, "some", np.array(samples[0].images))
    path = some.directory / "images.npy"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    experiment = small(features=Convolutions(), metrics=["kid"], baselines=False)
    with pytest.raises(StorageError, match=r"images\.npy.*sha256"):
        evaluate(experiment, [some], root)
    content[-5] ^= 1
    path.write_bytes(content)
    evaluate(experiment, [some], root)  # control
