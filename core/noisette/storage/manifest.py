"""The manifest of a directory: its files with sizes and hashes, and a description.

A manifest contains a hash of itself and has a canonical form, so that damage to it is detected too.
"""

from __future__ import annotations

import hashlib
import json
import stat
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, NonNegativeInt

from noisette.errors import StorageError

__all__ = [
    "MANIFEST",
    "FileRecord",
    "Manifest",
    "is_complete",
    "read_manifest",
    "sha256_of",
    "verify",
    "write_manifest",
]

MANIFEST = "MANIFEST.json"
_VERSION = 1
_MAX_BYTES = 64 * 2**20
"""Maximum size of a manifest."""


def _check_file_name(name: str) -> str:
    if Path(name).name != name or name in ("", ".", "..", MANIFEST) or "\0" in name or "\\" in name:
        raise ValueError(f"expected the name of a file in this directory; got {name!r}")
    return name


class FileRecord(BaseModel):
    """Size in bytes and sha256 of one file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bytes: NonNegativeInt
    sha256: str


class Manifest(BaseModel):
    """The content of a directory.

    Attributes:
        kind: "prepared", "checkpoint", "samples", "evaluation" or "figures".
        about: JSON values that describe it.
        files: its files by name; there are no subdirectories.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = _VERSION
    kind: str
    about: dict[str, Any]
    files: dict[Annotated[str, AfterValidator(_check_file_name)], FileRecord]

    def digest(self) -> str:
        """Return the sha256 of the files' hashes: the identity of the content."""
        lines = [f"{name} {record.sha256}" for name, record in sorted(self.files.items())]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def seal(self) -> str:
        """Return the sha256 of the manifest."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(directory: Path, manifest: Manifest) -> Path:
    """Write a directory's manifest and return its path."""
    path = directory / MANIFEST
    path.write_text(_serialize(manifest), encoding="utf-8")
    return path


def _serialize(manifest: Manifest) -> str:
    return json.dumps({**manifest.model_dump(mode="json"), "seal": manifest.seal()}, indent=1)


def read_manifest(directory: Path, kind: str) -> Manifest:
    """Read a directory's manifest without checking the other files.

    Raises:
        StorageError: if it does not exist, cannot be read, or is of another kind.
    """
    path = directory / MANIFEST
    try:
        size = _file_size(path)
        if size is None:
            raise StorageError(f"{directory}: expected finished {kind} with a {MANIFEST}; there is none")
        if size > _MAX_BYTES:
            raise ValueError(f"expected at most {_MAX_BYTES} bytes; it has {size}")
        text = path.read_text(encoding="utf-8")
        content = json.loads(text)
        seal = content.pop("seal", None) if isinstance(content, dict) else None
        manifest = Manifest.model_validate(content)
        if manifest.seal() != seal:
            raise ValueError("it has changed since it was written (its seal differs)")
        if _serialize(manifest) != text:
            raise ValueError("it has changed since it was written (it is not in canonical form)")
    except (OSError, ValueError, RecursionError) as error:
        raise StorageError(
            f"{path}: damaged: {str(error).splitlines()[0]}; remove {directory} and run again"
        ) from None
    if manifest.kind != kind or manifest.format != _VERSION:
        raise StorageError(
            f"{path}: expected {kind} in format {_VERSION}; got {manifest.kind} in format {manifest.format}"
        )
    return manifest


def verify(directory: Path, kind: str) -> Manifest:
    """Read a directory's manifest and check every file's size and hash against it.

    Raises:
        StorageError: naming the first file that is missing or differs.
    """
    manifest = read_manifest(directory, kind)
    for name, record in manifest.files.items():
        path = directory / name
        try:
            fault = _find_fault(path, record)
        except OSError as error:
            raise StorageError(f"{path}: cannot be read: {error.strerror}") from None
        if fault is not None:
            raise StorageError(f"{path}: {fault}; remove {directory} and run again")
    return manifest


def _find_fault(path: Path, record: FileRecord) -> str | None:
    """Return what is wrong with a file, or None."""
    size = _file_size(path)
    if size is None:
        return "is missing"
    if size != record.bytes:
        return f"expected {record.bytes} bytes; it has {size}"
    changed = sha256_of(path) != record.sha256
    return "its content has changed since it was written (sha256 differs)" if changed else None


def is_complete(directory: Path, kind: str) -> bool:
    """Return whether a directory is finished: it has a manifest, and files of the sizes in it."""
    try:
        manifest = read_manifest(directory, kind)
        return all(_file_size(directory / name) == record.bytes for name, record in manifest.files.items())
    except (StorageError, OSError):
        return False


def _file_size(path: Path) -> int | None:
    """Return the size of a regular file in bytes; None for anything else."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None
