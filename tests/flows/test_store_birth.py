"""The birth of mlflow.db: whatever happens in it, the database is whole or not there."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from support.outages import wait_until
from support.tiny import tiny

from noisette_flows.tracking import Store, SyncState, Tracker, database
from noisette_flows.tracking.database import UnusableDatabaseError, is_ready, prepare, store_id

pytestmark = pytest.mark.slow

HIDDEN = ".mlflow.db.lock"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "mlflow.db"
    assert prepare(path) is None
    return path


@pytest.fixture
def half_made(whole: Path, tmp_path: Path) -> Path:
    """A database as a kill leaves it: a migration has made its tables, and not yet said so."""
    path = tmp_path / "mlflow.db"
    shutil.copy(whole, path)
    before = "update alembic_version set version_num = '75868b020152'"
    change(path, "drop table noisette_store", "drop table job_locks", before)
    control = shutil.copy(path, tmp_path.with_name(f"{tmp_path.name}.db"))
    for _ in range(2):  # MLflow itself never gets past this
        with pytest.raises(Exception, match="scheduler_leases already exists"):
            SqlAlchemyStore(f"sqlite:///{control}", str(tmp_path))
    os.utime(path, (0, 0))  # long ago
    return path


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def forked(path: Path) -> BaseProcess:
    """Prepare a database in another process, which has imported MLflow already."""
    process = multiprocessing.get_context("fork").Process(target=prepare, args=(path,))
    process.start()
    return process


def tables(path: Path) -> int:
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return int(connection.execute("select count(*) from sqlite_master where type = 'table'").fetchone()[0])
    return 0


def is_usable(path: Path) -> bool:
    return MlflowClient(f"sqlite:///{path}").get_experiment("0").name == "Default"


@pytest.mark.parametrize("repeat", range(2))
def test_several_that_begin_at_once_get_one_whole_database(tmp_path: Path, repeat: int) -> None:
    path = tmp_path / "mlflow.db"
    processes = [forked(path) for _ in range(3)]
    for process in processes:
        process.join(300)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert is_ready(path)
    assert is_usable(path)
    assert {found.name for found in tmp_path.iterdir()} == {"mlflow.db", HIDDEN}


def test_a_kill_at_any_moment_leaves_a_whole_database_or_none(tmp_path: Path) -> None:
    path, seen = tmp_path / "mlflow.db", []
    staging = tmp_path / ".mlflow.db.new"
    moments: list[Callable[[], bool]] = [staging.exists]
    moments += [lambda least=least: tables(staging) >= least for least in (1, 12, 25, 40, 55)]  # type: ignore[misc]
    for moment in moments:
        process = forked(path)
        wait_until(lambda moment=moment: moment() or path.exists(), None)  # type: ignore[misc]
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        seen.append(path.exists())
        assert not path.exists() or is_usable(path)
    assert seen.count(False) >= 5, "most of the kills were in the birth"
    assert prepare(path) is None
    assert is_ready(path)
    assert is_usable(path)
    assert {found.name for found in tmp_path.iterdir()} == {"mlflow.db", HIDDEN}


def test_a_half_made_database_that_holds_nothing_is_set_aside(half_made: Path) -> None:
    before = half_made.read_bytes()
    aside = prepare(half_made)
    assert aside is not None
    assert aside.read_bytes() == before
    assert is_usable(half_made)
    assert prepare(half_made) is None


def test_a_half_made_database_on_which_another_process_works_is_waited_for(
    half_made: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def let_the_other_finish(_: float) -> None:
        shutil.copy(whole, half_made)
        change(half_made, "drop table noisette_store")

    os.utime(half_made)
    monkeypatch.setattr(database.time, "sleep", let_the_other_finish)
    assert prepare(half_made) is None
    assert is_ready(half_made)


def test_a_database_that_holds_a_run_is_left_and_named(
    half_made: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    change(half_made, "insert into runs (run_uuid, experiment_id) values ('a', 0)")
    with pytest.raises(UnusableDatabaseError, match=f"{half_made}.*move this file away"):
        prepare(half_made)
    store = Store.of(f"sqlite:///{half_made}")
    assert store is not None
    with Tracker.follow(tiny(), tmp_path / "runs" / "tiny", store.uri, {}):
        pass
    assert "move this file away" in caplog.text
    assert "Nothing is lost" not in caplog.text
    half_made.rename(tmp_path / "moved-away")
    store.prepare()
    assert SyncState.load(tmp_path / "runs" / "tiny", store).runs == {}


def test_what_is_no_database_is_left_and_named(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    path.write_text("something else, " * 100)
    with pytest.raises(UnusableDatabaseError, match=f"{path}.*move this file away"):
        prepare(path)
    assert path.read_text().startswith("something else")


def test_a_database_of_mlflow_itself_is_taken_over(whole: Path, tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    shutil.copy(whole, path)
    change(path, "drop table noisette_store", "update experiments set name = 'theirs'")
    assert not is_ready(path)
    assert prepare(path) is None
    assert is_ready(path)
    assert store_id(path) != store_id(whole)
    assert MlflowClient(f"sqlite:///{path}").get_experiment("0").name == "theirs"


def test_a_locked_database_is_neither_damaged_nor_set_aside(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mlflow.db"
    shutil.copy(whole, path)
    monkeypatch.setattr(database, "_BUSY", 0.1)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("begin exclusive")
        with pytest.raises(UnusableDatabaseError, match="locked"):
            prepare(path)
    assert {found.name for found in tmp_path.iterdir()} == {"mlflow.db"}
