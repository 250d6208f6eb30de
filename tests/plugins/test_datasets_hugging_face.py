"""Data sets in Hugging Face's formats: parquet and arrow folders, with labels and without, and what is refused."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.dataset_files import image_files, jpeg

from noisette import DataError, Experiment, Prepared, prepare
from noisette.config import Preparation
from noisette.testing import run_checks
from noisette_plugins.datasets import HuggingFace

datasets = pytest.importorskip("datasets", reason="reads the hub's formats")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the library off the network and out of the user's cache."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hugging-face")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)


def table(count: int, part: int = 0, label: str = "kind"):
    features = datasets.Features(
        {
            "image": datasets.Image(),
            label: datasets.ClassLabel(names=["cat", "dog", "emu"]),
            "text": datasets.Value("string"),
        }
    )
    rows = {
        "image": [{"bytes": jpeg(number, part), "path": None} for number in range(count)],
        label: [number % 3 for number in range(count)],
        "text": ["words"] * count,
    }
    return datasets.Dataset.from_dict(rows, features=features)


def prepared(tmp_path: Path, **options) -> Prepared:
    dataset = HuggingFace(**options)
    preparation = Preparation(size=16)
    return prepare(
        Experiment.model_construct(name="x", dataset=dataset, preparation=preparation), tmp_path / "runs"
    )


def reds(data: Prepared, split: str) -> list[int]:
    return [round(float(value) / 8) for value in data.images(split)[:, 0].mean(axis=(1, 2))]


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    folder = tmp_path / "animals"
    folder.mkdir()
    table(20).to_parquet(folder / "train-00000-of-00001.parquet")
    table(6, 1).to_parquet(folder / "test-00000-of-00001.parquet")
    return folder


def test_a_folder_of_parquet_files(parquet: Path, tmp_path: Path):
    data = prepared(tmp_path, path=str(parquet), label="kind")
    assert (data.shape, data.classes) == ((3, 16, 16), ("cat", "dog", "emu"))
    assert (reds(data, "train"), reds(data, "test")) == (list(range(20)), list(range(6)))
    assert data.labels("train").tolist() == [number % 3 for number in range(20)]
    assert data.images("test")[:, 1].mean() == pytest.approx(40, abs=2)  # the test file's own images


def test_without_a_column_of_labels_there_are_none(parquet: Path, tmp_path: Path):
    data = prepared(tmp_path, path=str(parquet))
    assert (data.classes, data.labels("train")) == ((), None)


@pytest.mark.parametrize("split", [True, False])
def test_what_was_saved_to_disk(tmp_path: Path, split: bool):
    folder = tmp_path / "saved"
    if split:
        datasets.DatasetDict(train=table(20), validation=table(6, 1)).save_to_disk(folder)
        data = prepared(tmp_path, path=str(folder), test="validation", label="kind")
        assert (data.count("train"), data.count("test")) == (20, 6)
    else:
        table(60).save_to_disk(folder)
        data = prepared(tmp_path, path=str(folder), test=None, held_out=0.3)
        assert data.count("train") + data.count("test") == 60
        assert 8 <= data.count("test") <= 30
        assert sorted(reds(data, "train") + reds(data, "test")) == sorted(number % 32 for number in range(60))


def test_it_keeps_the_contract(parquet: Path):
    for options in ({"label": "kind"}, {"test": None, "held_out": 0.4}):
        results = run_checks(HuggingFace(path=str(parquet), **options))
        assert [result.message for result in results if result.outcome != "passed"] == []


def test_changed_files_are_other_data(parquet: Path, tmp_path: Path):
    first = prepared(tmp_path, path=str(parquet))
    table(21).to_parquet(parquet / "train-00000-of-00001.parquet")
    second = prepared(tmp_path, path=str(parquet))
    assert (first.count("train"), second.count("train")) == (20, 21)
    assert first.directory != second.directory


def test_a_row_without_a_image_is_rejected_with_its_reason(tmp_path: Path):
    features = datasets.Features({"image": datasets.Image()})
    rows = [{"bytes": jpeg(1), "path": None}, {"bytes": b"no image", "path": None}, None]
    folder = tmp_path / "holes"
    folder.mkdir()
    whole = datasets.Dataset.from_dict({"image": rows}, features=features)
    whole.to_parquet(folder / "train.parquet")
    whole.to_parquet(folder / "test.parquet")
    data = prepared(tmp_path, path=str(folder))
    assert data.about["counts"]["train"] == {"found": 3, "accepted": 1, "rejected": 2}
    assert "there is no image in it" in (data.directory / "rejected.jsonl").read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"test": "validation"},
            r"there is no split validation; there are .*set dataset\.test, or dataset\.test=null",
        ),
        ({"train": "trian"}, r"there is no split trian; there are .*set dataset\.train$"),
        ({"image": "text"}, r"dataset\.image: expected a column of images, one of image; got text"),
        ({"label": "text"}, r"dataset\.label: expected a column of classes; text is Value"),
    ],
)
def test_what_is_not_there_is_said(parquet: Path, tmp_path: Path, options: dict[str, str], message: str):
    with pytest.raises(DataError, match=message):
        prepared(tmp_path, path=str(parquet), **options)


def test_files_of_other_kinds_are_not_read(tmp_path: Path):
    folder = tmp_path / "tables"
    folder.mkdir()
    (folder / "train.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="its files are csv; expected parquet, arrow, imagefolder"):
        prepared(tmp_path, path=str(folder))


def test_a_folder_of_images_is_one(tmp_path: Path):
    for split in ("train", "test"):
        image_files(tmp_path / "images" / split, 5)
    assert prepared(tmp_path, path=str(tmp_path / "images")).count("train") == 5


def test_a_name_that_the_hub_does_not_give_says_what_to_do(tmp_path: Path):
    with pytest.raises(
        DataError, match="expected a data set of the hub, or a folder of parquet or arrow files"
    ) as error:
        prepared(tmp_path, path="nobody/nothing")
    assert "copy its files here from a machine that has one" in str(error.value)


def test_without_the_library_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import noisette_plugins.datasets.hugging_face as module

    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"needs the library datasets.*pip install 'datasets>="):
        prepared(tmp_path, path="animals", label="kind")


def test_images_are_decoded_by_the_same_rules_as_files(tmp_path: Path):
    """A clear image lies over white, as in `image-folder`: the library's own decoding leaves four channels."""
    file = io.BytesIO()
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(file, format="PNG")
    features = datasets.Features({"image": datasets.Image()})
    folder = tmp_path / "clear"
    folder.mkdir()
    for split in ("train", "test"):
        rows = {"image": [{"bytes": file.getvalue(), "path": None}]}
        datasets.Dataset.from_dict(rows, features=features).to_parquet(folder / f"{split}.parquet")
    assert np.unique(prepared(tmp_path, path=str(folder)).images("train")).tolist() == [255]
