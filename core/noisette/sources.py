"""Files that a config names: where they are, and what is in them, without reading images.

photos/cat.png                                a file
package:sklearn/datasets/images/china.jpg     a file inside an installed package
"""

from __future__ import annotations

from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

from noisette.errors import DataError

__all__ = ["fingerprint", "resolve_source"]

_PACKAGE = "package:"


def resolve_source(name: str) -> Path:
    """Return the path that a name stands for; it may not exist.

    Raises:
        DataError: if a package is named that is not installed.
    """
    if not name.startswith(_PACKAGE) or Path(name).exists():
        return Path(name).expanduser()
    package, _, inner = name.removeprefix(_PACKAGE).partition("/")
    found = find_spec(package) if package.isidentifier() else None
    if found is None or not found.submodule_search_locations:
        raise DataError(f"{name}: there is no installed package {package!r}")
    return Path(found.submodule_search_locations[0]) / inner


def fingerprint(name: str) -> str:
    """Return a hash of what a name stands for: a file's content, a folder's listing; "" where there is no file."""
    try:
        path = resolve_source(name)
        if path.is_dir():
            return _listing(path)
        return sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
    except (DataError, OSError):
        return ""  # whoever reads it says what is wrong


def _listing(folder: Path) -> str:
    """Return a hash of names, sizes and times of change: a folder of weights is too large to be read for this."""
    lines = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        status = path.stat()
        lines.append(f"{path.relative_to(folder)}\0{status.st_size}\0{status.st_mtime_ns}")
    return sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()
