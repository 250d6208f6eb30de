from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from noisette import Estimate, Report, StorageError
from noisette.evaluation import Row
from noisette.storage import committed


def some_report(directory: Path) -> Report:
    return Report(
        directory=directory,
        rows=[
            Row("floor", "held-out", results={"fid": Estimate(2.5), "kid": Estimate(-1e-5, 2e-4)}),
            Row("sampler", "ddim-50", 50, 50, 0.0125, {"fid": Estimate(0.1 + 0.2), "kid": Estimate(0.03, 1e-3)}),
            Row("noise", "noise", results={"fid": Estimate(300.0)}),
        ],
        columns=["fid", "kid"],
        better={"fid": "lower", "kid": "lower"},
        protocol={"features": "inception", "reference_count": 1297, "ema": True, "step": 1500},
        details={"metrics": [{"name": "kid", "subsets": 100}]},
        notes=["kid is left out for noise: für Größe"],
    )


def written(directory: Path) -> Report:
    report = some_report(directory)
    with committed(directory, "evaluation", {}) as staging:
        report.write(staging)
    return report


def test_it_comes_back_as_it_was(tmp_path: Path) -> None:
    report = written(tmp_path / "report")
    assert Report.open(report.directory) == report
    assert Report.finished(report.directory) == report
    assert isinstance(Report.open(report.directory).rows[0].results["fid"], Estimate)


def test_the_file_is_json_that_others_can_read(tmp_path: Path) -> None:
    report = written(tmp_path / "report")
    content = json.loads((report.directory / "report.json").read_text(encoding="utf-8"))
    assert "directory" not in content
    assert content["rows"][1]["results"]["kid"] == {"value": 0.03, "stderr": 0.001}
    assert content["rows"][0]["steps"] is None


def test_a_value_that_is_not_finite_is_never_written(tmp_path: Path) -> None:
    report = some_report(tmp_path)
    report.rows[0].results["fid"] = Estimate(float("nan"))
    with pytest.raises(ValueError, match="JSON"):
        report.write(tmp_path)
    assert not (tmp_path / "report.json").exists()


def test_damage_is_named(tmp_path: Path) -> None:
    directory = written(tmp_path / "report").directory
    path = directory / "report.json"
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"2.5", b"1.5"))
    with pytest.raises(StorageError, match=r"report\.json.*sha256"):
        Report.open(directory)
    path.write_bytes(whole[:-10])
    assert Report.finished(directory) is None
    path.write_bytes(whole.replace(b'"rows"', b'"rwos"'))
    with pytest.raises(StorageError, match=r"report\.json: expected a report of this version"):
        Report.finished(directory)
    path.write_bytes(whole)
    Report.open(directory)  # control


def test_what_is_not_there_is_no_report(tmp_path: Path) -> None:
    assert Report.finished(tmp_path / "none") is None
    with pytest.raises(StorageError, match="evaluation"):
        Report.open(tmp_path / "none")


def test_reading_needs_neither_torch_nor_numpy(tmp_path: Path) -> None:
    directory = written(tmp_path / "report").directory
    code = (
        "import sys; from pathlib import Path; from noisette import Report\n"
        f"assert Report.open(Path({str(directory)!r})).rows[1].label == 'ddim-50'\n"
        "assert not {'torch', 'numpy'} & set(sys.modules), 'heavy'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
