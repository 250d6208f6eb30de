"""Directories that are written atomically, with a manifest; locks and files."""

from __future__ import annotations

from noisette.storage.artifact import Artifact
from noisette.storage.commit import committed, resumable
from noisette.storage.files import (
    atomic_write,
    cache_directory,
    create_array,
    digest,
    disk_errors,
    make_directory,
    sync,
)
from noisette.storage.lock import is_locked, lock_file, owned, try_lock
from noisette.storage.manifest import MANIFEST, Manifest, is_complete, read_manifest, verify
from noisette.storage.tensors import read_tensors

__all__ = [
    "MANIFEST",
    "Artifact",
    "Manifest",
    "atomic_write",
    "cache_directory",
    "committed",
    "create_array",
    "digest",
    "disk_errors",
    "is_complete",
    "is_locked",
    "lock_file",
    "make_directory",
    "owned",
    "read_manifest",
    "read_tensors",
    "resumable",
    "sync",
    "try_lock",
    "verify",
]
