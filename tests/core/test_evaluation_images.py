"""Any two sets of images are compared: folders, prepared images, samples; what is not asked for is told."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.tiny import tiny, write_prepared

from noisette import ConfigError, DataError, Events, hookimpl
from noisette.evaluation import ImageSet, Report, compare_sets, evaluate_images
from noisette.layout import data_directory
from noisette_plugins.features import EfficientNetLite0
from noisette_plugins.metrics import KID, Frechet

FEATURES = {"name": "efficientnet-lite0", "size": 32}
KID_50 = {"name": "kid", "size": 10}
FRECHET = "frechet_efficientnet-lite0"


def made(count: int, seed: int, size: int = 8, top: int = 256, channels: int = 1) -> np.ndarray:
    shape = (count, size, size) if channels == 1 else (count, size, size, 3)
    return np.random.default_rng(seed).integers(0, top, shape, dtype=np.uint8)


def folder(path: Path, arrays: np.ndarray) -> Path:
    path.mkdir(exist_ok=True)
    for index, array in enumerate(arrays):
        Image.fromarray(array).save(path / f"{index}.png")
    return path


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    there = tmp_path_factory.mktemp("folders")
    folder(there / "real", made(60, 0))
    folder(there / "fake", made(24, 1, top=200))
    return there


def evaluated(there: Path, generated: str = "fake", reference: str = "real", **options) -> Report:
    options = {"features": FEATURES, "metrics": ["frechet"], "root": there / "runs", **options}
    return evaluate_images(there / generated, there / reference, **options)


def test_the_numbers_are_those_of_the_sets(folders: Path) -> None:
    report = evaluated(folders, metrics=["frechet", KID_50])
    plugin, metrics = EfficientNetLite0(size=32), [Frechet(), KID(size=10)]

    def set_of(arrays: np.ndarray) -> ImageSet:
        return ImageSet("a", arrays[:, None])  # 2.png comes before 10.png

    expected = compare_sets(set_of(made(24, 1, top=200)), set_of(made(60, 0)), None, plugin, metrics)
    floor, judged = report.rows
    assert judged.results == expected.results
    assert (floor.kind, judged.kind) == ("floor", "images")
    assert floor.results[FRECHET].value < judged.results[FRECHET].value
    assert report.columns == list(expected.results)


def test_the_floor_is_some_of_the_reference_against_the_rest(folders: Path) -> None:
    report = evaluated(folders)
    protocol = report.protocol
    assert (protocol["heldout_count"], protocol["floor_against"], protocol["reference_count"]) == (24, 36, 60)
    assert any("24 images of the reference against its other 36" in note for note in report.notes)
    assert evaluated(folders, seed=1).rows[0].results != report.rows[0].results
    assert evaluated(folders, seed=1).rows[1].results == report.rows[1].results
    assert [row.kind for row in evaluated(folders, floor=False).rows] == ["images"]


def test_held_out_images_of_a_folder_make_the_floor(folders: Path) -> None:
    folder(folders / "more", made(30, 5))
    report = evaluated(folders, heldout=folders / "more")
    assert (report.protocol["heldout_count"], report.protocol["floor_against"]) == (24, 60)
    assert "heldout" in report.details["sides"]


def test_the_protocol_says_what_was_compared(folders: Path) -> None:
    report = evaluated(folders)
    protocol = report.protocol
    assert protocol["generated"] == "24 of 24 files, 8x8 grey"
    assert protocol["resize"] == "anti-aliased bicubic to 32x32"
    assert len(protocol["weights_sha256"]) == 64
    assert {"noisette", "torch", "numpy", "python", "precision", "device", "floor_seed"} <= protocol.keys()
    assert report.details["sides"]["reference"]["found"] == 60
    assert json.loads((report.directory / "report.json").read_text())["protocol"] == protocol


def test_an_evaluation_is_found_again_and_made_anew_gives_the_same_bits(folders: Path, tmp_path: Path) -> None:
    first = evaluated(folders, metrics=["frechet", KID_50])
    stamp = (first.directory / "report.json").stat().st_mtime_ns
    assert evaluated(folders, metrics=["frechet", KID_50]) == first
    assert (first.directory / "report.json").stat().st_mtime_ns == stamp
    anew = evaluated(folders, metrics=["frechet", KID_50], root=tmp_path)
    assert [row.results for row in anew.rows] == [row.results for row in first.rows]


def test_the_network_looks_at_each_image_once(folders: Path, tmp_path: Path, monkeypatch) -> None:
    seen: list[int] = []
    load = EfficientNetLite0.load

    def counting(self, device):
        extract = load(self, device)
        return lambda images: seen.append(len(images)) or extract(images)

    monkeypatch.setattr(EfficientNetLite0, "load", counting)
    evaluated(folders, root=tmp_path)
    assert sum(seen) == 84  # 60 and 24: the parts of the floor are known already
    evaluated(folders, root=tmp_path, metrics=[KID_50])
    assert sum(seen) == 84


def test_images_of_different_sizes_are_brought_to_the_networks_and_it_is_told(tmp_path: Path) -> None:
    folder(tmp_path / "real", made(20, 0))
    fakes = folder(tmp_path / "fake", made(10, 1))
    Image.fromarray(made(1, 2, size=12, channels=3)[0]).save(fakes / "large.png")
    report = evaluated(tmp_path, metrics=[{"name": "kid", "size": 5}])
    assert report.protocol["generated"] == "11 of 11 files, 32x32 RGB, scaled from 8x8 to 12x12"
    assert report.protocol["reference"] == "20 of 20 files, 32x32 RGB, scaled from 8x8"
    chosen = evaluated(tmp_path, size=8, metrics=[{"name": "kid", "size": 5}])
    assert chosen.protocol["generated"].endswith("8x8 RGB, cut to squares and scaled from 8x8 to 12x12")
    assert chosen.rows[1].results != report.rows[1].results


def test_sets_of_two_sizes_are_compared_with_a_note(folders: Path) -> None:
    folder(folders / "large", made(24, 1, size=16))
    report = evaluated(folders, "large", metrics=["frechet", "recognised"])
    assert any("16x16 pixels and the real ones 8x8" in note for note in report.notes)
    assert any(note.startswith("recognised is left out: ") for note in report.notes)
    assert not any("pixels and the real ones" in note for note in evaluated(folders, "large", size=8).notes)


def test_what_is_no_image_is_counted_and_listed(folders: Path) -> None:
    some = folder(folders / "some", made(8, 3))
    (some / "note.txt").write_text("no")
    side = evaluated(folders, "some").details["sides"]["generated"]
    assert (side["found"], side["accepted"], side["rejected"]) == (9, 8, 1)
    assert "no image in a format" in json.loads(Path(side["rejections"]).read_text())["reason"]


def test_beside_prepared_images_a_folder_is_prepared_as_they_were(tmp_path: Path) -> None:
    experiment = tiny()
    write_prepared(tmp_path / "runs", experiment)
    data = data_directory(experiment, tmp_path / "runs")
    folder(tmp_path / "fake", made(12, 1, size=20, channels=3))
    report = evaluate_images(
        tmp_path / "fake", data, features=FEATURES, metrics=["frechet", "recognised"], root=tmp_path / "runs"
    )
    assert report.protocol["generated"] == "12 of 12 files, 8x8 grey, cut to squares and scaled from 20x20"
    assert report.protocol["reference_split"] == "train"
    assert (report.protocol["heldout_split"], report.protocol["heldout_count"]) == ("test", 8)
    with pytest.raises(DataError, match="prepared images are 8x8 with 1 channels; size and channels"):
        evaluate_images(tmp_path / "fake", data, size=4, root=tmp_path / "runs")


def test_mistakes_are_told_in_one_message(folders: Path) -> None:
    with pytest.raises(DataError, match="nowhere: expected a folder of images; there is none"):
        evaluated(folders, "nowhere")
    with pytest.raises(ConfigError, match="no features 'incept'"):
        evaluated(folders, features="incept")
    with pytest.raises(DataError, match="all of these judge a model"):
        evaluated(folders, metrics=["likelihood"])
    one = folder(folders / "one", made(1, 3))
    with pytest.raises(DataError, match="no metric could be computed: frechet is left out: expected at least 2"):
        evaluated(folders, one.name, floor=False)
    (folders / "tiny.yaml").write_text("dataset: digits\n")
    with pytest.raises(DataError, match=r"tiny.yaml: its images are not prepared.*noisette prepare"):
        evaluated(folders, "fake", "tiny.yaml")
    assert not list((folders / "runs" / "evaluations").glob(".*"))


def test_listeners_are_told(folders: Path, tmp_path: Path) -> None:
    heard = []

    class Listener:
        @hookimpl
        def on_run_start(self, run):
            heard.append((run.stage, run.total))

        @hookimpl
        def on_step(self, run, step):
            heard.append(step)

    evaluated(folders, root=tmp_path, events=Events([Listener()]))
    assert [one for one in heard if isinstance(one, tuple)] == [("prepare", 0), ("prepare", 0), ("evaluate", 144)]
    assert heard[-1] == 144


def test_a_finished_evaluation_is_answered_without_torch(folders: Path) -> None:
    evaluated(folders)
    code = (
        "import sys; from noisette.evaluation import evaluate_images\n"
        f"evaluate_images({str(folders / 'fake')!r}, {str(folders / 'real')!r}, features={FEATURES!r}, "
        f"metrics=['frechet'], root={str(folders / 'runs')!r})\n"
        "assert not {'torch', 'PIL', 'sklearn'} & set(sys.modules), 'heavy'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
