"""Names in MLflow: told apart where they are cut, never leading out of a folder, never a password."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from mlflow import MlflowClient
from support.mlflow_store import empty_store
from support.tiny import tiny

from noisette import ConfigError
from noisette_flows.tracking import Mirror, Store
from noisette_flows.tracking.names import VISIBLE_CHARACTERS, differing_options, metric_key, parameters, run_name


def test_what_was_changed_comes_first_then_the_steps() -> None:
    assert run_name(tiny(), {}) == "12 steps eps linear"
    assert run_name(tiny("training.lr=0.0003"), {"training.lr": 0.0003}) == "lr=0.0003 12 steps eps linear"
    changed = {
        "training.steps": 700,
        "schedule": "cosine",
        "sampling.num_images": 3,
        "training.keep_checkpoints": 1,
    }
    named = run_name(tiny("training.steps=700", "schedule=cosine"), changed)
    assert named == "700 steps eps cosine", "what is in every name is not said twice, and counts decide no network"


@pytest.mark.parametrize(("few", "many"), [(10, 20), (12, 16), (100, 1000), (2000, 2500)])
def test_step_counts_are_told_apart_in_the_letters_that_are_seen(few: int, many: int) -> None:
    names = {
        run_name(tiny(f"training.steps={steps}", "schedule=scaled-linear", "objective=v"), {})[:VISIBLE_CHARACTERS]
        for steps in (few, many)
    }
    assert len(names) == 2


def test_what_two_configs_differ_in_can_come_first() -> None:
    ours, theirs = tiny("training.lr=0.5", "sampling.num_images=3"), tiny("backbone.channels=16")
    paths = differing_options(ours.options(), theirs.options())
    assert paths == ["backbone.channels", "training.lr", "sampling.num_images"]
    assert run_name(ours, {}, paths[:2]) == "channels=8 lr=0.5 12 steps eps linear"
    assert run_name(ours, {"training.lr": 0.5}, ["training.lr"]) == "lr=0.5 12 steps eps linear"
    assert run_name(ours, {}, ["training.steps"]) == "12 steps eps linear"
    assert run_name(ours, {}, ["objective.name", "schedule.name"]) == "eps linear 12 steps"
    assert differing_options(ours.options(), ours.options()) == []


def test_every_changed_option_is_a_parameter() -> None:
    changed = {"backbone.channels": 16, "training.ema_decay": 0.9, "sampling.num_images": 3, "objective": "v"}
    told = parameters(tiny("backbone.channels=16", "training.ema_decay=0.9", "objective=v"), changed)
    assert told["backbone.channels"] == 16
    assert (told["training.ema_decay"], told["objective"]) == (0.9, "v")
    assert "sampling.num_images" not in told, "it decides no model"
    assert set(parameters(tiny(), {})) == set(told) - {"backbone.channels", "training.ema_decay"}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return empty_store(tmp_path / "mlflow.db")


def shown(tmp_path: Path, store: Store, name: str, *changes: str) -> str:
    """Send an empty run directory; return its name in MLflow."""
    directory = tmp_path / "runs" / name
    directory.mkdir(parents=True, exist_ok=True)
    Mirror(tiny(*changes), directory, store, {}).sync({})
    (run,) = MlflowClient(store.uri).search_runs(["1"], f"tags.`noisette.directory` = '{directory}'")
    return str(run.info.run_name)


def test_a_run_is_told_apart_from_those_that_are_there(tmp_path: Path, store: Store) -> None:
    assert shown(tmp_path, store, "a") == "12 steps eps linear"
    assert shown(tmp_path, store, "b", "training.lr=0.5") == "lr=0.5 12 steps eps linear"
    assert shown(tmp_path, store, "c", "backbone.channels=16") == "channels=16 12 steps eps linear"
    assert shown(tmp_path, store, "a") == "12 steps eps linear", "a name never changes"
    assert shown(tmp_path, store, "d", "training.steps=13") == "13 steps eps linear"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("kid/ddim-50 efficientnet-lite0", "kid/ddim-50 efficientnet-lite0"),
        ("../../etc/passwd", "_/_/etc/passwd"),
        ("/absolute/./x//y/", "absolute/_/x/y"),
        ("ddim eta=1, π", "ddim eta_1_ _"),
        ("..", "_"),
        ("", "_"),
        ("x" * 900, "x" * 200),
    ],
)
def test_a_key_is_one_that_mlflow_takes_and_leads_nowhere_else(text: str, key: str) -> None:
    assert metric_key(text) == key


def test_names_from_a_run_cannot_leave_the_folder_of_files(tmp_path: Path, store: Store) -> None:
    directory = tmp_path / "runs" / "tiny"
    (directory / "grids").mkdir(parents=True)
    metrics = {"../../../evil": 1.0, "loss (of a plugin)": 2.0}
    line = {"time": 1.0, "stage": "train", "name": "tiny", "step": 1, "metrics": metrics}
    (directory / "metrics.jsonl").write_text(json.dumps(line) + "\n")
    Mirror(tiny(), directory, store, {}).sync({})
    client = MlflowClient(store.uri)
    (run,) = client.search_runs(["1"], "attributes.run_name = 'training'")
    assert run.data.metrics == {"train/_/_/_/evil": 1.0, "train/loss _of a plugin_": 2.0}
    places = {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*")}
    assert places == {"mlflow.db", ".mlflow.db.lock", "mlartifacts", "runs"}
    with pytest.raises(ConfigError, match="name"):
        tiny("name=../../evil")


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("http://ann:s3cret@host:5000", "http://host:5000"),
        ("https://ann:s3cret@host/prefix", "https://host/prefix"),
        ("postgresql://ann:s3cret@host:5432/db", "postgresql+psycopg://host:5432/db"),
        ("postgresql+psycopg://host/db?user=ann&password=s3cret", "postgresql+psycopg://host/db"),
        ("mysql://ann:s3%2Fcret@host/db?ssl=s3cret", "mysql://host/db"),
    ],
)
def test_a_store_is_shown_without_its_password(uri: str, shown: str) -> None:
    store = Store.of(uri)
    assert store is not None
    assert store.display_uri == shown
    for message in (
        f"cannot reach {uri}",
        "password 's3cret' is wrong",
        "s3/cret",
        store.link("1"),
        str(store.ui_command()),
    ):
        assert "s3cret" not in store.redact(message)
        assert "s3/cret" not in store.redact(message) or "%2F" not in uri


@pytest.mark.parametrize("uri", ["http://ann:s3/cret@host", "http://ann:s3?cret@host", "http://ann:s3#cret@host"])
def test_a_password_whose_end_cannot_be_seen_is_refused_without_being_told(uri: str) -> None:
    with pytest.raises(ConfigError, match="written as %2F") as refused:
        Store.of(uri)
    assert "cret" not in str(refused.value)
