"""Directories on disk that are whole or not there, each with a manifest."""

from __future__ import annotations

from noisette.storage.arrays import new_array
from noisette.storage.commit import committed
from noisette.storage.keys import digest
from noisette.storage.lock import owned
from noisette.storage.manifest import MANIFEST, Manifest, is_complete, read_manifest, verify

__all__ = [
    "MANIFEST",
    "Manifest",
    "committed",
    "digest",
    "is_complete",
    "new_array",
    "owned",
    "read_manifest",
    "verify",
]
