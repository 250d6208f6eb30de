from __future__ import annotations

import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from sqlalchemy.engine import make_url

from noisette import ConfigError
from noisette_flows.tracking import Store


def unquotes() -> bool:
    """Return whether the installed SQLAlchemy unquotes paths, as its releases from 2.1 do."""
    return make_url("sqlite:///%25").database == "%"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def store(uri: str | None = None) -> Store:
    found = Store.of(uri)
    assert found is not None
    return found


def test_the_default_is_a_file_here(tmp_path: Path) -> None:
    assert store().database == tmp_path / "mlflow.db"
    assert store().uri == f"sqlite:///{tmp_path}/mlflow.db"


def test_an_argument_counts_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5001")
    assert store().uri == "http://127.0.0.1:5001"
    assert store("http://127.0.0.1:5002/").uri == "http://127.0.0.1:5002"


def test_off_means_no_store(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Store.of("off") is None
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "off")
    assert Store.of(None) is None


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("http://ann:secret@127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("postgresql://ann:s3:cr@t@127.0.0.1/mlflow", "postgresql+psycopg://127.0.0.1/mlflow"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
    ],
)
def test_a_password_is_never_shown(uri: str, shown: str) -> None:
    assert store(uri).display_uri == shown
    assert "s3" not in store(uri).link("1")
    assert "secret" not in (store(uri).ui_command() or "")


def test_mlflow_gets_the_password_by_the_environment() -> None:
    assert store("http://ann:s%40t@127.0.0.1:5000").login() == {
        "MLFLOW_TRACKING_USERNAME": "ann",
        "MLFLOW_TRACKING_PASSWORD": "s@t",
    }
    assert store("http://127.0.0.1:5000").login() == {}
    assert store().login() == {}


def test_messages_are_shown_without_the_password() -> None:
    said = "request to http://ann:s%40t@127.0.0.1:5000/api failed"
    assert store("http://ann:s%40t@127.0.0.1:5000").redact(said) == "request to http://127.0.0.1:5000/api failed"
    assert store("http://127.0.0.1:5000").redact(said) == said


def test_artifacts_of_a_file_store_lie_at_an_absolute_place(tmp_path: Path) -> None:
    assert store("sqlite:///deep/mlflow.db").artifacts("digits") == f"file://{tmp_path}/deep/mlartifacts/digits"
    assert store("http://127.0.0.1:5000").artifacts("digits") is None


@pytest.mark.parametrize("name", ["per cent%20", "hash#", "question?", "100%", "a&b=c"])
def test_a_folder_of_any_name_is_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / name)
    assert store().database == tmp_path / name / "mlflow.db"
    assert store(store().uri) == store()
    assert Path(make_url(store().for_client()).database or "").absolute() == tmp_path / name / "mlflow.db"
    place = store().artifacts("digits") or ""
    assert unquote(urlsplit(place).path) == f"{tmp_path / name}/mlartifacts/digits"


def test_sqlalchemy_is_told_the_whole_path() -> None:
    for name in ("per cent%20", "hash#", "100%"):
        database = Path(f"/elsewhere/{name}/mlflow.db")
        assert make_url(Store.in_file(database).for_client()).database == str(database)


@pytest.mark.skipif(unquotes(), reason="this SQLAlchemy can be told every path")
def test_a_path_that_sqlalchemy_cannot_be_told_is_refused() -> None:
    with pytest.raises(ConfigError, match="without \\? in its path"):
        Store.of("sqlite:////elsewhere/a%3Fb/mlflow.db")


def test_the_command_opens_the_store_from_here(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = Path(sys.executable).with_name("mlflow")
    monkeypatch.setenv("PATH", "/nowhere")
    assert store().ui_command() == f"{ours} ui --backend-store-uri sqlite:///mlflow.db"
    monkeypatch.setenv("PATH", str(ours.parent))
    assert store().ui_command() == "mlflow ui --backend-store-uri sqlite:///mlflow.db"
    assert store("http://127.0.0.1:5000").ui_command() is None


def test_the_link_opens_the_charts() -> None:
    assert store("http://127.0.0.1:5001").link("7") == (
        "http://127.0.0.1:5001/#/experiments/7/runs?workflowType=machine_learning&compareRunsMode=CHART"
    )
