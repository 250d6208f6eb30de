"""Images of the process, edits, exports and imports from the command, as a person calls it."""

from __future__ import annotations

import json
import shutil
from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.workspace import FinishedRun, Workspace, make_workspace
from typer.testing import CliRunner

from noisette import NoisetteError
from noisette_flows.cli import app


@pytest.fixture(scope="module")
def photograph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    x, y = np.meshgrid(np.arange(300), np.arange(200))
    path = tmp_path_factory.mktemp("images") / "photo.jpg"
    Image.fromarray(np.stack([x % 256, y, (x + y) % 256], axis=2).astype(np.uint8)).save(path)
    return path


def called(folder: Path, *words: object) -> str:
    """Run the command in this process, for speed; return what it printed."""
    with chdir(folder):
        done = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def files(printed: str, folder: Path) -> list[Path]:
    found = [folder / line for line in printed.splitlines()]
    assert all(path.is_file() for path in found)
    return found


@pytest.mark.slow
def test_a_forward_strip_needs_no_training_no_network_and_no_config(workspace: Workspace, photograph: Path) -> None:
    done = workspace.noisette("figure", "forward", str(photograph), "--schedules", "all")
    assert done.returncode == 0, done.stderr
    (strip,) = files(done.stdout, workspace.folder)
    assert strip == workspace.folder / "runs" / "figures" / "forward-photo.png"
    assert "scaled from 300x200 to 96x64" in done.stderr
    with Image.open(strip) as image:
        assert image.mode == "RGB"
        assert 950 <= image.width <= 1150
        assert image.height == pytest.approx(24 + 7 * 68, abs=70)  # about seven schedules
    assert [path.name for path in (workspace.folder / "runs").iterdir()] == ["figures"]


def test_a_forward_strip_of_a_config_has_its_process_and_images(finished: FinishedRun, tmp_path: Path) -> None:
    arguments = [
        "test:2",
        "--config",
        "tiny.yaml",
        "--timesteps",
        "0,19",
        "--schedules",
        "linear,cosine",
        "--to",
        tmp_path,
    ]
    (strip,) = files(called(finished.workspace.folder, "figure", "forward", *arguments), tmp_path)
    with Image.open(strip) as image:
        assert image.mode == "L"
    with pytest.raises(NoisetteError, match="expected some within 0 to 19; got 20"):
        called(
            finished.workspace.folder,
            "figure",
            "forward",
            "--config",
            "tiny.yaml",
            "--timesteps",
            "20",
            "--to",
            tmp_path,
        )


def test_denoising_is_a_strip_a_gif_and_a_webp(finished: FinishedRun, tmp_path: Path) -> None:
    arguments = ["--num-images", "2", "--sampler", "ddpm:variance=fixed-large", "--frames", "5", "--to", tmp_path]
    found = files(called(finished.workspace.folder, "figure", "denoise", "tiny.yaml", *arguments), tmp_path)
    assert [path.name for path in found] == [
        f"denoise-ddpm-20-variance=fixed-large{suffix}" for suffix in (".png", ".gif", ".webp")
    ]
    for path in found[1:]:
        with Image.open(path) as animation:
            assert animation.n_frames == 5


def test_edits_and_interpolations_begin_at_any_image(
    finished: FinishedRun, photograph: Path, tmp_path: Path
) -> None:
    folder, run = finished.workspace.folder, finished.run
    words = ("--timesteps", "5,15", "--steps", 4, "--to", tmp_path, "--json")
    told = json.loads(called(folder, "figure", "edit", run, photograph, *words))
    assert told["notes"] == [f"{photograph}: made grey, cropped and scaled from 300x200 to 8x8"]
    assert [Path(name).name for name in told["files"]] == [
        "edit-photo.png",
        "edit-photo-t5.png",
        "edit-photo-t15.png",
    ]
    with Image.open(told["files"][1]) as result:
        assert result.size == (8, 8)
    words = ("test:1", "--weights", "0,0.5,1", "--to", tmp_path)
    (grid,) = files(called(folder, "figure", "interpolate", run, *words), tmp_path)
    assert grid.name == "interpolate-test_1-generated_1.png"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (
            ["figure", "edit", "nowhere", "test:0"],
            "nowhere: there is no such file or folder; expected a checkpoint's directory",
        ),
        (["figure", "edit", "runs", "test:0"], "expected a checkpoint (a directory with a MANIFEST.json) or a run"),
        (["figure", "edit", "tiny.yaml", "no.png"], "no.png: expected an image; got no such file"),
        (["figure", "edit", "tiny.yaml", "tiny.yaml"], "tiny.yaml: cannot be read as an image"),
        (["figure", "edit", "tiny.yaml", "test:99999"], "test:99999: expected an index from 0 to"),
        (
            ["figure", "edit", "tiny.yaml", "test:0", "--class", "3"],
            "class: expected none, as the network was trained",
        ),
        (
            ["figure", "edit", "tiny.yaml", "test:0", "--timesteps", "5,x"],
            "expected whole numbers with commas between",
        ),
        (["figure", "classes", "tiny.yaml"], "class: expected none"),
        (["figure", "denoise", "tiny.yaml", "--sampler", "dimm"], "did you mean 'ddim'?"),
        (["figure", "denoise", "tiny.yaml", "--steps", "21"], "expected 1 to 20, the trained timesteps; got 21"),
        (["figure", "denoise", "tiny.yaml", "--set", "seed=1"], "is not trained: there is no checkpoint in"),
        (["figure", "forward"], "expected an IMAGE, or --config CONFIG"),
        (["figure", "forward", "test:0"], "prepared images need the config of an experiment"),
        (["figure", "forward", "x.png", "--schedules", "linaer"], "did you mean 'linear'?"),
        (["export", "tiny.yaml", "."], "is not empty; name a new folder"),
        (["import", "nowhere", "tiny.yaml"], "nowhere: there is no such file or folder"),
        (["import", "home", "tiny.yaml"], "home: no installed backbone supports it"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_are_one_message(
    finished: FinishedRun, arguments: list[str], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this process, for speed; that the command shows such an error and ends in 2 is tested below."""
    monkeypatch.chdir(finished.workspace.folder)
    done = CliRunner().invoke(app, arguments)
    told = str(done.exception) if isinstance(done.exception, NoisetteError) else done.output
    assert reason in " ".join(told.replace("│", " ").split())
    assert isinstance(done.exception, NoisetteError) or done.exit_code == 2


def test_a_mistake_ends_in_2_without_a_traceback(workspace: Workspace) -> None:
    done = workspace.noisette("figure", "edit", "nowhere", "test:0")
    assert done.returncode == 2
    assert done.stderr.startswith("nowhere: there is no such file or folder")
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


def test_a_model_goes_to_diffusers_and_comes_back_to_be_drawn_from(finished: FinishedRun, tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    shutil.copytree(finished.workspace.folder / "runs", tmp_path / "runs")
    done = workspace.noisette("export", "tiny.yaml", "theirs", "--json")
    assert json.loads(done.stdout)["folder"] == "theirs", done.stderr
    assert json.loads((tmp_path / "theirs" / "model_index.json").read_text())["_class_name"] == "DDPMPipeline"
    done = workspace.noisette("import", "theirs", "tiny.yaml", "--to", "back.yaml")
    assert done.returncode == 0, done.stderr
    assert (
        "back.yaml: from theirs: backbone, objective, schedule, timesteps; the rest from tiny.yaml" in done.stdout
    )
    called(tmp_path, "import", "theirs", "tiny.yaml", "--to", "back.yaml")  # again, the same
    with pytest.raises(NoisetteError, match=r"tiny\.yaml: is there already and says something else"):
        called(tmp_path, "import", "theirs", "tiny.yaml", "--to", "tiny.yaml")
    grids = []
    for config in ("tiny.yaml", "back.yaml"):
        printed = called(tmp_path, "figure", "denoise", config, "--steps", 5, "--to", config.removesuffix(".yaml"))
        with Image.open(files(printed, tmp_path)[0]) as image:
            grids.append(np.asarray(image).astype(int))
    assert np.abs(grids[0] - grids[1]).max() <= 1
    assert grids[0].std() > 20
