"""CIFAR-10 from small files in its binary layout: loose, in the archive, and served on 127.0.0.1."""

from __future__ import annotations

import hashlib
import io
import pickle
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from noisette import DataError, Experiment, Prepared, prepare
from noisette.config import Preparation
from noisette.layout import data_directory
from noisette_plugins.datasets import Cifar10

RECORDS = 4
NAMES = [f"data_batch_{number}.bin" for number in range(1, 6)] + ["test_batch.bin"]
ARCHIVE = "cifar-10-binary.tar.gz"


def batch(number: int) -> bytes:
    """Return records whose label is their place, red the batch's number, green the row, blue the column."""
    rows, columns = np.indices((32, 32), dtype=np.uint8)
    red = np.full((32, 32), number, dtype=np.uint8)
    image = np.stack([red, rows, columns]).tobytes()
    return b"".join(bytes([label]) + image for label in range(RECORDS))


FILES = {name: batch(number) for number, name in enumerate(NAMES, 1)}


def archive(path: Path, files: dict[str, bytes] = FILES) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in {"batches.meta.txt": b"airplane\n", **files}.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def small(path: Path | None, packed: Path | None = None) -> Cifar10:
    """Return a CIFAR-10 of small batches; `packed` is the archive whose hash counts."""

    class Small(Cifar10):
        records: ClassVar[int] = RECORDS
        md5: ClassVar[str] = hashlib.md5(packed.read_bytes()).hexdigest() if packed else Cifar10.md5

    return Small(path=path)


def prepared(dataset: Cifar10, tmp_path: Path) -> Prepared:
    return prepare(experiment_of(dataset), tmp_path / "runs", cache=tmp_path / "cache")


def experiment_of(dataset: Cifar10) -> Experiment:
    return Experiment.model_construct(name="x", dataset=dataset, preparation=Preparation())


def check(data: Prepared) -> None:
    train, test = data.images("train"), data.images("test")
    assert (train.shape, test.shape) == ((20, 3, 32, 32), (4, 3, 32, 32))
    assert train[:, 0, 9, 9].tolist() == [number for number in range(1, 6) for _ in range(4)]
    assert (test[:, 0] == 6).all()
    assert (train[:, 1, :, 0] == np.arange(32)).all()
    assert (train[:, 2, 0, :] == np.arange(32)).all()
    assert data.labels("train").tolist() == [0, 1, 2, 3] * 5
    assert [data.classes[label] for label in data.labels("test")] == ["airplane", "automobile", "bird", "cat"]


def loose(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize("place", ["", "cifar-10-batches-bin"])
def test_loose_batch_files(tmp_path: Path, place: str):
    loose(tmp_path / "data" / place)
    check(prepared(small(tmp_path / "data"), tmp_path))


def test_the_archive_by_path_is_read_without_unpacking_it(tmp_path: Path):
    packed = archive(tmp_path / ARCHIVE)
    check(prepared(small(packed, packed), tmp_path))
    check(prepared(small(tmp_path, packed), tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == {ARCHIVE, "runs"}


def test_another_archive_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match=f"is not {ARCHIVE}: expected md5 {Cifar10.md5}; it has [0-9a-f]{{32}}"):
        prepared(small(archive(tmp_path / ARCHIVE)), tmp_path)


def test_a_missing_or_cut_batch_is_named(tmp_path: Path):
    folder = loose(tmp_path / "data")
    (folder / "data_batch_3.bin").write_bytes(FILES["data_batch_3.bin"][:-1])
    with pytest.raises(DataError, match=r"data_batch_3\.bin: expected 12292 bytes; it has 12291"):
        prepared(small(folder), tmp_path)
    (folder / "data_batch_3.bin").unlink()
    with pytest.raises(DataError, match=r"expected data_batch_3\.bin in "):
        prepared(small(folder), tmp_path)


def test_a_label_out_of_range_is_damage(tmp_path: Path):
    folder = loose(tmp_path / "data")
    (folder / "test_batch.bin").write_bytes(b"\x0a" + FILES["test_batch.bin"][1:])
    with pytest.raises(DataError, match=r"test_batch\.bin, image 0: expected a label from 0 to 9; got 10"):
        prepared(small(folder), tmp_path)


def test_changed_loose_files_are_other_data(tmp_path: Path):
    dataset = small(loose(tmp_path / "data"))
    before = data_directory(experiment_of(dataset), tmp_path)
    assert data_directory(experiment_of(dataset), tmp_path) == before
    (tmp_path / "data" / "test_batch.bin").write_bytes(FILES["test_batch.bin"] + b"more")
    assert data_directory(experiment_of(dataset), tmp_path) != before


class Trap:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


def test_pickled_batches_are_never_opened(tmp_path: Path):
    folder = tmp_path / "data" / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    content = pickle.dumps(Trap(tmp_path / "sprung"))
    for name in ("data_batch_1", "test_batch", "batches.meta"):
        (folder / name).write_bytes(content)
    with pytest.raises(DataError, match="cifar-10-batches-py is pickled, and never read"):
        prepared(small(tmp_path / "data"), tmp_path)
    assert not (tmp_path / "sprung").exists()
    pickle.loads(content)
    assert (tmp_path / "sprung").exists()  # control: the trap works


def test_names_that_lead_out_of_the_archive_write_nothing(tmp_path: Path):
    packed = tmp_path / ARCHIVE
    with tarfile.open(archive(tmp_path / "good.tar.gz")) as good, tarfile.open(packed, "w:gz") as tar:
        for member in good:
            tar.addfile(member, good.extractfile(member))
        evil = tarfile.TarInfo("../../evil")
        evil.size = 4
        tar.addfile(evil, io.BytesIO(b"evil"))
    check(prepared(small(packed, packed), tmp_path))
    assert not list(tmp_path.parent.rglob("evil"))


# Downloads.


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        """Say nothing."""


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Serve a folder in place of the host that torchvision names."""
    from torchvision import datasets

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    folder = tmp_path / "mirror"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}/cifar-10-python.tar.gz"
    monkeypatch.setattr(datasets.CIFAR10, "url", address)
    yield folder
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_binary_version_is_downloaded_once(tmp_path: Path, served: Path):
    packed = archive(served / ARCHIVE)
    dataset = small(None, packed)
    check(prepared(dataset, tmp_path))
    assert (tmp_path / "cache" / "cifar10" / ARCHIVE).read_bytes() == packed.read_bytes()
    packed.unlink()
    check(prepare(experiment_of(dataset), tmp_path / "other", cache=tmp_path / "cache"))


def test_offline_the_message_says_where_to_put_the_archive(tmp_path: Path, served: Path):
    with pytest.raises(DataError) as error:
        prepared(Cifar10(), tmp_path)
    assert "HTTP 404" in str(error.value)
    assert str(tmp_path / "cache" / "cifar10" / ARCHIVE) in str(error.value)
    assert Cifar10.md5 in str(error.value)


def test_the_address_is_that_of_the_binary_version():
    assert all(url.startswith("http") and url.endswith(f"/{ARCHIVE}") for url in Cifar10()._urls())
