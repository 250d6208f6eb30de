"""MNIST and Fashion-MNIST: Debian's real files, and small files in the real layouts, local and served."""

from __future__ import annotations

import gzip
import hashlib
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from noisette import DataError, Dataset, Experiment, Prepared, prepare
from noisette.config import Preparation
from noisette_plugins.datasets import FashionMnist, Mnist
from noisette_plugins.datasets._idx import parse_idx

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
needs_debian = pytest.mark.skipif(
    not (DEBIAN / "train-images-idx3-ubyte.gz").exists(), reason="needs the Debian package dataset-fashion-mnist"
)

COUNTS = {"train": 12, "t10k": 5}


def idx(array: np.ndarray) -> bytes:
    lengths = b"".join(length.to_bytes(4, "big") for length in array.shape)
    return bytes([0, 0, 8, array.ndim]) + lengths + array.tobytes()


def small_files() -> dict[str, bytes]:
    """Return the four files of a small set: image n is filled with n, its label is n modulo 10."""
    files = {}
    for stem, count in COUNTS.items():
        numbers = np.arange(count, dtype=np.uint8)
        files[f"{stem}-images-idx3-ubyte"] = idx(np.broadcast_to(numbers[:, None, None], (count, 28, 28)))
        files[f"{stem}-labels-idx1-ubyte"] = idx(numbers % 10)
    return files


FILES = small_files()


class SmallMnist(Mnist):
    sha256: ClassVar[dict[str, str]] = {
        name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()
    }


class SmallFashion(FashionMnist):
    folders: ClassVar[tuple[Path, ...]] = ()
    sha256: ClassVar[dict[str, str]] = SmallMnist.sha256


def put(folder: Path, *, packed: bool) -> Path:
    folder.mkdir(parents=True)
    for name, content in FILES.items():
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content, mtime=0))
        else:
            (folder / name).write_bytes(content)
    return folder


def prepared(dataset: Dataset, tmp_path: Path, **preparation) -> Prepared:
    experiment = Experiment.model_construct(name="x", dataset=dataset, preparation=Preparation(**preparation))
    return prepare(experiment, tmp_path / "runs", cache=tmp_path / "cache")


def check_small(data: Prepared) -> None:
    assert data.shape == (1, 28, 28)
    assert data.images("train")[:, 0, 13, 7].tolist() == list(range(12))
    assert data.labels("train").tolist() == [*range(10), 0, 1]
    assert data.images("test")[:, 0, 0, 0].tolist() == data.labels("test").tolist() == list(range(5))


# The real Fashion-MNIST.


@needs_debian
def test_fashion_mnist_for_real(tmp_path: Path):
    data = prepared(FashionMnist(), tmp_path)
    assert (data.shape, data.count("train"), data.count("test")) == ((1, 28, 28), 60_000, 10_000)
    assert data.about["class_counts"] == {"train": [6000] * 10, "test": [1000] * 10}
    first = [data.classes[label] for label in data.labels("train")[:4]]
    assert first == ["Ankle boot", "T-shirt/top", "T-shirt/top", "Dress"]
    assert data.images("train").mean() == pytest.approx(0.2860 * 255, abs=0.02)  # the mean that its papers give
    assert not (tmp_path / "cache").exists()
    raw = gzip.decompress((DEBIAN / "t10k-images-idx3-ubyte.gz").read_bytes())
    assert data.images("test").tobytes() == raw[16:]


@needs_debian
def test_fashion_mnist_by_path_and_in_torchvisions_layout(tmp_path: Path):
    raw = tmp_path / "data" / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for packed in DEBIAN.glob("t10k*.gz"):
        (raw / packed.stem).write_bytes(gzip.decompress(packed.read_bytes()))
    for path in (DEBIAN, tmp_path / "data", raw, raw.parent):
        count = sum(1 for _ in FashionMnist(path=path).examples("test", tmp_path / "cache"))
        assert count == 10_000


@needs_debian
def test_a_changed_file_is_not_fashion_mnist(tmp_path: Path):
    for file in DEBIAN.glob("t10k*.gz"):
        shutil.copy(file, tmp_path)
    labels = tmp_path / "t10k-labels-idx1-ubyte.gz"
    content = bytearray(gzip.decompress(labels.read_bytes()))
    content[-1] ^= 1
    labels.write_bytes(gzip.compress(content))
    with pytest.raises(
        DataError, match="is not the t10k-labels-idx1-ubyte of fashion-mnist: expected sha256 0402a96d"
    ):
        next(FashionMnist(path=tmp_path).examples("test", tmp_path))


# Small files, local.


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "unpacked"])
@pytest.mark.parametrize("place", ["", "raw", "MNIST/raw"])
def test_mnist_from_a_local_folder(tmp_path: Path, packed: bool, place: str):
    put(tmp_path / "data" / place, packed=packed)
    check_small(prepared(SmallMnist(path=tmp_path / "data"), tmp_path))
    assert not (tmp_path / "cache").exists()


def test_the_real_hashes_refuse_small_files(tmp_path: Path):
    with pytest.raises(DataError, match="is not the train-images-idx3-ubyte of mnist"):
        prepared(Mnist(path=put(tmp_path / "data", packed=False)), tmp_path)


def test_a_folder_without_the_files_is_named(tmp_path: Path):
    with pytest.raises(DataError) as error:
        prepared(SmallMnist(path=tmp_path / "none"), tmp_path)
    assert str(error.value) == (
        f"mnist: expected train-images-idx3-ubyte or train-images-idx3-ubyte.gz in {tmp_path / 'none'} "
        f"or {tmp_path / 'none' / 'MNIST' / 'raw'}"
    )


def test_a_damaged_archive_is_named(tmp_path: Path):
    folder = put(tmp_path / "data", packed=True)
    file = folder / "train-images-idx3-ubyte.gz"
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz: cannot be unpacked"):
        prepared(SmallMnist(path=folder), tmp_path)


def test_mnist_is_padded_to_32(tmp_path: Path):
    data = prepared(SmallMnist(path=put(tmp_path / "data", packed=False)), tmp_path, size=32, fit="pad")
    assert data.shape == (1, 32, 32)
    assert data.images("train")[7, 0, 1:4, 16].tolist() == [0, 7, 7]


# Small files, served on 127.0.0.1 in place of the mirrors that torchvision names.


class Quiet(SimpleHTTPRequestHandler):
    asked: ClassVar[list[str]] = []

    def log_message(self, *args):
        self.asked.append(self.path)


@pytest.fixture
def mirrors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Serve a folder as the second mirror of both sets; the first has nothing."""
    from torchvision import datasets

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    folder = put(tmp_path / "mirror", packed=True)
    Quiet.asked.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}/"
    resources = [(file.name, hashlib.md5(file.read_bytes()).hexdigest()) for file in sorted(folder.iterdir())]
    for twin in (datasets.MNIST, datasets.FashionMNIST):
        monkeypatch.setattr(twin, "mirrors", [f"{address}gone/", address])
        monkeypatch.setattr(twin, "resources", resources)
    yield folder
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("dataset", [SmallMnist(), SmallFashion()], ids=lambda dataset: dataset.name)
def test_a_download_fills_the_cache_in_torchvisions_layout(tmp_path: Path, mirrors: Path, dataset: Dataset):
    check_small(prepared(dataset, tmp_path))
    raw = tmp_path / "cache" / dataset.torchvision_name / "raw"
    assert {file.name for file in raw.iterdir() if not file.name.startswith(".")} == {
        f"{name}.gz" for name in FILES
    }
    assert "/gone/train-images-idx3-ubyte.gz" in Quiet.asked
    asked = len(Quiet.asked)
    shutil.rmtree(tmp_path / "runs")
    check_small(prepared(dataset, tmp_path))  # from the cache
    assert len(Quiet.asked) == asked
    check_small(prepared(type(dataset)(path=tmp_path / "cache"), tmp_path))


def test_a_damaged_file_in_the_cache_is_loaded_again(tmp_path: Path, mirrors: Path):
    raw = tmp_path / "cache" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / "train-images-idx3-ubyte.gz").write_bytes(b"half a fi")
    check_small(prepared(SmallMnist(), tmp_path))


def test_a_mirror_with_other_content_is_refused(tmp_path: Path, mirrors: Path):
    (mirrors / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(b"something else"))
    with pytest.raises(DataError, match="could not be downloaded"):
        prepared(SmallMnist(), tmp_path)


@pytest.mark.parametrize(
    ("dataset", "debian"), [(SmallMnist(), False), (SmallFashion(), True)], ids=["mnist", "fashion-mnist"]
)
def test_offline_the_message_says_what_to_do(tmp_path: Path, mirrors: Path, dataset: Dataset, debian: bool):
    shutil.rmtree(mirrors)
    with pytest.raises(DataError) as error:
        prepared(dataset, tmp_path)
    message = str(error.value)
    assert message.count("HTTP 404") == 2
    assert ("install the Debian package dataset-fashion-mnist" in message) == debian
    assert all(f"{name}.gz" in message for name in FILES)
    assert str(tmp_path / "cache" / dataset.torchvision_name / "raw") in message
    assert "dataset.path" in message


def test_torchvision_still_knows_the_files():
    """The addresses and hashes are read from torchvision when needed: it must have all four for both sets."""
    for dataset in (Mnist(), FashionMnist()):
        for name in dataset.sha256:
            urls, md5 = dataset._published(f"{name}.gz")
            assert urls
            assert all(url.startswith("http") and url.endswith(f"/{name}.gz") for url in urls)
            assert len(md5) == 32


# The format.


def test_idx_is_read_as_it_was_written():
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    assert (parse_idx(idx(array)) == array).all()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0\0",
        idx(np.zeros(3, np.uint8))[:-1],
        idx(np.zeros(3, np.uint8)) + b"x",
        b"\0\0\x0d\1\0\0\0\0",
        b"\0\0\x08\0",
    ],
    ids=["empty", "short", "cut", "long", "floats", "no axes"],
)
def test_what_is_no_idx_file_is_refused(content: bytes):
    with pytest.raises(DataError, match="expected an IDX file of uint8"):
        parse_idx(content)
