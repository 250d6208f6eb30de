"""How busy the machine was: measured beside a training, kept on disk, shown by MLflow."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient
from support.tiny import tiny

from noisette_flows.tracking import Mirror, Store, is_behind
from noisette_flows.tracking.system_metrics import MACHINE, SystemMetrics, read_system_metrics


def wait_for(run: Path, lines: int) -> None:
    deadline = time.monotonic() + 120
    while len(list(read_system_metrics(run))) < lines:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_it_is_measured_while_there_is_training_and_then_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.05")
    gauge = SystemMetrics(tmp_path)
    time.sleep(0.3)
    assert not (tmp_path / MACHINE).exists(), "before a training there is nothing to measure"
    gauge.set_training(True)
    wait_for(tmp_path, 3)
    gauge.end()
    kept = list(read_system_metrics(tmp_path))
    time.sleep(0.3)
    assert list(read_system_metrics(tmp_path)) == kept
    times = [when for when, _ in kept]
    assert times == sorted(times)
    for _, found in kept:
        assert 0 <= found["cpu_utilization_percentage"] <= 100
        assert found["system_memory_usage_megabytes"] > 1


def test_it_can_be_switched_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.05")
    monkeypatch.setenv("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "false")
    gauge = SystemMetrics(tmp_path)
    gauge.set_training(True)
    time.sleep(0.3)
    gauge.end()
    assert not (tmp_path / MACHINE).exists()


def test_it_is_sent_once_and_a_line_that_a_crash_cut_short_costs_no_other(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "tiny"
    run.mkdir(parents=True)
    lines = [json.dumps({"time": 100.0 + n, "metrics": {"cpu_utilization_percentage": 10.0 + n}}) for n in range(3)]
    (run / MACHINE).write_text(f"{lines[0]}\nnonsense\n{lines[1]}\n{lines[2][:20]}")
    store = Store.of(f"sqlite:///{tmp_path}/mlflow.db")
    assert store is not None
    client = MlflowClient(store.uri)

    def stored() -> list[tuple[int, int, float]]:
        (training,) = client.search_runs(["1"], "attributes.run_name = 'training'")
        history = client.get_metric_history(training.info.run_id, "system/cpu_utilization_percentage")
        return [(point.step, point.timestamp, point.value) for point in history]

    Mirror(tiny(), run, store, {}).sync({})
    assert stored() == [(0, 100_000, 10.0), (2, 101_000, 11.0)]
    with (run / MACHINE).open("a") as file:
        file.write(f"{lines[2][20:]}\n")
    assert is_behind(run, store)
    Mirror(tiny(), run, store, {}).sync({})
    assert stored() == [(0, 100_000, 10.0), (2, 101_000, 11.0), (3, 102_000, 12.0)]
