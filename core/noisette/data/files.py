"""Recursive listing of the files of a folder, each once, in natural order."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

__all__ = ["FileEntry", "hash_listing", "is_folder", "iter_files", "natural_key"]


class FileEntry(NamedTuple):
    """A file in a folder or its subfolders.

    Attributes:
        name: path relative to the folder.
        fault: why the file cannot be read; empty if it can.
    """

    name: str
    fault: str = ""


class _Child(NamedTuple):
    name: str
    is_folder: bool
    is_link: bool


def natural_key(name: str) -> tuple[str, str]:
    """Return a sort key for natural order: img2 before img10."""
    return re.sub("[0-9]+", lambda digits: digits[0].zfill(20), name), name


def iter_files(root: Path) -> Iterator[FileEntry]:
    """Yield the files of `root` and its subfolders, except hidden ones, whose names start with a dot.

    Links to targets outside the folder are followed. A link to a file or folder that is read already yields an
    entry with a fault, which prevents duplicates and endless loops.
    """
    links = _Links(root)
    pending = [_Child("", is_folder=True, is_link=False)]
    while pending:
        child = pending.pop()
        if child.is_link:
            fault = links.fault(root / child.name)
            child = child._replace(is_folder=not fault and (root / child.name).is_dir())
            if fault:
                yield FileEntry(child.name, fault)
                continue
        if not child.is_folder:
            yield FileEntry(child.name)
            continue
        try:
            pending += _list_children(root, child.name)
        except OSError as error:
            yield FileEntry(child.name, f"the folder cannot be read: {error.strerror}")


def hash_listing(root: Path) -> str:
    """Return a hash of the names, sizes and modification times of the files of `root` and its subfolders."""
    state = blake2b(digest_size=16)
    for entry in iter_files(root):
        state.update(os.fsencode(entry.name) + f"\0{_stat_or_error(root, entry)}\0".encode())
    return state.hexdigest()


def is_folder(path: Path) -> bool:
    """Return whether the folder exists. Unlike Path.is_dir, return False for a path that is too long."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def _stat_or_error(root: Path, entry: FileEntry) -> tuple[int, int] | str:
    """Return the size and modification time of a file, or the error: it may disappear during the listing."""
    if entry.fault:
        return entry.fault
    try:
        status = (root / entry.name).stat()
    except OSError as error:
        return error.strerror or "cannot be read"
    return status.st_size, status.st_mtime_ns


def _list_children(root: Path, name: str) -> list[_Child]:
    """Return the entries of a folder in reverse order."""
    with os.scandir(root / name) as entries:
        found = [entry for entry in entries if not entry.name.startswith(".")]
    found.sort(key=lambda entry: natural_key(entry.name), reverse=True)
    prefix = f"{name}/" if name else ""
    return [_Child(prefix + entry.name, entry.is_dir(follow_symlinks=False), entry.is_symlink()) for entry in found]


class _Links:
    """Targets of the links that were followed."""

    def __init__(self, root: Path) -> None:
        self._folders = [root.resolve()]
        self._files: set[Path] = set()

    def fault(self, link: Path) -> str:
        """Return why a link is not followed, or an empty string after recording its target."""
        try:
            target = link.resolve(strict=True)
        except (OSError, RuntimeError):  # RuntimeError: a link to itself, before Python 3.13
            return "a link that leads nowhere"
        if target in self._files or any(target.is_relative_to(folder) for folder in self._folders):
            return "a link to what is read already"
        if any(folder.is_relative_to(target) for folder in self._folders):
            return "a link to a folder that holds what is read already"
        if target.is_dir():
            self._folders.append(target)
        else:
            self._files.add(target)
        return ""
