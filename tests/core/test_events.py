from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from support.packages import Site

from noisette import Events, PluginError, Run, hookimpl
from noisette.hooks import HookSpecs


def run_at(directory: Path) -> Run:
    return Run("train", "x", directory, 10, {})


class Recorder:
    """Writes down every call."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    @hookimpl
    def on_run_start(self, run: Run) -> None:
        self.calls.append(("start", run.stage))

    @hookimpl
    def on_step(self, step: int) -> None:
        self.calls.append(("step", step))

    @hookimpl
    def on_metrics(self, metrics: Any, step: int) -> None:
        self.calls.append(("metrics", step, dict(metrics)))

    @hookimpl
    def on_images(self, key: str, path: Path) -> None:
        self.calls.append(("images", key, path.name))

    @hookimpl
    def on_checkpoint(self, step: int, path: Path) -> None:
        self.calls.append(("checkpoint", step, path.name))

    @hookimpl
    def on_run_end(self, status: str) -> None:
        self.calls.append(("end", status))


class Failing:
    """Raises at the second step."""

    def __init__(self, error: BaseException) -> None:
        self.error, self.steps = error, 0

    @hookimpl
    def on_step(self) -> None:
        self.steps += 1
        if self.steps == 2:
            raise self.error


def tell_all(events: Events, run: Run) -> None:
    events.run_start(run)
    for step in range(1, 4):
        events.step(run, step, {})
    events.metrics(run, 3, {"loss": 0.5})
    events.images(run, 3, "grid", run.directory / "grid.png")
    events.checkpoint(run, 3, run.directory / "step-3")
    events.run_end(run, "finished")


EVERYTHING = [
    ("start", "train"),
    ("step", 1),
    ("step", 2),
    ("step", 3),
    ("metrics", 3, {"loss": 0.5}),
    ("images", "grid", "grid.png"),
    ("checkpoint", 3, "step-3"),
    ("end", "finished"),
]


def test_a_listener_hears_everything_in_order_and_takes_the_arguments_it_likes(tmp_path: Path) -> None:
    recorder = Recorder()
    tell_all(Events([recorder]), run_at(tmp_path))
    assert recorder.calls == EVERYTHING


def test_every_lifecycle_hook_can_be_told() -> None:
    hooks = {name.removeprefix("on_") for name in vars(HookSpecs) if name.startswith("on_")}
    assert hooks | {"stage"} == {name for name in vars(Events) if not name.startswith("_")}


def line_of(text: str) -> int:
    lines = Path(__file__).read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


def test_a_failing_listener_is_named_once_and_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    before, failing, after = Recorder(), Failing(ValueError("tracker is down")), Recorder()
    with caplog.at_level(logging.WARNING):
        tell_all(Events([before, failing, after]), run_at(tmp_path))
    assert before.calls == after.calls == EVERYTHING
    assert failing.steps == 2
    assert [record.getMessage() for record in caplog.records] == [
        "listener Failing failed in on_step and is left out: ValueError('tracker is down') "
        f"({__file__}, line {line_of('raise self.')})"
    ]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1)])
def test_an_interrupt_passes_through(tmp_path: Path, error: BaseException) -> None:
    with pytest.raises(type(error)):
        tell_all(Events([Failing(error)]), run_at(tmp_path))


def test_listeners_are_called_in_the_order_given(tmp_path: Path) -> None:
    order: list[str] = []

    class Named:
        def __init__(self, name: str) -> None:
            self.name = name

        @hookimpl
        def on_step(self) -> None:
            order.append(self.name)

    Events([Named("a"), Named("b"), Named("c")]).step(run_at(tmp_path), 1, {})
    assert order == ["a", "b", "c"]


def test_a_listener_with_a_misspelt_hook_is_refused() -> None:
    class Misspelt:
        @hookimpl
        def on_stepp(self) -> None: ...

    with pytest.raises(PluginError, match="listener Misspelt: unknown hook 'on_stepp'"):
        Events([Misspelt()])


def test_a_listener_with_an_unknown_argument_is_refused() -> None:
    class Curious:
        @hookimpl
        def on_step(self, loss: float) -> None: ...

    with pytest.raises(PluginError, match=r"listener Curious: .*\{'loss'\}"):
        Events([Curious()])


LISTENING = """
from noisette import hookimpl
heard = []

@hookimpl
def on_step(run, step):
    heard.append((run.stage, step))
"""


def test_an_installed_package_listens_without_being_asked(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.install("acme-tracker", LISTENING)
    registry = site.registry()
    monkeypatch.setattr("noisette.plugins.registry", lambda: registry)
    assert [broken for broken in registry.broken if broken.origin.distribution == "acme-tracker"] == []
    tell_all(Events(), run_at(tmp_path))
    import acme_tracker

    assert acme_tracker.heard == [("train", 1), ("train", 2), ("train", 3)]
    tell_all(Events(installed=False), run_at(tmp_path))
    assert len(acme_tracker.heard) == 3
