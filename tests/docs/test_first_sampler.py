"""The guide to the first sampler, followed in a fresh environment."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import pytest
from support.environment import REPOSITORY, Environment
from support.guide import Guide, blocks

GUIDE = (REPOSITORY / "docs" / "first-sampler.md").read_text()

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def followed(environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Guide:
    """The guide, after its last block."""
    guide = Guide(environment, tmp_path_factory.mktemp("guide"))
    guide.follow(GUIDE)
    return guide


@pytest.fixture(scope="module")
def report(followed: Guide) -> dict[str, Any]:
    (path,) = followed.folder.glob("runs/first-*/evaluations/*/report.json")
    return json.loads(path.read_text())


def test_every_command_and_listing_matches(followed: Guide) -> None:
    commands = [line for ran, _ in followed.log for line in ran.splitlines()]
    assert commands == [
        line for block in blocks(GUIDE) if block.language == "sh" for line in block.text.splitlines()
    ]
    assert [line.split()[:2] for line in commands if line.startswith(("noisette", "pip"))] == [
        ["noisette", "plugins"],
        ["pip", "install"],
        ["noisette", "plugins"],
        ["noisette", "plugins"],
        ["noisette", "plugins"],
        ["noisette", "run"],
    ]


def test_the_sampler_is_listed_with_its_package(followed: Guide) -> None:
    (adams,) = (line for line in followed.environment.plugins(followed.folder) if line["name"] == "adams")
    assert (adams["kind"], adams["status"]) == ("sampler", "ok")
    assert (adams["distribution"], adams["version"]) == ("noisette-adams", "0.1.0")
    assert adams["description"].startswith("The second-order Adams-Bashforth method")


def test_it_has_a_row_in_the_table(report: dict[str, Any]) -> None:
    rows = [
        (row["label"], row["steps"], row["network_calls"]) for row in report["rows"] if row["kind"] == "sampler"
    ]
    assert rows == [("ddim-10", 10, 10), ("adams-10", 10, 10), ("ddim-100", 100, 100)]


def test_it_is_nearer_to_many_steps_than_ddim(report: dict[str, Any]) -> None:
    kid = {row["label"]: row["results"]["kid_efficientnet-lite0"]["value"] for row in report["rows"]}
    assert abs(kid["adams-10"] - kid["ddim-100"]) < 0.75 * abs(kid["ddim-10"] - kid["ddim-100"])


def test_its_run_in_mlflow_names_its_package(followed: Guide) -> None:
    database = sqlite3.connect(followed.folder / "mlflow.db")
    tags = "select r.name, t.value from runs r join tags t using (run_uuid) where t.key = 'noisette.sampler'"
    assert dict(database.execute(tags).fetchall()) == {
        "ddim-10": "ddim (noisette 0.1.0)",
        "adams-10": "adams (noisette-adams 0.1.0)",
        "ddim-100": "ddim (noisette 0.1.0)",
    }
    measured = "select distinct m.key from metrics m join runs r using (run_uuid) where r.name = 'adams-10'"
    assert {"kid efficientnet-lite0", "seconds_per_image"} <= {key for (key,) in database.execute(measured)}


def test_its_images_name_its_package(followed: Guide) -> None:
    (manifest,) = followed.folder.glob("runs/first-*/samples/adams-10-*/MANIFEST.json")
    origin = json.loads(manifest.read_text())["about"]["plugin"]
    assert len(origin.pop("code")) == 10
    assert origin == {
        "kind": "sampler",
        "name": "adams",
        "distribution": "noisette-adams",
        "version": "0.1.0",
    }
