"""Archives unpacked into the cache: whole or not there."""

from __future__ import annotations

import os
import shutil
import tarfile
import zipfile
from pathlib import Path

from noisette import DataError

__all__ = ["unpacked"]


def unpacked(archive: Path, target: Path, inner: str) -> Path:
    """Return the folder `inner` of an archive, unpacked as `target` if it is not there yet.

    Names that lead out of the archive, links out of it and devices are refused.

    Raises:
        DataError: if it cannot be unpacked, or has no such folder.
    """
    if target.is_dir():
        return target
    staging = target.with_name(f".{target.name}.unpacking-{os.getpid()}")
    staging.mkdir(parents=True)
    try:
        if archive.suffix == ".zip":
            with zipfile.ZipFile(archive) as packed:  # checks every member's checksum
                packed.extractall(staging)
        else:
            with tarfile.open(archive) as tar:
                tar.extractall(staging, filter="data")
        if not (staging / inner).is_dir():
            raise DataError(f"{archive}: expected a folder {inner} in it; there is none")
        if not target.is_dir():  # another process may have been faster
            (staging / inner).rename(target)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        raise DataError(f"{archive}: cannot be unpacked: {error}") from None
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return target
