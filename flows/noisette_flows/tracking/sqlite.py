"""SQLite stores: their URIs, and the paths in them after their files were moved."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from noisette import ConfigError
from noisette.errors import Problem

__all__ = ["database_of", "for_sqlalchemy", "relative_to_cwd", "relocate", "sqlite_uri"]

_SQLITE = "sqlite:///"


def database_of(uri: str) -> Path | None:
    """Return the file of an SQLite URI, absolute; None for another kind of URI."""
    if not uri.startswith(_SQLITE):
        return None
    path, _, _ = uri.removeprefix(_SQLITE).partition("?")
    return Path(unquote(path)).absolute()


def sqlite_uri(database: Path) -> str:
    """Return the URI of a database; the inverse of `database_of` for any path."""
    return f"{_SQLITE}{quote(str(database), safe='/ ~:@!$&()*+,;=')}"


def for_sqlalchemy(database: Path) -> str:
    """Return the URI of a database for SQLAlchemy, whose releases differ in what they unquote.

    Raises:
        ConfigError: if the installed release reads a part of the path as options.
    """
    if str(database) == quote(str(database)):
        return f"{_SQLITE}{database}"
    from sqlalchemy.engine import URL, make_url

    for path in (str(database), str(relative_to_cwd(database))):
        uri = URL.create("sqlite", database=path).render_as_string()
        if make_url(uri).database == path:
            return uri
    reason = f"expected a database without ? in its path; got {database}: SQLAlchemy takes the rest for options"
    raise ConfigError("tracking URI", [Problem("", f"{reason}. Work in its own folder, or name another file")])


def relative_to_cwd(path: Path) -> Path:
    """Return a path relative to the working folder, if it is inside it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


_PLACES = [
    ("runs", "artifact_uri", ""),
    ("logged_models", "artifact_location", ""),
    ("model_versions", "source", ""),
    ("model_versions", "storage_location", ""),
    ("datasets", "dataset_source", ""),
    ("tags", "value", "where key = 'noisette.directory'"),
]


def relocate(connection: sqlite3.Connection, old: Path, new: Path) -> None:
    """Change every path inside one folder to the same path inside another.

    Files that remain in the old folder keep their paths. Those of experiments always change, for future files.
    """
    _update(connection, "experiments", "artifact_location", "", (old, new), always=True)
    for table, column, condition in _PLACES:
        _update(connection, table, column, condition, (old, new), always=False)


def _update(
    connection: sqlite3.Connection,
    table: str,
    column: str,
    condition: str,
    move: tuple[Path, Path],
    *,
    always: bool,
) -> None:
    rows = connection.execute(f"select rowid, {column} from {table} {condition}").fetchall()
    for row, place in rows:
        followed = _follow(place or "", *move, always)
        if followed != place:
            connection.execute(f"update {table} set {column} = ? where rowid = ?", (followed, row))


def _follow(place: str, old: Path, new: Path, always: bool) -> str:
    """Return the new place: a path, a ``file:`` URI, or the JSON of a data set's source with one of them."""
    if place.startswith("{"):
        source = json.loads(place)
        return json.dumps({**source, "uri": _follow(str(source.get("uri", "")), old, new, always)})
    is_uri = place.startswith("file:")
    path = Path(unquote(urlsplit(place).path) if is_uri else place)
    if not path.is_relative_to(old):
        return place
    target = new / path.relative_to(old)
    if path.exists() and not target.exists() and not always:
        return place
    return target.as_uri() if is_uri else str(target)
