from __future__ import annotations

import sys
from pathlib import Path

import pytest

from noisette_flows.tracking import Store


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
        ("postgresql://ann:s3:cr@t@127.0.0.1/mlflow", "postgresql://127.0.0.1/mlflow"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
    ],
)
def test_a_password_is_never_shown(uri: str, shown: str) -> None:
    assert store(uri).shown == shown
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
    assert store("http://ann:s%40t@127.0.0.1:5000").hide(said) == "request to http://127.0.0.1:5000/api failed"
    assert store("http://127.0.0.1:5000").hide(said) == said


def test_artifacts_of_a_file_store_lie_at_an_absolute_path(tmp_path: Path) -> None:
    assert store("sqlite:///deep/mlflow.db").artifacts("digits") == f"{tmp_path}/deep/mlartifacts/digits"
    assert store("http://127.0.0.1:5000").artifacts("digits") is None


def test_a_store_whose_file_was_removed_is_gone(tmp_path: Path) -> None:
    assert store().gone
    (tmp_path / "mlflow.db").touch()
    assert not store().gone
    assert not store("http://127.0.0.1:5000").gone


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
