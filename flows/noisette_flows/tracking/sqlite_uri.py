"""The address of an SQLite database: as a person writes it, and as SQLAlchemy reads it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote, unquote

from noisette import ConfigError
from noisette.errors import Problem

__all__ = ["database_of", "for_sqlalchemy", "quoted", "relative"]

_SQLITE = "sqlite:///"


def database_of(uri: str) -> Path | None:
    """Return the file of an SQLite URI, absolute; None for another kind of URI."""
    if not uri.startswith(_SQLITE):
        return None
    path, _, _ = uri.removeprefix(_SQLITE).partition("?")
    return Path(unquote(path)).absolute()


def quoted(database: Path) -> str:
    """Return the URI of a database, from which `database_of` finds it whatever letters are in its path."""
    return f"{_SQLITE}{quote(str(database), safe='/ ~:@!$&()*+,;=')}"


def for_sqlalchemy(database: Path) -> str:
    """Return the URI under which SQLAlchemy finds a database; its releases differ in what they unquote.

    Raises:
        ConfigError: if the installed one takes a part of the path for options.
    """
    if str(database) == quote(str(database)):
        return f"{_SQLITE}{database}"
    from sqlalchemy.engine import URL, make_url

    for path in (str(database), str(relative(database))):
        uri = URL.create("sqlite", database=path).render_as_string()
        if make_url(uri).database == path:
            return uri
    reason = f"expected a database without ? in its path; got {database}: SQLAlchemy takes the rest for options"
    raise ConfigError("tracking URI", [Problem("", f"{reason}. Work in its own folder, or name another file")])


def relative(path: Path) -> Path:
    """Return a path from the working folder, if it lies below that."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
