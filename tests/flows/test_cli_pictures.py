"""`noisette run` and `noisette pictures` of configs that list pictures, and `noisette forward`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from support.tiny import TINY
from support.workshop import Workshop, workshop_in

pytestmark = pytest.mark.slow

STRIP = {"pictures": [{"name": "forward", "pictures": ["photo.png"], "schedules": ["linear", "cosine"]}]}
LISTED = [{"name": "denoise", "count": 2, "sampler": {"name": "ddim", "steps": 4}, "animate": False}, "forward"]


@pytest.fixture(scope="module")
def workshop(prefect: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    workshop = workshop_in(tmp_path_factory.mktemp("workshop"), prefect)
    x, y = np.meshgrid(np.arange(60), np.arange(40))
    Image.fromarray(np.stack([x * 4, y * 6, x + y], axis=2).astype(np.uint8)).save(workshop.folder / "photo.png")
    (workshop.folder / "strip.yaml").write_text(yaml.safe_dump(STRIP))
    listed = {**TINY, "name": "tiny", "preparation": {"limit": 64}, "pictures": LISTED}
    listed["sampling"] = {"num_images": 6, "samplers": [{"name": "ddim", "steps": 5}]}
    (workshop.folder / "listed.yaml").write_text(yaml.safe_dump(listed))
    return workshop


def images(text: str) -> list[str]:
    return [word for word in text.split() if word.endswith((".png", ".gif", ".webp"))]


def test_a_strip_of_one_picture_needs_nothing_else(workshop: Workshop) -> None:
    done = workshop.noisette("forward", "photo.png", "--schedules", "linear,cosine", "--to", "out")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["out/forward-photo.png"]
    with Image.open(workshop.folder / "out" / "forward-photo.png") as two:
        height = two.height
    workshop.noisette("forward", "photo.png", "--to", "all")
    with Image.open(workshop.folder / "all" / "forward-photo.png") as every:
        assert every.height > 1.5 * height  # by default a row for each of seven schedules, in smaller pictures
    lost = workshop.noisette("forward", "nowhere.png")
    assert lost.returncode == 2
    assert lost.stderr.strip() == "nowhere.png: there is no such file; expected a picture"


def test_a_config_without_data_is_run_shown_logged_and_found_again(workshop: Workshop) -> None:
    first = workshop.noisette("run", "strip.yaml")
    assert first.returncode == 0, first.stderr
    (path,) = images(first.stdout)
    assert (workshop.folder / path).is_file()
    assert "pictures forward: done, 1/1" in first.stderr
    assert "mlflow ui --backend-store-uri" in first.stdout

    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{workshop.folder}/mlflow.db")
    experiment = client.get_experiment_by_name("strip")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    (folder,) = client.list_artifacts(run.info.run_id, "pictures")
    assert [file.path.rpartition("/")[2] for file in client.list_artifacts(run.info.run_id, folder.path)] == [
        "forward.png"
    ]

    again = workshop.noisette("run", "strip.yaml", PREFECT_API_URL="http://127.0.0.1:9/api")  # nobody is asked
    assert again.returncode == 0, again.stderr
    assert again.stdout == first.stdout
    assert "pictures forward: finished before, skipped" in again.stderr
    told = json.loads(workshop.noisette("run", "strip.yaml", "--json").stdout)
    assert told["pictures"] == {"forward": [path]}
    assert [stage["status"] for stage in told["stages"]] == ["skipped"]


def test_an_experiment_draws_what_it_lists_and_what_is_added_later(workshop: Workshop) -> None:
    early = workshop.noisette("pictures", "listed.yaml")
    assert early.returncode == 2
    assert "has not begun; run `noisette train` first" in early.stderr
    whole = workshop.noisette("run", "listed.yaml", "--tracking-uri", "off")
    assert whole.returncode == 0, whole.stderr
    names = [Path(path).name for path in images(whole.stdout)]
    assert names == ["grid.png", "denoise.png", "forward.png"]
    (run,) = workshop.runs
    changed = ["--set", "pictures.0.count=3", "--tracking-uri", "off", "--json"]
    later = workshop.noisette("pictures", "listed.yaml", *changed)
    assert later.returncode == 0, later.stderr
    stages = json.loads(later.stdout)["stages"]
    assert [(stage["name"], stage["status"]) for stage in stages] == [
        ("pictures denoise", "finished"),
        ("pictures forward", "skipped"),
    ]
    assert len(list((run / "pictures").iterdir())) == 3
    assert workshop.runs == [run]  # the training is the same
    assert "train" not in later.stderr


def test_a_config_that_lists_none_is_told_so(workshop: Workshop) -> None:
    done = workshop.noisette("pictures", "tiny.yaml")
    assert done.returncode == 2
    assert "pictures: is empty: there is nothing to make" in done.stderr


@pytest.mark.parametrize("command", ["train", "prepare", "sample", "evaluate"])
def test_other_stages_say_that_there_are_no_data(workshop: Workshop, command: str) -> None:
    done = workshop.noisette(command, "strip.yaml")
    assert done.returncode == 2
    assert "dataset: is required" in done.stderr
