"""A training that is tracked on a real server while something happens to that server; what reached it is counted.

The truth is the journal. Lost is what it has and the server has not, in the end; stored twice what the server has
more than once; a metric is told by run, name, step and value.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from statistics import median

import pytest
from support.servers import Server
from support.tiny import tiny, write_prepared

from noisette import Events, Experiment, Run, hookimpl, train
from noisette.hooks import Status
from noisette.journal import read_journal
from noisette.layout import training_directory
from noisette_flows.tracking import Store, Tracker, catch_up, is_behind

__all__ = [
    "FAULTS",
    "Fault",
    "Outcome",
    "experiment",
    "log_directly",
    "run_with_fault",
    "start_training",
    "wait_until",
]

_LOG_EVERY = 4
_PACE = "pace"
_TESTS = Path(__file__).parents[1]
_PATIENCE = 300.0


def experiment(steps: int) -> Experiment:
    """A training whose time goes into its steps: few files, a line of the journal every fourth step."""
    options = (f"training.steps={steps}", f"training.log_every={_LOG_EVERY}", "training.checkpoint_every=1000000")
    return tiny(*options, "training.keep_checkpoints=1")


@dataclass(frozen=True)
class Fault:
    """What happens to a server.

    Attributes:
        name: in the table.
        begins: makes it happen, when a third of the training is done.
        ends: what happens when two thirds are done.
        heals: brings the server back, when the training has ended and its end was waited for.
        answers: whether the server is there when the training ends.
    """

    name: str
    begins: Callable[[Server], None]
    ends: Callable[[Server], None]
    heals: Callable[[Server], None]
    answers: bool


@dataclass(frozen=True)
class Outcome:
    """What came of a training.

    Attributes:
        told: metrics in the journal, each for two runs, its own and its parent's.
        lost: of those, not on the server in the end.
        twice: metrics that the server has more than once.
        runs: MLflow runs; there should be two.
        states: their states.
        slower: processor time of a step after the fault began, over that before; other work on the machine, which
            moves a step's time by more than any fault, does not count.
        blocked: share of the training's time that it spent in the tracker.
        waited: seconds between the last step and the end of the process.
        behind: whether the run knew in the end that the server lacked something.
    """

    told: int
    lost: int
    twice: int
    runs: int
    states: set[str]
    slower: float
    blocked: float
    waited: float
    is_behind: bool


def _nothing(server: Server) -> None:
    return


def _kill(server: Server) -> None:
    server.kill()


def _start(server: Server) -> None:
    server.start()


def _hang(server: Server) -> None:
    server.send(signal.SIGSTOP)


def _resume(server: Server) -> None:
    server.send(signal.SIGCONT)


class _Refusing(BaseHTTPRequestHandler):
    """Answers 500 to everything."""

    def _refuse(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(500)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _refuse  # noqa: N815

    def log_message(self, format: str, *arguments: object) -> None:
        return


_REFUSING: dict[int, ThreadingHTTPServer] = {}


def _refuse(server: Server) -> None:
    """Put a server that answers 500 in the place of one that is killed."""
    server.kill()
    refusing = _bind(server.port)
    threading.Thread(target=refusing.serve_forever, daemon=True).start()
    _REFUSING[server.port] = refusing


def _bind(port: int) -> ThreadingHTTPServer:
    """Take a port, as soon as the workers of the server that was killed are gone."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return ThreadingHTTPServer(("127.0.0.1", port), _Refusing)
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def _accept(server: Server) -> None:
    refusing = _REFUSING.pop(server.port)
    refusing.shutdown()
    refusing.server_close()
    server.start()


FAULTS = {
    "control": Fault("none (control)", _nothing, _nothing, _nothing, True),
    "killed": Fault("killed permanently", _kill, _nothing, _start, False),
    "back": Fault("killed, then restarted", _kill, _start, _nothing, True),
    "hanging": Fault("hangs permanently", _hang, _nothing, _resume, False),
    "hanging-back": Fault("hangs, then recovers", _hang, _resume, _nothing, True),
    "refusing": Fault("answers 500 permanently", _refuse, _nothing, _accept, False),
    "refusing-back": Fault("answers 500, then recovers", _refuse, _accept, _nothing, True),
}


def run_with_fault(folder: Path, server: Server, fault: Fault, steps: int, *, timed: bool = False) -> Outcome:
    """Train with a server to which something happens, then bring it back, and send the rest.

    `timed` waits until the first metrics are there: what comes before, the sender's start, is no part of a fault.
    """
    planned, root = experiment(steps), folder / "runs"
    root.mkdir(parents=True)
    write_prepared(root, planned)
    run = training_directory(planned, root)
    store = Store.of(server.uri)
    assert store is not None
    with start_training(root, server.uri, steps, 0.0 if timed else 0.05) as job:
        settled = 0.0
        if timed:
            wait_until(lambda: '"lines"' in _read_sync_file(run) and '"lines": 0' not in _read_sync_file(run), job)
            settled = time.time()
        total, base = steps // _LOG_EVERY, _count_journal_lines(run)
        wait_until(lambda: _count_journal_lines(run) >= base + (total - base) // 3, job)
        began = time.time()
        fault.begins(server)
        wait_until(lambda: _count_journal_lines(run) >= base + (total - base) * 2 // 3, job)
        fault.ends(server)
        assert job.wait(_PATIENCE) == 0, job.communicate()
        ended = time.time()
    was_behind = is_behind(run, store)
    fault.heals(server)
    deadline = time.monotonic() + _PATIENCE
    while is_behind(run, store) and time.monotonic() < deadline:
        catch_up(planned, run, store, {})
    assert not is_behind(run, store), (run / "mlflow.log").read_text()
    return _measure_outcome(run, server.folder / "server.db", (settled, began, ended), was_behind)


@contextmanager
def start_training(root: Path, uri: str, steps: int, pause: float = 0.0) -> Iterator[subprocess.Popen[str]]:
    """Train, tracked, in a process of its own; it is killed at the end.

    `pause` is slept, in seconds, at every line of the journal, by trainings that somebody else is waited for in.
    """
    environment = {**os.environ, "PYTHONPATH": str(_TESTS), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "support.outages", str(root), uri, str(steps), str(pause)]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _read_sync_file(run: Path) -> str:
    path = run / "mlflow.json"
    return path.read_text() if path.exists() else ""


def _count_journal_lines(run: Path) -> int:
    """Return how many lines the journal has."""
    path = run / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def wait_until(reached: Callable[[], bool], job: subprocess.Popen[str] | None) -> None:
    """Wait for something, while a process is there."""
    deadline = time.monotonic() + _PATIENCE
    while not reached():
        assert job is None or job.poll() is None, job and job.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _measure_outcome(run: Path, database: Path, times_of: tuple[float, float, float], was_behind: bool) -> Outcome:
    settled, began, ended = times_of
    entries = list(read_journal(run))
    told = Counter(
        (of, f"train/{key}", entry["step"], value)
        for entry in entries
        for key, value in entry["metrics"].items()
        for of in ("training", "parent")
    )
    assert max(told.values()) == 1
    with closing(sqlite3.connect(database)) as connection:
        runs = connection.execute(
            "select run_uuid, name, status from runs where run_uuid in "
            "(select run_uuid from tags where key = 'noisette.part' and value like ?)",
            (f"{_token(run)}%",),
        ).fetchall()
        stored: Counter[tuple[str, str, int, float]] = Counter()
        for run_id, name, _ in runs:
            of = "training" if name == "training" else "parent"
            rows = connection.execute("select key, step, value from metrics where run_uuid = ?", (run_id,))
            stored.update((of, key, step, value) for key, step, value in rows if key.startswith("train/"))
    paces = [tuple(map(float, line.split())) for line in (run / _PACE).read_text().splitlines()]
    costs = [(late[1] - early[1], late[0] > began) for early, late in pairwise(paces) if early[0] > settled]
    before, after = (median(cost for cost, late in costs if late is side) for side in (False, True))
    return Outcome(
        told=len(told),
        lost=len(told.keys() - stored.keys()),
        twice=sum(count > 1 for count in stored.values()),
        runs=len(runs),
        states={status for _, _, status in runs},
        slower=after / before,
        blocked=paces[-1][2] / (paces[-1][0] - paces[0][0]),
        waited=ended - paces[-1][0],
        is_behind=was_behind,
    )


def _token(run: Path) -> str:
    (kept,) = json.loads((run / "mlflow.json").read_text()).values()
    return str(kept["token"])


def log_directly(server: Server, fault: Fault, count: int) -> int:
    """The control: send metrics as they come, as a training that calls MLflow itself; return how many were lost."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    client = MlflowClient(server.uri)
    run_id = client.create_run("0").info.run_id
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")  # each call waits so long for a server that hangs
        for number in range(count):
            if number == count // 3:
                fault.begins(server)
            if number == count * 2 // 3:
                fault.ends(server)
            with suppress(MlflowException):
                client.log_metric(run_id, "loss", 1.0, step=number)
    fault.heals(server)
    return count - len(client.get_metric_history(run_id, "loss"))


class _Timed:
    """Adds up the time that a training spends in its tracker."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker, self.seconds = tracker, 0.0

    def _call(self, hook: Callable[..., None], *arguments: object) -> None:
        start = time.perf_counter()
        hook(*arguments)
        self.seconds += time.perf_counter() - start

    @hookimpl
    def on_run_start(self, run: Run) -> None:
        self._call(self._tracker.on_run_start, run)

    @hookimpl
    def on_run_end(self, run: Run, status: Status) -> None:
        self._call(self._tracker.on_run_end, run, status)


class _Pace:
    """Writes time, processor time, and time in the tracker, whenever there are metrics."""

    def __init__(self, path: Path, timed: _Timed, pause: float) -> None:
        self._path, self._timed, self._pause = path, timed, pause

    @hookimpl
    def on_metrics(self, run: Run) -> None:
        with self._path.open("a") as file:
            file.write(f"{time.time()} {time.process_time()} {self._timed.seconds}\n")
        time.sleep(self._pause)


def _main(root: str, uri: str, steps: str, pause: str) -> None:
    import torch

    torch.set_num_threads(1)
    planned, folder = experiment(int(steps)), Path(root)
    run = training_directory(planned, folder)
    with Tracker.follow(planned, run, uri, {}) as (tracker,):
        timed = _Timed(tracker)
        train(planned, folder, events=Events([timed, _Pace(run / _PACE, timed, float(pause))], installed=False))


if __name__ == "__main__":
    _main(*sys.argv[1:])
