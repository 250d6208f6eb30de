"""How often a fault is tried: seldom in the default suite, in full by `make faults`, which writes what it saw.

`make outages` tries those of the tracking server alone.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.jobs import train_job, training
from support.reliability import OUTAGES, Result, write
from support.tiny import write_prepared
from support.trial import start_trial

DOCS = Path(__file__).parents[2] / "docs"
RESULTS = pytest.StashKey[list[Result]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[RESULTS] = []


@pytest.fixture(scope="session")
def times(full: bool) -> Callable[[int, int], int]:
    """Choose between few trials and all."""
    return lambda few, many: many if full else few


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Callable[[Result], None]:
    """Keep a result for the table; a scenario says what it saw before it judges it."""
    return request.config.stash[RESULTS].append


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    results = session.config.stash[RESULTS]
    if session.config.getoption("--full") and results:
        outages = [result for result in results if result.section == OUTAGES]
        others = [result for result in results if result.section != OUTAGES]
        if others:
            write(others, DOCS / "reliability.json", DOCS / "reliability.md", "faults")
        if outages:
            write(outages, DOCS / "outages.json", DOCS / "tracking.md", "outages")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A results folder with the images of the experiment that is killed."""
    folder = tmp_path / "runs"
    folder.mkdir()
    write_prepared(folder, training())
    return folder


@pytest.fixture(scope="session")
def finished_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder in which the experiment is trained; tests copy it."""
    folder = tmp_path_factory.mktemp("finished")
    write_prepared(folder, training())
    with start_trial(tmp_path_factory.mktemp("training"), train_job, folder) as trial:
        assert trial.end() == 0, trial.text
    return folder
