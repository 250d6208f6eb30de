"""Small files in the true layouts of data sets that are downloads, and data sets that take them for whole.

Every image tells its place: red is its number, green its part, and a gradient makes each one distinct.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from noisette_plugins.datasets import CelebA, Cifar10, Flowers102, Lsun, Mnist

__all__ = [
    "accept_small_datasets",
    "celeba_files",
    "cifar10_files",
    "flowers_files",
    "image_files",
    "jpeg",
    "lmdb_of",
    "lsun_files",
    "mnist_files",
]

SPLITS = {"train": "train", "test": "t10k"}


def md5_of(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def jpeg(number: int, part: int = 0, size: tuple[int, int] = (20, 24)) -> bytes:
    """Return an image as JPEG whose red is 8 times its number (modulo 32), its green 40 times its part."""
    width, height = size
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    pixels[..., 0], pixels[..., 1] = 8 * (number % 32), 40 * part
    pixels[..., 2] = np.linspace(0, 150 + 25 * (number // 32), width).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="JPEG", quality=95, subsampling=0)
    return file.getvalue()


def image_files(folder: Path, count: int = 40, size: tuple[int, int] = (20, 24)) -> Path:
    """Write a folder of JPEG files."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        (folder / f"{number:03d}.jpg").write_bytes(jpeg(number, size=size))
    return folder


def mnist_files(folder: Path, count: int = 40) -> dict[str, str]:
    """Write MNIST's four IDX files, packed; return the sha256 of their contents by name."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    written = {}
    for stem in SPLITS.values():
        labels = np.arange(count, dtype=np.uint8) % 10
        images = generator.integers(0, 40, (count, 28, 28)).astype(np.uint8)
        images[np.arange(count), 4 + 2 * labels] += 200
        for name, values in ((f"{stem}-images-idx3-ubyte", images), (f"{stem}-labels-idx1-ubyte", labels)):
            head = bytes((0, 0, 8, values.ndim)) + b"".join(side.to_bytes(4, "big") for side in values.shape)
            content = head + values.tobytes()
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
            written[name] = hashlib.sha256(content).hexdigest()
    return written


def cifar10_files(folder: Path, count: int = 40) -> Path:
    """Write CIFAR-10's batch files with `count` records each."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    for name in [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]:
        records = generator.integers(0, 256, (count, 1 + 3072)).astype(np.uint8)
        records[:, 0] = np.arange(count) % 10
        (folder / name).write_bytes(records.tobytes())
    return folder


def celeba_files(folder: Path, *, counts: tuple[int, int, int] = (40, 3, 12), loose: bool = False) -> Path:
    """Write CelebA's archive (or folder) and its list of splits: training, validation, test."""
    folder.mkdir(parents=True, exist_ok=True)
    splits = [part for part, count in enumerate(counts) for _ in range(count)]
    names = [f"{number:06d}.jpg" for number in range(1, len(splits) + 1)]
    lines = [f"{name} {part}\n" for name, part in zip(names, splits, strict=True)]
    (folder / "list_eval_partition.txt").write_text("".join(lines))
    contents = {name: jpeg(number, part) for number, (name, part) in enumerate(zip(names, splits, strict=True), 1)}
    if loose:
        (folder / "img_align_celeba").mkdir()
        for name, content in contents.items():
            (folder / "img_align_celeba" / name).write_bytes(content)
    else:
        with zipfile.ZipFile(folder / "img_align_celeba.zip", "w") as archive:
            for name, content in contents.items():
                archive.writestr(f"img_align_celeba/{name}", content)
    return folder


def flowers_files(folder: Path, *, loose: bool = False) -> Path:
    """Write Flowers 102: 40 photographs to train on, 4 of validation, 12 of test; image n has class n - 1."""
    from scipy.io import savemat

    folder.mkdir(parents=True, exist_ok=True)
    parts = {"trnid": np.arange(17, 57), "valid": np.arange(1, 5), "tstid": np.arange(16, 4, -1)}
    labels = np.arange(56) % 102 + 1
    tables = {key: numbers[None].astype(np.uint16) for key, numbers in parts.items()}
    for name, table in (("imagelabels.mat", {"labels": labels[None].astype(np.uint8)}), ("setid.mat", tables)):
        savemat(file := io.BytesIO(), table)
        file.getbuffer()[:116] = b"MATLAB 5.0 MAT-file".ljust(116)  # without the time of day
        (folder / name).write_bytes(file.getvalue())
    contents = {f"jpg/image_{number:05d}.jpg": jpeg(number, size=(40, 30)) for number in range(56, 0, -1)}
    if loose:
        (folder / "jpg").mkdir()
        for name, content in contents.items():
            (folder / name).write_bytes(content)
    else:
        with tarfile.open(folder / "102flowers.tgz", "w:gz") as tar:
            for name, content in contents.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return folder


def lmdb_of(folder: Path, contents: dict[str, bytes]) -> Path:
    """Write an LMDB database as LSUN's are."""
    import lmdb

    folder.parent.mkdir(parents=True, exist_ok=True)
    with lmdb.open(str(folder), map_size=1 << 24) as database, database.begin(write=True) as transaction:
        for key, content in contents.items():
            transaction.put(key.encode(), content)
    return folder


def lsun_files(folder: Path, count: int = 40, held_out: int = 12) -> Path:
    """Write the databases of LSUN's bedrooms."""
    for part, (name, number) in enumerate((("train", count), ("val", held_out))):
        contents = {f"{key:040x}": jpeg(key, part) for key in range(number)}
        lmdb_of(folder / f"bedroom_{name}_lmdb", contents)
    return folder


@contextmanager
def accept_small_datasets(folder: Path) -> Iterator[dict[str, str]]:
    """Write all of them into a folder, and have the data sets take them for whole; give `--set` paths by name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Mnist, "sha256", mnist_files(folder / "mnist"))
        cifar10_files(folder / "cifar10")
        patch.setattr(Cifar10, "records", 40)
        celeba_files(folder / "celeba")
        patch.setattr(CelebA, "md5", {name: md5_of(folder / "celeba" / name) for name in CelebA.md5})
        patch.setattr(CelebA, "counts", {"train": 40, "test": 12})
        flowers_files(folder / "flowers102")
        patch.setattr(Flowers102, "md5", {name: md5_of(folder / "flowers102" / name) for name in Flowers102.md5})
        patch.setattr(Flowers102, "counts", {"trnid": 40, "valid": 4, "tstid": 12})
        lsun_files(folder / "lsun")
        patch.setattr(Lsun, "counts", {"bedroom": 40})
        patch.setattr(Lsun, "held_out", 12)
        image_files(folder / "image-folder")
        yield {
            name: str(folder / name)
            for name in ("mnist", "cifar10", "celeba", "flowers102", "lsun", "image-folder")
        }
