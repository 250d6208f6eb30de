"""A config whose plugin is gone: results that were made with it say which package to install."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from noisette import ConfigError, Experiment
from noisette.storage import committed
from noisette_flows.cli.runner import add_install_hints

GONE = {
    "dataset": "gone",
    "schedule": {"name": "gone"},
    "objective": "eps",
    "backbone": "noisette-gone:gone",
    "sampling": {"samplers": ["ddim", {"name": "gone", "steps": 5}]},
    "evaluation": {"features": "gone", "metrics": ["kid", "gone"]},
}
PATHS = ["dataset", "schedule", "backbone", "sampling.samplers.1", "evaluation.features", "evaluation.metrics.1"]


def origin(kind: str, version: str = "1.2", name: str = "gone", package: str = "noisette-gone") -> dict[str, str]:
    return {"kind": kind, "name": name, "distribution": package, "version": version}


def write(root: Path, directory: str, kind: str, plugins: list[dict[str, str]], age: int = 0) -> None:
    """Write a result that was made with some plugins."""
    about: dict[str, Any] = {"plugin": plugins[0]} if kind == "samples" else {"plugins": plugins}
    with committed(root / "run" / directory, kind, {} if kind == "evaluation" else about) as staging:
        (staging / "report.json").write_text(json.dumps({"details": about}))
    manifest = root / "run" / directory / "MANIFEST.json"
    os.utime(manifest, (1e9 - age, 1e9 - age))


def problems(folder: Path, config: Any, overrides: dict[str, Any] | None = None) -> dict[str, str]:
    """Return the hints by path, as the command shows them."""
    path = folder / "x.yaml"
    path.write_text(config if isinstance(config, str) else yaml.safe_dump(config))
    with pytest.raises(ConfigError) as caught:
        Experiment.load(path, overrides or {})
    told = add_install_hints(caught.value, str(path), overrides or {}, folder)
    assert [one.path for one in told.problems] == [one.path for one in caught.value.problems]
    return {one.path: one.hint for one in told.problems}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    trained = ["schedule", "objective", "backbone", "dataset"]
    write(tmp_path, "checkpoints/step-00000005", "checkpoint", [origin(kind) for kind in trained])
    write(tmp_path, "samples/gone-5-x", "samples", [origin("sampler")])
    write(tmp_path, "evaluations/x", "evaluation", [origin("features"), origin("metric")])
    return tmp_path


def test_every_place_of_a_config_gets_the_package(results: Path) -> None:
    hints = problems(results, GONE)
    assert list(hints) == PATHS
    assert set(hints.values()) == {
        "results here were made with that of noisette-gone 1.2: pip install noisette-gone==1.2"
    }


def test_overrides_count(results: Path) -> None:
    hints = problems(results, {"dataset": "digits"}, {"sampling.samplers": ["gone"]})
    assert list(hints) == ["sampling.samplers.0"]
    assert hints["sampling.samplers.0"].endswith("pip install noisette-gone==1.2")


def test_the_newest_result_decides(results: Path) -> None:
    write(results, "checkpoints/step-00000003", "checkpoint", [origin("backbone", "1.1")], age=100)
    write(results, "checkpoints/step-00000009", "checkpoint", [origin("backbone", "1.3")], age=-100)
    assert problems(results, GONE)["backbone"].endswith("noisette-gone==1.3")


def test_without_results_problems_are_as_they_were(tmp_path: Path) -> None:
    assert problems(tmp_path, GONE) == dict.fromkeys(PATHS, "")


def test_results_of_no_package_or_another_name_do_not_count(tmp_path: Path) -> None:
    others = [origin("backbone", package="unknown"), origin("schedule", name="other"), origin("sampler")]
    write(tmp_path, "checkpoints/step-00000005", "checkpoint", others)
    hints = problems(tmp_path, GONE)
    assert (hints["backbone"], hints["schedule"]) == ("", "")
    assert hints["sampling.samplers.1"] != ""  # control


def test_damaged_results_are_passed_over(results: Path) -> None:
    write(results, "checkpoints/step-00000009", "checkpoint", [origin("backbone", "9.9")], age=-100)
    manifest = results / "run" / "checkpoints" / "step-00000009" / "MANIFEST.json"
    manifest.write_text(manifest.read_text().replace("9.9", "8.8"))
    (results / "run" / "evaluations" / "x" / "report.json").write_text("{")
    hints = problems(results, GONE)
    assert hints["backbone"].endswith("noisette-gone==1.2")
    assert hints["evaluation.features"] == ""


def test_other_problems_keep_their_hints(results: Path) -> None:
    hints = problems(results, {**GONE, "trainig": {}, "training": {"stepz": 1}, "timesteps": "many"})
    assert hints["trainig"] == "did you mean 'training'?"
    assert hints["training.stepz"] == "did you mean 'steps'?"
    assert hints["backbone"].endswith("noisette-gone==1.2")


@pytest.mark.parametrize("config", ["a: [", "- x", "dataset: {name: 5}", "sampling: 5\nevaluation: [x]", ""])
def test_configs_of_any_form_are_taken(results: Path, config: str) -> None:
    assert not any("pip install" in hint for hint in problems(results, config).values())
