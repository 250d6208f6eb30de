"""What a person sees who calls an engine from Python."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.tiny import tiny

from noisette import Events, train


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """The package's logger, as if nobody had touched it; what other tests did to it is put back."""
    logger = logging.getLogger("noisette")
    before = logger.level, logger.propagate, logger.handlers
    logger.setLevel(logging.NOTSET)
    logger.propagate, logger.handlers = True, []
    yield logger
    logger.setLevel(before[0])
    logger.propagate, logger.handlers = before[1:]


def trained(root: Path, monkeypatch: pytest.MonkeyPatch, stderr: io.StringIO, events: Events | None = None) -> str:
    monkeypatch.setattr(sys, "stderr", stderr)
    train(tiny(), root, events=events)
    return stderr.getvalue()


@pytest.mark.usefixtures("logger")
def test_training_tells_a_person_at_a_terminal_how_it_goes(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = trained(root, monkeypatch, Terminal()).splitlines()
    assert lines[0] == "train tiny: started"
    assert lines[-1].startswith("train tiny: done, 12/12 steps in ")


@pytest.mark.usefixtures("logger")
def test_nothing_is_written_where_nobody_is_watching(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "tiny" not in trained(root, monkeypatch, io.StringIO())


@pytest.mark.usefixtures("logger")
def test_a_notebook_is_watched(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    assert "train tiny: started" in trained(root, monkeypatch, io.StringIO())


@pytest.mark.usefixtures("logger")
def test_events_of_ones_own_show_no_progress(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "tiny" not in trained(root, monkeypatch, Terminal(), Events())


def test_a_configured_log_gets_the_lines_instead(
    root: Path, monkeypatch: pytest.MonkeyPatch, logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="noisette"):
        assert "tiny" not in trained(root, monkeypatch, Terminal())
    assert ("noisette.progress", logging.INFO, "train tiny: started") in caplog.record_tuples


def test_a_level_that_was_set_is_respected(
    root: Path, monkeypatch: pytest.MonkeyPatch, logger: logging.Logger
) -> None:
    logger.setLevel(logging.WARNING)
    assert "tiny" not in trained(root, monkeypatch, Terminal())
