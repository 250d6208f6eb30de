"""The manifest of a directory: what is in it, how large, with which hash, and what it is."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, NonNegativeInt, ValidationError

from noisette.errors import StorageError

__all__ = ["MANIFEST", "FileRecord", "Manifest", "is_complete", "read_manifest", "sha256_of", "verify"]

MANIFEST = "MANIFEST.json"
_VERSION = 1


def _plain_name(name: str) -> str:
    if Path(name).name != name or name in ("", ".", "..", MANIFEST) or "\0" in name or "\\" in name:
        raise ValueError(f"expected the name of a file in this directory; got {name!r}")
    return name


class FileRecord(BaseModel):
    """Size in bytes and sha256 of one file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bytes: NonNegativeInt
    sha256: str


class Manifest(BaseModel):
    """What a directory holds.

    Attributes:
        kind: "prepared", "checkpoint", "samples" or "evaluation".
        about: JSON values that describe it: config, keys, counts, plugins and versions.
        files: its files by name, all directly in it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = _VERSION
    kind: str
    about: dict[str, Any]
    files: dict[Annotated[str, AfterValidator(_plain_name)], FileRecord]

    def digest(self) -> str:
        """Return the sha256 of the files' hashes: the identity of the content."""
        lines = [f"{name} {record.sha256}" for name, record in sorted(self.files.items())]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_manifest(directory: Path, kind: str) -> Manifest:
    """Read a directory's manifest without looking at the other files.

    Raises:
        StorageError: if there is none, it cannot be read, or is of another kind.
    """
    path = directory / MANIFEST
    try:
        manifest = Manifest.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise StorageError(
            f"{directory}: expected finished {kind} with a {MANIFEST}; there is none"
        ) from None
    except (OSError, ValueError, ValidationError, RecursionError) as error:
        raise StorageError(f"{path}: damaged: {str(error).splitlines()[0]}") from None
    if manifest.kind != kind or manifest.format != _VERSION:
        raise StorageError(
            f"{path}: expected {kind} in format {_VERSION}; got {manifest.kind} in format {manifest.format}"
        )
    return manifest


def verify(directory: Path, kind: str) -> Manifest:
    """Read a directory's manifest and check every file's size and hash against it.

    Raises:
        StorageError: naming the first file that is missing, or differs.
    """
    manifest = read_manifest(directory, kind)
    for name, record in manifest.files.items():
        path = directory / name
        size = path.stat().st_size if path.is_file() and not path.is_symlink() else None
        if size is None:
            raise StorageError(f"{path}: is missing")
        if size != record.bytes:
            raise StorageError(f"{path}: expected {record.bytes} bytes; it has {size}")
        if sha256_of(path) != record.sha256:
            raise StorageError(f"{path}: its content has changed since it was written (sha256 differs)")
    return manifest


def is_complete(directory: Path, kind: str) -> bool:
    """Return whether a directory holds a finished result: a manifest, and files of the sizes it says."""
    try:
        manifest = read_manifest(directory, kind)
    except StorageError:
        return False
    return all(
        (directory / name).is_file() and (directory / name).stat().st_size == record.bytes
        for name, record in manifest.files.items()
    )
