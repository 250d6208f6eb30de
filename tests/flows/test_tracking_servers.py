"""The same view of a run on every kind of store, each a real server; and no password in it, or anywhere else."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from support.mlflow_store import runs_of, snapshot_runs
from support.servers import missing_postgresql, mlflow_server, postgresql
from support.workspace import FinishedRun, Workspace

from noisette import Experiment
from noisette_flows.tracking import Mirror, Store, is_behind
from noisette_flows.tracking.runs import make_client

pytestmark = pytest.mark.slow

PASSWORD = "canary/47 11"

needs_postgresql = pytest.mark.skipif(bool(missing_postgresql()), reason=missing_postgresql() or "it is there")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL of our own, whose only user has a password to look for."""
    with postgresql(tmp_path_factory.mktemp("postgresql") / "server", "ann", PASSWORD) as uri:
        yield uri.replace(PASSWORD, "canary%2F47%2011")


@pytest.fixture
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    kind = request.param
    uri = request.getfixturevalue("database") if "postgresql" in kind else None
    if kind == "postgresql":
        yield _store(uri)
        return
    with mlflow_server(tmp_path / "server", uri) as server:
        yield _store(server.uri)


def _store(uri: str) -> Store:
    store = Store.of(uri)
    assert store is not None
    return store


@pytest.mark.parametrize(
    "store",
    [
        "mlflow server on sqlite",
        pytest.param("mlflow server on postgresql", marks=needs_postgresql),
        pytest.param("postgresql", marks=needs_postgresql),
    ],
    indirect=True,
)
def test_every_store_shows_what_the_embedded_one_shows(
    store: Store, finished: FinishedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    directory = tmp_path / "run"
    shutil.copytree(finished.run, directory)
    (directory / "mlflow.json").unlink()
    config = finished.workspace.folder / "tiny.yaml"
    name = "on-a-server" if store.uri.startswith("http") else "direct"  # two of them share a database
    experiment = Experiment.load(config, {"name": name})
    Mirror(experiment, directory, store, {}).sync({"parent": "FINISHED"})
    assert not is_behind(directory, store)
    client = make_client(store)
    shown = snapshot_runs(client, name)
    assert shown == snapshot_runs(MlflowClient(f"sqlite:///{finished.workspace.folder}/mlflow.db"))
    parent, _ = runs_of(client, name)
    assert Path(client.download_artifacts(parent.info.run_id, "eval/report.json")).stat().st_size > 0
    Mirror(experiment, directory, store, {}).sync({"parent": "FINISHED"})
    assert snapshot_runs(client, name) == shown


@needs_postgresql
def test_a_password_is_nowhere(workspace: Workspace, database: str) -> None:
    done = workspace.noisette("run", "tiny.yaml", MLFLOW_TRACKING_URI=database)
    assert done.returncode == 0, done.stderr
    assert "is behind" not in done.stderr
    assert kept(workspace.folder) == []
    assert "canary" not in done.stdout + done.stderr
    dump = _everything(database)
    assert "noisette.directory" in dump
    assert "canary" not in dump
    for uri in (database.replace("ann:", "bob:"), database.replace("5432", "1")):  # refused, with its reasons
        refused = workspace.noisette("register", "tiny.yaml", "--tracking-uri", uri.replace("47", "48"))
        assert refused.returncode == 2, refused.stderr
        assert "canary" not in refused.stdout + refused.stderr
    away = workspace.noisette("sample", "tiny.yaml", "--num-images", "4", MLFLOW_TRACKING_URI=_away(database))
    assert away.returncode == 0
    assert "is behind" in away.stderr  # the control: the log that is searched has an error in it
    (log,) = workspace.folder.glob("runs/tiny-*/mlflow.log")
    assert "refused" in log.read_text()
    assert "canary" not in away.stderr
    assert kept(workspace.folder) == []


def kept(folder: Path) -> list[Path]:
    """Return the files that hold the password, in either spelling."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    assert len(files) > 50
    return [path for path in files if b"canary" in path.read_bytes()]


def _away(database: str) -> str:
    """Return the address of a database that is not there, with the same password."""
    server, _, name = database.rpartition("/")
    return f"{server.rpartition(':')[0]}:9/{name}"


def _everything(database: str) -> str:
    """Return all that MLflow keeps, as text."""
    import psycopg

    with psycopg.connect(database.replace("+psycopg", "")) as connection, connection.cursor() as cursor:
        cursor.execute("select table_name from information_schema.tables where table_schema = 'public'")
        tables = [name for (name,) in cursor.fetchall()]
        text = []
        for table in tables:
            cursor.execute(f'select * from "{table}"')
            text.append(str(cursor.fetchall()))
    return "\n".join(text)


def test_the_canary_is_found_where_it_is(tmp_path: Path) -> None:
    """The control of the search."""
    for number in range(60):
        (tmp_path / str(number)).touch()
    (tmp_path / "7").write_bytes(b"\0\1postgresql://ann:canary@host")
    assert kept(tmp_path) == [tmp_path / "7"]
