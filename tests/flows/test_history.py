"""`noisette show`: the same table from MLflow, without the run directory."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from support.workspace import FinishedRun, Workspace

pytestmark = pytest.mark.slow


@pytest.fixture
def elsewhere(finished: FinishedRun, tmp_path: Path) -> Workspace:
    """A folder on another machine, so to speak: it has neither config nor run."""
    (tmp_path / "home").mkdir()
    return Workspace(tmp_path)


def test_the_table_is_that_of_the_run(finished: FinishedRun, elsewhere: Workspace) -> None:
    store = f"sqlite:///{finished.workspace.folder}/mlflow.db"
    printed = elsewhere.noisette("show", "tiny", "--tracking-uri", store)
    assert printed.returncode == 0, printed.stderr
    table = finished.first.stdout.partition("\nimages ")[0].rstrip()
    assert "ddim-5" in table
    assert "pure noise" in table
    title, _, rest = printed.stdout.partition("\n")
    assert title == "12 steps eps linear: evaluation (finished)"
    assert rest.strip() == table.strip()
    told = json.loads(elsewhere.noisette("show", "tiny", "--tracking-uri", store, "--json").stdout)
    rows = json.loads(finished.workspace.noisette("run", "tiny.yaml", "--json").stdout)["rows"]
    assert [table["rows"] for table in told["tables"]] == [rows]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("nothing",), "has no experiment 'nothing'; it has: "),
        (("tiny", "--tracking-uri", "http://ann:canary@127.0.0.1:9"), "9 does not answer: "),
        (("tiny", "--tracking-uri", "off"), "expected an MLflow store to read"),
        (("--tracking-uri", "http://ann:ca/nary@127.0.0.1:9", "tiny"), "written as %2F"),
    ],
)
def test_what_cannot_be_shown_is_said(
    finished: FinishedRun, elsewhere: Workspace, arguments: tuple[str, ...], reason: str
) -> None:
    shutil.copy(finished.workspace.folder / "mlflow.db", elsewhere.folder)
    refused = elsewhere.noisette("show", *arguments)
    assert refused.returncode == 2
    assert reason in refused.stderr
    assert "nary" not in refused.stderr
    assert "Traceback" not in refused.stderr
