"""`noisette evaluate-folders`: what is shown, stored and logged."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.workspace import Workspace

pytestmark = pytest.mark.slow

LITE = "efficientnet-lite0:size=32"


def noisette(where: Path, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = Workspace(where).noisette(*arguments, MLFLOW_HTTP_REQUEST_MAX_RETRIES="0")
    assert done.returncode == code, done.stderr + done.stdout
    return done


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    there = tmp_path_factory.mktemp("two")
    for seed, (name, count, top) in enumerate((("real", 40, 256), ("fake", 16, 200))):
        (there / name).mkdir()
        arrays = np.random.default_rng(seed).integers(0, top, (count, 8, 8), dtype=np.uint8)
        for index, array in enumerate(arrays):
            Image.fromarray(array).save(there / name / f"{index}.png")
    (there / "fake" / "note.txt").write_text("no image")
    return there


def test_the_table_says_what_was_compared(place: Path) -> None:
    done = noisette(place, "evaluate-folders", "fake", "real", "--features", LITE, "--metrics", "kid:size=8")
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert any(line.startswith("real, held out ") for line in lines)
    assert any(line.startswith("fake ") for line in lines)
    text = " ".join(lines)
    assert "16 of 17 files, 8x8 grey, against real, 40 of 40 files" in text
    assert "anti-aliased bicubic to 32x32" in text
    assert "held out: 16 of the reference itself, seed 0" in text
    assert "Computed by noisette" in text
    assert "1 of 17 files of fake; the reasons: runs/data/folder-" in text
    assert not (place / "mlflow.db").exists()


def test_json_is_one_document_and_the_second_time_nothing_is_read(place: Path) -> None:
    arguments = ["evaluate-folders", "fake", "real", "--features", LITE, "--metrics", "kid:size=8", "--json"]
    first, second = noisette(place, *arguments), noisette(place, *arguments)
    facts = json.loads(first.stdout)
    assert facts["columns"] == ["kid_efficientnet-lite0"]
    assert [row["kind"] for row in facts["rows"]] == ["floor", "images"]
    assert facts["rows"][1]["results"]["kid_efficientnet-lite0"]["stderr"] > 0
    assert facts["sides"]["generated"]["rejected"] == 1
    assert (place / facts["report"]).is_file()
    assert second.stdout == first.stdout
    assert second.stderr == ""


def test_it_is_logged_where_a_store_is_named_and_only_once(place: Path) -> None:
    arguments = ["evaluate-folders", "fake", "real", "--features", LITE, "--metrics", "kid:size=8"]
    for _ in range(2):
        done = noisette(place, *arguments, "--tracking-uri", "sqlite:///two.db")
        assert "two.db" in done.stdout
        assert "INFO" not in done.stderr
    with sqlite3.connect(place / "two.db") as database:
        assert database.execute("select name, status from runs").fetchall() == [("fake beside real", "FINISHED")]
        tags = dict(database.execute("select key, value from tags").fetchall())
        metrics = {key for (key,) in database.execute("select key from metrics")}
    assert tags["noisette.protocol.features"] == "efficientnet-lite0"
    assert len(tags["noisette.protocol.weights_sha256"]) == 64
    assert tags["noisette.protocol.generated"] == "16 of 17 files, 8x8 grey"
    assert metrics == {f"kid efficientnet-lite0{which}" for which in ("", " stderr", " floor", " floor stderr")}
    [table] = (place / "mlartifacts").rglob("eval/results-*.json")
    content = json.loads(table.read_text())
    assert [row[0] for row in content["data"]] == ["16 of real", "fake"]


def test_a_store_that_does_not_answer_costs_no_result(place: Path) -> None:
    uri = "http://ann:secret@127.0.0.1:9"
    arguments = [
        "evaluate-folders",
        "fake",
        "real",
        "--features",
        LITE,
        "--metrics",
        "kid:size=8",
        "--tracking-uri",
        uri,
    ]
    done = noisette(place, *arguments)
    assert "warning: not logged to http://127.0.0.1:9" in done.stderr
    assert "secret" not in done.stderr + done.stdout
    assert "fake" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate", "fake"], "got a folder: to compare it with another, run noisette evaluate-folders fake REAL"),
        (["evaluate-folders", "fake", "nowhere"], "nowhere: expected a folder of images; there is none"),
        (["evaluate-folders", "fake", "real", "--features", "incept"], "no features 'incept'"),
        (["evaluate-folders", "fake", "real", "--metrics", "kid:sise=8"], "did you mean 'size'?"),
    ],
)
def test_mistakes_are_one_message(place: Path, arguments: list[str], message: str) -> None:
    done = noisette(place, *arguments, code=2)
    assert message in " ".join(done.stderr.replace("│", " ").split())
    assert "Traceback" not in done.stderr
