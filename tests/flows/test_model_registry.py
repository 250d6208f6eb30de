"""A trained model in MLflow's registry, drawn from through a real server without pickle."""

from __future__ import annotations

import base64
import io
import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient
from PIL import Image
from support.servers import MLFLOW, Server, free_port, run_server
from support.workspace import FinishedRun, Workspace

from noisette import Samples
from noisette_flows.cli.models import path_prefix

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def registered(finished: FinishedRun, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A copy of the finished workshop in which its model was registered, in a store that did not have its run."""
    folder = tmp_path_factory.mktemp("registered") / "workspace"
    shutil.copytree(finished.workspace.folder, folder, ignore=shutil.ignore_patterns("prefect", "ml*", "features"))
    workspace = Workspace(folder)
    done = workspace.noisette("register", "tiny.yaml")
    assert done.returncode == 0, done.stderr
    assert "tiny version 1: runs/tiny-" in done.stdout
    assert "mlflow models serve -m models:/tiny@current --env-manager local" in done.stdout
    assert done.stderr == ""
    return workspace


@pytest.fixture(scope="module")
def server(registered: Workspace) -> Iterator[Server]:
    """A server started by the printed command, without an activated environment and without pickle."""
    printed = registered.noisette("register", "tiny.yaml").stdout.partition("\n\n")[2]
    port = free_port()
    command = ["sh", "-ec", printed.replace("--port 5001", f"--host 127.0.0.1 --port {port}")]
    settings = {"PATH": "/usr/bin:/bin", "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false", "OMP_NUM_THREADS": "1"}
    with run_server(Server(command, port, registered.folder, settings, "/ping")) as server:
        yield server


def test_the_printed_command_sets_a_path_only_where_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(MLFLOW.parent))
    assert path_prefix() == ""
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert path_prefix() == f"PATH={MLFLOW.parent}:$PATH "


def ask(server: Server, *rows: dict[str, Any]) -> list[dict[str, Any]]:
    content = json.dumps({"dataframe_records": rows}).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{server.uri}/invocations", content, headers)
    with urllib.request.urlopen(request, timeout=120) as answer:
        predictions: list[dict[str, Any]] = json.load(answer)["predictions"]
    return predictions


def image(answer: dict[str, Any]) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(answer["png"]))))


def test_it_lies_in_the_experiment_with_its_run_and_without_pickle(registered: Workspace) -> None:
    client = MlflowClient(f"sqlite:///{registered.folder}/mlflow.db")
    version = client.get_model_version_by_alias("tiny", "current")
    experiment = client.get_experiment_by_name("tiny")
    assert experiment is not None
    assert version.run_id is not None
    assert client.get_run(version.run_id).info.experiment_id == experiment.experiment_id
    assert version.tags["noisette.step"] == "12"
    (model,) = (registered.folder / "mlartifacts").rglob("MLmodel")
    files = {path.name for path in model.parent.rglob("*") if path.is_file()}
    assert {"pyfunc_code.py", "ema.safetensors", "MANIFEST.json"} <= files
    assert not [name for name in files if name.endswith((".pkl", ".pickle", ".pt", ".bin"))]
    assert "optimizer.safetensors" not in files
    assert "signature" in model.read_text()
    assert not (registered.folder / "mlruns").exists()


def test_the_same_checkpoint_is_registered_once(registered: Workspace) -> None:
    again = registered.noisette("register", "tiny.yaml", "--alias", "shown", "--json")
    assert again.returncode == 0, again.stderr
    told = json.loads(again.stdout)
    assert (told["version"], told["new"], told["uri"]) == ("1", False, "models:/tiny@shown")
    client = MlflowClient(f"sqlite:///{registered.folder}/mlflow.db")
    assert len(client.search_model_versions("name = 'tiny'")) == 1


def test_the_server_draws_the_images_that_noisette_draws(server: Server, registered: Workspace) -> None:
    (directory,) = registered.runs[0].glob("samples/ddim-5-*")
    drawn = Samples.open(directory).images
    answers = ask(server, *({"index": index} for index in (0, 3, 5)))
    for answer, index in zip(answers, (0, 3, 5), strict=True):
        assert answer["index"] == index
        assert np.array_equal(image(answer), drawn[index, 0])


def test_each_row_says_how_it_is_drawn_and_is_drawn_alone(server: Server) -> None:
    rows = [
        {"index": 2, "seed": 7, "sampler": name, "steps": 4}
        for name in ("ddim", "ddpm", "ddpm:variance=fixed-large")
    ]
    together = ask(server, *rows)
    assert len({answer["png"] for answer in together}) == 3
    assert [ask(server, row)[0] for row in rows] == together
    assert ask(server, {**rows[0], "seed": 8})[0]["png"] != together[0]["png"]
    assert ask(server, {**rows[0], "steps": 5})[0]["png"] != together[0]["png"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"index": 0, "steps": 5000}, "expected 1 to 20, the trained timesteps; got 5000"),
        ({"index": 0, "sampler": "dimm"}, "did you mean 'ddim'?"),
        ({"index": 0, "label": "cat"}, "class: expected none"),
        ({"index": 2**63}, "row 0: index: expected a whole number from 0 to 2^53; got"),
        ({"index": 1.5}, "row 0: index: expected a whole number from 0 to 2^53; got 1.5"),
        ({"index": 0, "guidance_scale": 1e39}, "row 0: guidance_scale: expected at most 1000; got 1e+39"),
    ],
)
def test_a_wish_that_cannot_be_had_is_a_reason_and_no_image(
    server: Server, row: dict[str, Any], reason: str
) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask(server, row)
    assert refused.value.code == 400
    assert reason in refused.value.read().decode()


def test_a_request_has_a_bounded_number_of_rows(server: Server) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask(server, *({"index": index, "steps": 1} for index in range(1025)))
    assert refused.value.code == 400
    assert "expected 1 to 1024 rows; got 1025" in refused.value.read().decode()


def test_a_store_that_does_not_answer_is_named_without_its_password(registered: Workspace) -> None:
    uri = "http://ann:canary-4711@127.0.0.1:9"
    done = registered.noisette("register", "tiny.yaml", "--tracking-uri", uri)
    assert done.returncode == 2
    assert "MLflow at http://127.0.0.1:9" in done.stderr
    assert "canary" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    off = registered.noisette("register", "tiny.yaml", "--tracking-uri", "off")
    assert off.returncode == 2
    assert "expected a store to register in" in off.stderr


def test_a_damaged_checkpoint_is_not_registered(registered: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "workspace"
    shutil.copytree(registered.folder, folder)
    workspace = Workspace(folder)
    (weights,) = workspace.runs[0].glob("checkpoints/*/ema.safetensors")
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    done = workspace.noisette("register", "tiny.yaml", "--name", "damaged")
    assert done.returncode == 2
    assert "ema.safetensors" in done.stderr
