"""`noisette compare --mlflow`: the same table from MLflow, without the run directory."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from support.workshop import Finished, Workshop

pytestmark = pytest.mark.slow


@pytest.fixture
def elsewhere(finished: Finished, tmp_path: Path) -> Workshop:
    """A folder on another machine, so to speak: it has neither config nor run."""
    (tmp_path / "home").mkdir()
    return Workshop(tmp_path)


def test_the_table_is_that_of_the_run(finished: Finished, elsewhere: Workshop) -> None:
    store = f"sqlite:///{finished.workshop.folder}/mlflow.db"
    printed = elsewhere.noisette("compare", "--mlflow", "tiny", "--tracking-uri", store)
    assert printed.returncode == 0, printed.stderr
    table = finished.first.stdout.partition("\npictures ")[0].rstrip()
    assert "ddim-5" in table
    assert "pure noise" in table
    title, _, rest = printed.stdout.partition("\n")
    assert title == "12 steps eps linear: evaluation (finished)"
    assert rest.strip() == table.strip()
    told = json.loads(elsewhere.noisette("compare", "--mlflow", "tiny", "--tracking-uri", store, "--json").stdout)
    rows = json.loads(finished.workshop.noisette("run", "tiny.yaml", "--json").stdout)["rows"]
    assert [table["rows"] for table in told["tables"]] == [rows]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--mlflow", "nothing"), "has no experiment 'nothing'; it has: "),
        (("--mlflow", "tiny", "--tracking-uri", "http://ann:canary@127.0.0.1:9"), "9 does not answer: "),
        (("--mlflow", "tiny", "--tracking-uri", "off"), "expected a store to read"),
        (("--tracking-uri", "http://ann:ca/nary@127.0.0.1:9", "--mlflow", "tiny"), "written as %2F"),
        ((), "expected a CHECKPOINT, or --mlflow EXPERIMENT"),
    ],
)
def test_what_cannot_be_shown_is_said(
    finished: Finished, elsewhere: Workshop, arguments: tuple[str, ...], reason: str
) -> None:
    shutil.copy(finished.workshop.folder / "mlflow.db", elsewhere.folder)
    refused = elsewhere.noisette("compare", *arguments)
    assert refused.returncode == 2
    assert reason in refused.stderr
    assert "nary" not in refused.stderr
    assert "Traceback" not in refused.stderr
