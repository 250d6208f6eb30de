"""What an outage of the tracking server costs a training: nothing, and what it missed reaches it later."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import pytest
from support.outages import FAULTS, log_directly, run_with_fault
from support.reliability import OUTAGES, Result
from support.servers import Server, mlflow_server

pytestmark = pytest.mark.slow

Record = Callable[[Result], None]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with mlflow_server(tmp_path_factory.mktemp("mlflow")) as server:
        yield server


@pytest.mark.parametrize("name", FAULTS)
def test_a_training_and_its_metrics_outlast_an_outage(
    tmp_path: Path, server: Server, name: str, full: bool, record: Record
) -> None:
    if not full and name in ("back", "hanging", "refusing"):
        pytest.skip("tried by make outages: like another that is tried here, but longer")
    fault, trials, steps = FAULTS[name], 3 if full else 1, 4000 if full else 400
    seen = [run_with_fault(tmp_path / str(trial), server, fault, steps, timed=full) for trial in range(trials)]
    right = [one for one in seen if (one.lost, one.twice, one.runs, one.states) == (0, 0, 2, {"FINISHED"})]
    slower = median(one.slower for one in seen)
    told = {
        "metrics": sum(one.told for one in seen),
        "lost": sum(one.lost for one in seen),
        "duplicated": sum(one.twice for one in seen),
        "step time relative to before": f"{slower:.3f}",
        "most time share of the tracker": f"{max(one.blocked for one in seen):.5f}",
        "seconds from the last step to the end": f"{median(one.waited for one in seen):.1f}",
    }
    control = {"lost with direct MLflow calls": f"{log_directly(server, fault, 9)} of 9"} if full else {}
    record(Result(OUTAGES, fault.name, trials, len(right), told, control))
    assert len(right) == trials, seen
    assert all(one.blocked < 0.05 for one in seen), seen
    assert all(one.told == 4 * steps for one in seen)
    if not fault.answers:
        assert all(one.is_behind for one in seen), "the control: the server was really away"


def test_who_calls_mlflow_directly_loses_what_an_outage_takes(server: Server) -> None:
    assert log_directly(server, FAULTS["control"], 6) == 0
    assert log_directly(server, FAULTS["refusing-back"], 6) == 2
