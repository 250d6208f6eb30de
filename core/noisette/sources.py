"""Files that a config names: their paths and fingerprints.

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
    """Return the path of a name; it may not exist.

    Raises:
        DataError: if the name is of a package that is not installed.
    """
    if not name.startswith(_PACKAGE) or Path(name).exists():
        return Path(name).expanduser()
    package, _, inner = name.removeprefix(_PACKAGE).partition("/")
    spec = find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise DataError(f"{name}: expected an installed package; {package!r} is not installed")
    return Path(spec.submodule_search_locations[0]) / inner


def fingerprint(name: str) -> str:
    """Return a hash of a file's content or a directory's listing; "" if it does not exist."""
    try:
        path = resolve_source(name)
        if path.is_dir():
            return _listing(path)
        return sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
    except (DataError, OSError):
        return ""  # an error is raised when it is read


def _listing(folder: Path) -> str:
    """Return a hash of names, sizes and modification times, since a directory of weights is large."""
    lines = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        status = path.stat()
        lines.append(f"{path.relative_to(folder)}\0{status.st_size}\0{status.st_mtime_ns}")
    return sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()
