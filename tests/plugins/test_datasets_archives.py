"""CelebA, Flowers 102 and LSUN from small files in their true layouts: on disk, loose or packed, and served."""

from __future__ import annotations

import shutil
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from support.dataset_files import accept_small_datasets, celeba_files, flowers_files, jpeg, lsun_files

from noisette import DataError, Dataset, Experiment, Prepared, prepare
from noisette.config import Preparation
from noisette.layout import data_directory
from noisette.testing import run_checks
from noisette_plugins.datasets import CelebA, Flowers102, Lsun


@pytest.fixture(autouse=True, scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Small files, which the data sets of this module take for whole."""
    with accept_small_datasets(tmp_path_factory.mktemp("files")) as paths:
        yield paths


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, str]]:
    """Serve a folder on 127.0.0.1; give it and its address."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            """Say nothing."""

    folder = tmp_path / "served"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


def experiment_of(dataset: Dataset) -> Experiment:
    preparation = Preparation(size=16, channels=3)
    return Experiment.model_construct(name="x", dataset=dataset, preparation=preparation)


def prepared(dataset: Dataset, tmp_path: Path) -> Prepared:
    return prepare(experiment_of(dataset), tmp_path / "runs", cache=tmp_path / "cache")


def reds(data: Prepared, split: str) -> list[int]:
    """Return the numbers that the images tell, modulo 32."""
    return [round(float(value) / 8) for value in data.images(split)[:, 0].mean(axis=(1, 2))]


def greens(data: Prepared, split: str) -> set[int]:
    return {round(float(value) / 40) for value in data.images(split)[:, 1].mean(axis=(1, 2))}


# CelebA.


def check_celeba(data: Prepared) -> None:
    assert (data.count("train"), data.count("test"), data.classes) == (40, 12, ())
    assert reds(data, "train") == [number % 32 for number in range(1, 41)]
    assert reds(data, "test") == [number % 32 for number in range(44, 56)]
    assert (greens(data, "train"), greens(data, "test")) == ({0}, {2})  # the validation images are in neither


def test_celebas_archive_is_read_without_unpacking_it(files: dict[str, str], tmp_path: Path):
    check_celeba(prepared(CelebA(path=Path(files["celeba"])), tmp_path))
    assert {path.name for path in Path(files["celeba"]).iterdir()} == {
        "img_align_celeba.zip",
        "list_eval_partition.txt",
    }


def test_torchvisions_folder_of_celeba_is_found(tmp_path: Path):
    celeba_files(tmp_path / "torchvision" / "celeba", counts=(40, 3, 12), loose=True)
    dataset = CelebA(path=tmp_path / "torchvision")
    check_celeba(prepared(dataset, tmp_path))
    (tmp_path / "torchvision" / "celeba" / "img_align_celeba" / "000050.jpg").unlink()
    with pytest.raises(DataError, match=r"000050\.jpg: is missing: the folder is not all of CelebA"):
        prepared(dataset, tmp_path)


def test_another_archive_of_celeba_is_refused(files: dict[str, str], tmp_path: Path):
    shutil.copytree(files["celeba"], tmp_path / "celeba")
    with zipfile.ZipFile(tmp_path / "celeba" / "img_align_celeba.zip", "a") as archive:
        archive.writestr("img_align_celeba/more.jpg", b"")
    with pytest.raises(DataError, match=r"is not the published img_align_celeba\.zip: expected md5"):
        prepared(CelebA(path=tmp_path), tmp_path)
    with pytest.raises(DataError, match=r"expected list_eval_partition\.txt in .*; there is none"):
        prepared(CelebA(path=tmp_path / "nowhere"), tmp_path)


def test_celeba_is_downloaded_once_and_checked(files: dict[str, str], tmp_path: Path, served, monkeypatch):
    folder, address = served
    shutil.copytree(files["celeba"], folder, dirs_exist_ok=True)
    monkeypatch.setattr(CelebA, "_urls", lambda self, name: [f"{address}{name}"])
    check_celeba(prepared(CelebA(), tmp_path))
    shutil.rmtree(folder)
    folder.mkdir()
    check_celeba(prepare(experiment_of(CelebA()), tmp_path / "again", cache=tmp_path / "cache"))
    with pytest.raises(DataError) as error:
        prepare(experiment_of(CelebA()), tmp_path / "third", cache=tmp_path / "empty")
    assert "HTTP 404" in str(error.value)
    assert f"put them in {tmp_path / 'empty' / 'celeba'}, or set dataset.path" in str(error.value)


# Flowers 102.


def check_flowers(data: Prepared, count: int = 40) -> None:
    assert (data.count("train"), data.count("test"), len(data.classes)) == (count, 12, 102)
    assert reds(data, "train")[-40:] == [number % 32 for number in range(17, 57)]
    assert reds(data, "test") == [number % 32 for number in range(5, 17)]  # in order, though the list is not
    assert data.labels("train")[-40:].tolist() == list(range(16, 56))
    assert data.labels("test").tolist() == list(range(4, 16))


def test_flowers_are_unpacked_once_into_the_cache(files: dict[str, str], tmp_path: Path):
    dataset = Flowers102(path=Path(files["flowers102"]))
    check_flowers(prepared(dataset, tmp_path))
    images = tmp_path / "cache" / "flowers102" / "jpg"
    assert len(list(images.iterdir())) == 56
    assert [path.name for path in images.parent.iterdir()] == ["jpg"]  # nothing half-done beside it
    before = images.stat().st_mtime_ns
    check_flowers(prepare(experiment_of(dataset), tmp_path / "other", cache=tmp_path / "cache"))
    assert images.stat().st_mtime_ns == before


def test_the_validation_images_of_flowers_are_trained_on_where_asked(files: dict[str, str], tmp_path: Path):
    data = prepared(Flowers102(path=Path(files["flowers102"]), validation=True), tmp_path)
    check_flowers(data, 44)
    assert data.labels("train")[:4].tolist() == [0, 1, 2, 3]


def test_torchvisions_folder_of_flowers_is_found(tmp_path: Path):
    flowers_files(tmp_path / "torchvision" / "flowers-102", loose=True)
    dataset = Flowers102(path=tmp_path / "torchvision")
    check_flowers(prepared(dataset, tmp_path))
    assert not (tmp_path / "cache").exists()
    before = data_directory(experiment_of(dataset), tmp_path)
    (tmp_path / "torchvision" / "flowers-102" / "jpg" / "image_00056.jpg").unlink()
    assert data_directory(experiment_of(dataset), tmp_path) != before
    with pytest.raises(DataError, match=r"image_00056\.jpg: is missing"):
        prepared(dataset, tmp_path)


def test_flowers_are_downloaded_and_a_changed_list_is_refused(
    files: dict[str, str], tmp_path: Path, served, monkeypatch
):
    folder, address = served
    shutil.copytree(files["flowers102"], folder, dirs_exist_ok=True)
    monkeypatch.setattr(Flowers102, "_urls", lambda self, name: [f"{address}{name}"])
    check_flowers(prepared(Flowers102(), tmp_path))
    (folder / "setid.mat").write_bytes(b"another")
    with pytest.raises(DataError, match=r"setid\.mat: could not be downloaded"):
        prepare(experiment_of(Flowers102()), tmp_path / "again", cache=tmp_path / "empty")


def test_links_out_of_an_archive_are_not_unpacked(files: dict[str, str], tmp_path: Path, monkeypatch):
    import io
    import tarfile

    from noisette_plugins.datasets._common import unpack_archive

    packed = tmp_path / "evil.tgz"
    with tarfile.open(packed, "w:gz") as tar:
        evil = tarfile.TarInfo("../evil")
        evil.size = 4
        tar.addfile(evil, io.BytesIO(b"evil"))
    with pytest.raises(DataError, match=r"evil\.tgz: cannot be unpacked"):
        unpack_archive(packed, tmp_path / "cache" / "jpg", "jpg")
    assert not list(tmp_path.rglob("evil"))
    assert not list((tmp_path / "cache").iterdir())


# LSUN.


def check_lsun(data: Prepared) -> None:
    assert (data.count("train"), data.count("test"), data.classes) == (40, 12, ())
    assert reds(data, "train") == [number % 32 for number in range(40)]
    assert (greens(data, "train"), greens(data, "test")) == ({0}, {1})


def test_lsuns_databases_are_read_in_the_order_of_their_keys(files: dict[str, str], tmp_path: Path):
    pytest.importorskip("lmdb", reason="reads LSUN's databases")
    check_lsun(prepared(Lsun(path=Path(files["lsun"])), tmp_path))


def test_a_database_of_other_length_is_refused(tmp_path: Path):
    pytest.importorskip("lmdb", reason="reads LSUN's databases")
    lsun_files(tmp_path / "lsun", count=39)
    with pytest.raises(DataError, match=r"expected 40 images; it has 39\. Of a part of LSUN"):
        prepared(Lsun(path=tmp_path / "lsun"), tmp_path)


def test_lsun_exported_to_folders_needs_no_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import noisette_plugins.datasets.lsun as module

    monkeypatch.setattr(module, "find_spec", lambda name: None)
    for part, (name, count) in enumerate((("train", 40), ("val", 12))):
        for number in range(count):
            path = tmp_path / "lsun" / f"bedroom_{name}" / f"{number // 10}" / f"{number:03d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(jpeg(number, part))
    check_lsun(prepared(Lsun(path=tmp_path / "lsun"), tmp_path))
    with pytest.raises(DataError, match=r"need lmdb.*pip install 'lmdb>="):
        prepared(Lsun(path=tmp_path), tmp_path)  # control: a database would be needed


def test_lsun_is_downloaded_whole_or_not_at_all(files: dict[str, str], tmp_path: Path, served, monkeypatch):
    pytest.importorskip("lmdb", reason="reads LSUN's databases")
    folder, address = served
    for name in ("bedroom_train_lmdb", "bedroom_val_lmdb"):
        with zipfile.ZipFile(folder / f"{name}.zip", "w", zipfile.ZIP_STORED) as archive:
            for file in sorted((Path(files["lsun"]) / name).iterdir()):
                archive.write(file, f"{name}/{file.name}")
    monkeypatch.setattr(Lsun, "address", address.rstrip("/"))
    check_lsun(prepared(Lsun(), tmp_path))
    assert {path.suffix for path in (tmp_path / "cache" / "lsun").iterdir() if not path.name.startswith(".")} == {
        ""
    }

    packed = folder / "bedroom_train_lmdb.zip"
    content = bytearray(packed.read_bytes())
    content[len(content) // 3] ^= 1
    packed.write_bytes(content)
    with pytest.raises(
        DataError, match=r"expected a zip archive that is whole; bedroom_train_lmdb/.* in it is damaged"
    ):
        prepare(experiment_of(Lsun()), tmp_path / "again", cache=tmp_path / "empty")
    assert not (tmp_path / "empty" / "lsun" / "bedroom_train_lmdb").exists()


# What all of them share.


@pytest.mark.parametrize("plugin", [CelebA, Flowers102, Lsun], ids=lambda plugin: plugin.name)
def test_they_keep_the_contract(files: dict[str, str], plugin: type[Dataset], tmp_path: Path, monkeypatch):
    monkeypatch.setenv("NOISETTE_CACHE", str(tmp_path))
    results = run_checks(plugin(path=files[plugin.name]))
    elsewhere = "same-in-another-process"  # takes these small files for damaged
    assert [one.message for one in results if one.outcome != "passed" and one.check != elsewhere] == []


# What is known of the real files.


def test_hashes_and_addresses_are_those_that_torchvision_knows(monkeypatch: pytest.MonkeyPatch):
    from torchvision import datasets

    monkeypatch.undo()
    real = {file: md5 for _, md5, file in datasets.CelebA.file_list} | dict(datasets.Flowers102._file_dict.values())
    published = {
        "img_align_celeba.zip": "00d2c5bc6d35e252742224ab0c1e8fcb",
        "list_eval_partition.txt": "d32c9cbf5e040fd4025c592c306e6668",
        "102flowers.tgz": "52808999861908f626f3c1f4e79d11fa",
        "imagelabels.mat": "e0620be6f572b9609742df49c70aed4d",
        "setid.mat": "a5357ecc9cb78c4bef273ce3793fc85c",
    }
    assert {name: real[name] for name in published} == published
    assert set(CelebA.md5) | set(Flowers102.md5) == set(published)
    source = "".join(
        Path(__import__(plugin.__module__, fromlist=["x"]).__file__).read_text() for plugin in (CelebA, Flowers102)
    )
    assert all(md5 in source for md5 in published.values())
    for dataset in (CelebA(), Flowers102()):
        for name in dataset.md5:
            (url,) = dataset._urls(name)
            assert url.startswith("https://")
    assert np.unique(Flowers102().classes()).size == 102
