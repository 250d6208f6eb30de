"""MLflow's SQLite database: its URI, created atomically, and recognised after it was moved.

MLflow creates its tables by some seventy migrations that SQLite does not roll back. Two processes that start at
once, or one that is killed, leave a part of them, and every later command fails. So the tables are created in a
staging file under a lock, and the file is renamed. Our own table `noisette_store` holds the identity of the store,
the version of MLflow, and the folder of the file: if the file is in another folder, it was moved or copied, and the
paths in it are updated.
"""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from dataclasses import astuple, dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit
from uuid import uuid4

from noisette import ConfigError, NoisetteError
from noisette.errors import Problem
from noisette.storage import lock_file, make_directory, sync

__all__ = [
    "UnusableDatabaseError",
    "database_of",
    "for_sqlalchemy",
    "is_ready",
    "prepare",
    "relative_to_cwd",
    "relocate",
    "sqlite_uri",
    "store_id",
]

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


_BUSY = 30.0  # seconds that a reader waits for a writer
_UNCHANGED = 10.0  # seconds after which a half-made database is abandoned
_FRESH = {
    "alembic_version": 1,
    "experiments": 1,
    "workspaces": 1,
    "noisette_store": 1,
}  # rows of an empty database


class UnusableDatabaseError(NoisetteError):
    """A database that MLflow cannot open and that may hold runs; the message names the file to move away."""


@dataclass(frozen=True)
class _Signature:
    """The row of our own table.

    Attributes:
        identity: of the store, wherever its file is.
        folder: of the file when it was last prepared.
        mlflow: version of MLflow that opened it last.
    """

    identity: str
    folder: str
    mlflow: str


def store_id(database: Path) -> str:
    """Return the identity of a database, wherever its file is; "" if it was never prepared.

    Raises:
        UnusableDatabaseError: if it cannot be read.
    """
    signature = _read(database)
    return signature.identity if signature else ""


def is_ready(database: Path) -> bool:
    """Return whether a database is complete and its paths are right, at once. Raises as `store_id`."""
    signature = _read(database)
    return signature is not None and signature == _signature(database, signature.identity)


def prepare(database: Path) -> Path | None:
    """Create a database, or update an existing one; return the new path of a half-made one, or None.

    Raises:
        UnusableDatabaseError: if MLflow cannot open it, and it may hold something.
        OSError: if it cannot be written.
    """
    if is_ready(database):
        return None
    make_directory(database.parent)
    with lock_file(database.with_name(f".{database.name}.lock")):
        if is_ready(database):  # another process has just created it
            return None
        aside = _set_aside(database) if _is_half_made(database) else None
        if database.exists():
            _open(database)
            _take_over(database)
        else:
            _make(database)
    return aside


def _connect(database: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(database))}?mode=rw", uri=True, timeout=_BUSY)


def _signature(database: Path, identity: str) -> _Signature:
    return _Signature(identity, str(database.parent.resolve()), version("mlflow"))


def _read(database: Path) -> _Signature | None:
    if not database.exists():
        return None
    try:
        with closing(_connect(database)) as connection:
            row = connection.execute("select identity, folder, mlflow from noisette_store").fetchone()
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return None
        raise UnusableDatabaseError(f"{database}: {error}") from error
    except sqlite3.DatabaseError:  # not a database, or damaged
        return None
    return _Signature(*row) if row else None


def _sign(connection: sqlite3.Connection, signature: _Signature) -> None:
    connection.execute("create table if not exists noisette_store (identity text, folder text, mlflow text)")
    connection.execute("delete from noisette_store")
    connection.execute("insert into noisette_store values (?, ?, ?)", astuple(signature))


def _make(database: Path) -> None:
    staging = database.with_name(f".{database.name}.new")
    for leftover in database.parent.glob(f"{staging.name}*"):  # of a process that was killed
        leftover.unlink()
    _open(staging)
    _take_over(staging)
    sync(staging)
    staging.rename(database)
    sync(database.parent)


def _take_over(database: Path) -> None:
    """Sign a complete database and update the paths in it."""
    before = _read(database)
    signature = _signature(database, before.identity if before else uuid4().hex)
    with closing(_connect(database)) as connection, connection:
        if before and before.folder != signature.folder:
            relocate(connection, Path(before.folder), Path(signature.folder))
        _sign(connection, signature)


def _open(database: Path) -> None:
    """Let MLflow open a database, which creates or upgrades its tables."""
    store: Any = import_module("mlflow.store.tracking.sqlalchemy_store").SqlAlchemyStore  # without types
    uri = for_sqlalchemy(database)
    try:
        store(uri, (database.parent.resolve() / "mlartifacts").as_uri())
    except Exception as error:
        if _is_whole(database):  # on a full disk, for example
            raise
        reason = str(error).partition("\n")[0]
        raise UnusableDatabaseError(
            f"{database}: MLflow {version('mlflow')} cannot open it ({reason}). All that noisette sent to it is "
            "in the run directories: move this file away, and `noisette run` creates a new one and sends it again"
        ) from error
    finally:
        if uri in store._engine_map:  # its connections would keep using a file that is moved away
            store._engine_map.pop(uri).dispose()


def _is_half_made(database: Path) -> bool:
    """Return whether a database lacks tables, has no rows, and is not being created."""
    while database.exists() and not _is_whole(database) and _is_empty(database):
        if abs(time.time() - database.stat().st_mtime) > _UNCHANGED:
            return True
        time.sleep(0.5)
    return False


def _is_whole(database: Path) -> bool:
    """Return whether all tables of the installed MLflow exist."""
    from sqlalchemy.exc import DatabaseError

    utils: Any = import_module("mlflow.store.db.utils")  # without types
    engine = utils.create_sqlalchemy_engine(for_sqlalchemy(database))
    try:
        newest = utils._get_latest_schema_revision()
        return bool(utils._all_tables_exist(engine) and utils._get_schema_version(engine) == newest)
    except DatabaseError as error:
        if "locked" in str(error):
            raise
        return False
    finally:
        engine.dispose()


def _is_empty(database: Path) -> bool:
    """Return whether a database has only the rows of a new one."""
    try:
        with closing(_connect(database)) as connection:
            tables = connection.execute("select name from sqlite_master where type = 'table'").fetchall()
            counts = {
                name: connection.execute(f'select count(*) from "{name}"').fetchone()[0] for (name,) in tables
            }
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:  # unknown
        return False
    return all(count <= _FRESH.get(name, 0) for name, count in counts.items())


def _set_aside(database: Path) -> Path:
    number = 1
    while (aside := database.with_name(f"{database.name}.half-made-{number}")).exists():
        number += 1
    return database.rename(aside)
