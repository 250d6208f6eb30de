"""Directories on disk that are whole or not there, each with a manifest."""

from __future__ import annotations

from noisette.storage.commit import committed, resumable
from noisette.storage.files import cache_directory, create_array, digest, disk_errors, make_directory, sync
from noisette.storage.lock import is_locked, owned
from noisette.storage.manifest import MANIFEST, Manifest, is_complete, read_manifest, verify
from noisette.storage.tensors import read_tensors

__all__ = [
    "MANIFEST",
    "Manifest",
    "cache_directory",
    "committed",
    "create_array",
    "digest",
    "disk_errors",
    "is_complete",
    "is_locked",
    "make_directory",
    "owned",
    "read_manifest",
    "read_tensors",
    "resumable",
    "sync",
    "verify",
]
