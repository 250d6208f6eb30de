from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from noisette import Events, Run
from noisette.progress import LineProgress, StageProgress
from noisette_flows.display.progress import BarProgress, show_progress


@pytest.fixture(autouse=True)
def _idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test say that the machine is busy."""
    monkeypatch.setattr("os.getloadavg", lambda: (0.0, 0.0, 0.0))


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def training(total: int = 1000) -> Run:
    return Run("train", "tiny", Path("runs/tiny"), total, {})


def test_a_steady_stage_shows_its_speed_and_the_time_left() -> None:
    clock = Clock()
    pace = StageProgress(training(), clock)
    for step in range(1, 101):
        clock.now += 0.5
        pace.update(step)
    assert pace.done == "100/1000 steps"
    assert pace.speed == "2.0 steps/s"
    assert pace.time_left == "7:30 left"


def test_a_resumed_stage_is_not_credited_with_the_steps_of_the_run_before() -> None:
    clock = Clock()
    pace = StageProgress(training(), clock)
    for step in range(901, 911):
        clock.now += 1.0
        pace.update(step)
    assert pace.speed == "1.0 steps/s"
    assert pace.time_left == "1:30 left"


def test_speed_follows_a_change_within_half_a_minute() -> None:
    clock = Clock()
    pace = StageProgress(training(10_000), clock)
    step = 0
    for seconds, steps in ((1.0, 60), (0.1, 400)):
        for _ in range(steps):
            clock.now += seconds
            step += 1
            pace.update(step)
    assert 8.5 < float(pace.speed.split()[0]) <= 10.0


def test_when_all_is_counted_no_speed_and_no_time_is_claimed() -> None:
    clock = Clock()
    pace = StageProgress(Run("evaluate", "tiny", Path("runs/tiny"), 100, {}), clock)
    for step in (1, 100):  # features that were kept are read at once
        clock.now += 0.01
        pace.update(step)
    assert (pace.done.split()[0], pace.speed, pace.time_left) == ("100/100", "", "")


@pytest.mark.parametrize(("load", "shown"), [(7.6, "machine busy (load 8 on 2 cores)"), (2.9, ""), (0.0, "")])
def test_other_work_on_the_machine_is_said(monkeypatch: pytest.MonkeyPatch, load: float, shown: str) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    monkeypatch.setattr("os.getloadavg", lambda: (load, load, load))
    assert StageProgress(training(), Clock()).load_note == shown


def test_before_the_second_step_nothing_is_claimed() -> None:
    pace = StageProgress(training(), Clock())
    pace.update(1)
    assert (pace.speed, pace.time_left, pace.loss) == ("", "", "")


def test_while_something_is_computed_no_time_left_is_claimed() -> None:
    clock = Clock()
    pace = StageProgress(Run("evaluate", "tiny", Path("runs/tiny"), 1000, {}), clock)
    for step in (100, 200):
        clock.now += 0.01
        pace.update(step)
    assert pace.time_left == "0:00 left"  # control: so it stood for a minute
    pace.begin("computing kid of ddim")
    assert pace.facts == ["200/1000 images", "computing kid of ddim"]
    pace.update(300)
    assert "computing kid of ddim" not in pace.facts


def test_the_loss_is_smoothed() -> None:
    pace = StageProgress(training(), Clock())
    for loss in (1.0, 4.0):
        pace.measure({"loss": loss, "lr": 1e-3})
    assert pace.loss == "loss 2.00"


def tell(events: Events, status: str = "finished") -> None:
    run = training(3)
    events.run_start(run)
    for step in (1, 2, 3):
        events.step(run, step, {})
    events.metrics(run, 3, {"loss": 0.25})
    events.run_end(run, status)  # type: ignore[arg-type]


def test_lines_say_start_progress_and_end() -> None:
    lines: list[str] = []
    tell(Events([LineProgress(lines.append, every=0)], installed=False))
    assert lines[0] == "train tiny: started"
    assert lines[3].startswith("train tiny: 3/3 steps")
    assert lines[-1].startswith("train tiny: done, 3/3 steps in 0:0")


def test_lines_are_few() -> None:
    lines: list[str] = []
    tell(Events([LineProgress(lines.append, every=60)], installed=False))
    assert len(lines) == 2


def test_lines_say_what_is_computed_once_a_stage_unless_time_passes() -> None:
    lines: list[str] = []
    events, run = Events([LineProgress(lines.append, every=60)], installed=False), training(3)
    for _ in range(2):
        events.run_start(run)
        for metric in ("kid", "frechet"):
            events.activity(run, f"computing {metric}")
        events.run_end(run, "finished")
    assert [line for line in lines if "computing" in line] == ["train tiny: 0/3 steps, computing kid"] * 2


def test_a_bar_says_what_is_computed() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    bars = BarProgress(console)
    events, run = Events([bars], installed=False), training(3)
    events.run_start(run)
    events.activity(run, "computing kid")
    assert bars.progress.tasks[-1].fields["facts"] == "0/3 steps  computing kid"


@pytest.mark.parametrize(("status", "word"), [("stopped", "stopped"), ("failed", "failed")])
def test_a_stage_that_did_not_finish_says_so(status: str, word: str) -> None:
    lines: list[str] = []
    tell(Events([LineProgress(lines.append)], installed=False), status)
    assert word in lines[-1]


def test_a_terminal_gets_bars_and_a_pipe_gets_lines() -> None:
    shown = {}
    for terminal in (True, False):
        console = Console(file=io.StringIO(), force_terminal=terminal, width=100)
        with show_progress(console) as progress:
            tell(Events([progress], installed=False))
        shown[terminal] = console.file.getvalue()  # type: ignore[attr-defined]
    assert "━" in shown[True]
    assert "3/3 steps" in shown[True]
    assert "loss 0.250" in shown[True]
    assert "finishing" not in shown[True].splitlines()[-1]
    assert "\x1b" not in shown[False]
    assert shown[False].splitlines()[0] == "train tiny: started"


def test_many_stages_scroll_away_and_the_one_at_work_stays_in_sight() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100, height=20)
    bars = BarProgress(console)
    with bars.progress:
        for number in range(40):
            run = Run("sample", f"walk-{number}", Path(), 10, {})
            bars.on_run_start(run)
            bars.on_step(10)
            bars.on_run_end("finished")
            assert len(bars.progress.tasks) <= 13  # and one that waits
            assert bars.progress.tasks[-2].description == f"sample walk-{number}"
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert all(f"sample walk-{number}" in shown for number in range(40))
