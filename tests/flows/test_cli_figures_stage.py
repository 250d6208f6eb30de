"""`noisette run` and `noisette figures` of configs that list images, and `noisette figure forward`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from support.tiny import TINY
from support.workspace import Workspace, make_workspace

pytestmark = pytest.mark.slow

STRIP = {"figures": [{"name": "forward", "images": ["photo.png"], "schedules": ["linear", "cosine"]}]}
LISTED = [
    {"name": "denoise", "num_images": 2, "sampler": {"name": "ddim", "steps": 4}, "animate": False},
    "forward",
]


@pytest.fixture(scope="module")
def workspace(prefect: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = make_workspace(tmp_path_factory.mktemp("workspace"), prefect)
    x, y = np.meshgrid(np.arange(60), np.arange(40))
    Image.fromarray(np.stack([x * 4, y * 6, x + y], axis=2).astype(np.uint8)).save(workspace.folder / "photo.png")
    (workspace.folder / "strip.yaml").write_text(yaml.safe_dump(STRIP))
    listed = {**TINY, "name": "tiny", "preparation": {"limit": 64}, "figures": LISTED}
    listed["sampling"] = {"num_images": 6, "samplers": [{"name": "ddim", "steps": 5}]}
    (workspace.folder / "listed.yaml").write_text(yaml.safe_dump(listed))
    return workspace


def images(text: str) -> list[str]:
    return [word for word in text.split() if word.endswith((".png", ".gif", ".webp"))]


def test_a_strip_of_one_image_needs_nothing_else(workspace: Workspace) -> None:
    done = workspace.noisette("figure", "forward", "photo.png", "--schedules", "linear,cosine", "--to", "out")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["out/forward-photo.png"]
    with Image.open(workspace.folder / "out" / "forward-photo.png") as two:
        height = two.height
    workspace.noisette("figure", "forward", "photo.png", "--to", "all")
    with Image.open(workspace.folder / "all" / "forward-photo.png") as every:
        assert every.height > 1.5 * height  # by default a row for each of seven schedules, in smaller images
    lost = workspace.noisette("figure", "forward", "nowhere.png")
    assert lost.returncode == 2
    assert lost.stderr.strip() == "nowhere.png: expected an image; got no such file"


def test_a_config_without_data_is_run_shown_logged_and_found_again(workspace: Workspace) -> None:
    first = workspace.noisette("run", "strip.yaml")
    assert first.returncode == 0, first.stderr
    (path,) = images(first.stdout)
    assert (workspace.folder / path).is_file()
    assert "figures forward: done, 1/1" in first.stderr
    assert "mlflow ui --backend-store-uri" in first.stdout

    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{workspace.folder}/mlflow.db")
    experiment = client.get_experiment_by_name("strip")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    (folder,) = client.list_artifacts(run.info.run_id, "figures")
    assert [file.path.rpartition("/")[2] for file in client.list_artifacts(run.info.run_id, folder.path)] == [
        "forward.png"
    ]

    again = workspace.noisette("run", "strip.yaml", PREFECT_API_URL="http://127.0.0.1:9/api")  # nobody is asked
    assert again.returncode == 0, again.stderr
    assert again.stdout == first.stdout
    assert "figures forward: finished before, skipped" in again.stderr
    told = json.loads(workspace.noisette("run", "strip.yaml", "--json").stdout)
    assert told["figures"] == {"forward": [path]}
    assert [stage["status"] for stage in told["stages"]] == ["skipped"]


def test_an_experiment_draws_what_it_lists_and_what_is_added_later(workspace: Workspace) -> None:
    early = workspace.noisette("figures", "listed.yaml")
    assert early.returncode == 2
    assert "is not trained: there is no checkpoint in" in early.stderr
    whole = workspace.noisette("run", "listed.yaml", "--tracking-uri", "off")
    assert whole.returncode == 0, whole.stderr
    names = [Path(path).name for path in images(whole.stdout)]
    assert names == ["grid.png", "denoise.png", "forward.png"]
    (run,) = workspace.runs
    changed = ["--set", "figures.0.num_images=3", "--tracking-uri", "off", "--json"]
    later = workspace.noisette("figures", "listed.yaml", *changed)
    assert later.returncode == 0, later.stderr
    stages = json.loads(later.stdout)["stages"]
    assert [(stage["name"], stage["status"]) for stage in stages] == [
        ("figures denoise", "finished"),
        ("figures forward", "skipped"),
    ]
    assert len(list((run / "figures").iterdir())) == 3
    assert workspace.runs == [run]  # the training is the same
    assert "train" not in later.stderr


def test_a_config_that_lists_none_is_told_so(workspace: Workspace) -> None:
    done = workspace.noisette("figures", "tiny.yaml")
    assert done.returncode == 2
    assert "figures: expected at least one, such as denoise; got none" in done.stderr


@pytest.mark.parametrize("command", ["train", "prepare", "sample", "evaluate"])
def test_other_stages_say_that_there_are_no_data(workspace: Workspace, command: str) -> None:
    done = workspace.noisette(command, "strip.yaml")
    assert done.returncode == 2
    assert "dataset: is required" in done.stderr
