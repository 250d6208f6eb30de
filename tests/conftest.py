"""What all tests share: one thread for each worker, no settings of the person who runs them, and a site folder."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from support.packages import Site
from support.prefect_server import prefect_server

os.environ.setdefault("OMP_NUM_THREADS", "1")
for name in [name for name in os.environ if name.startswith("NOISETTE_")]:
    del os.environ[name]

# Examples are the same each time, none is remembered, and a busy machine is no failure.
settings.register_profile("noisette", deadline=None, derandomize=True, database=None)
settings.load_profile("noisette")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-snapshots", action="store_true", help="write tests/snapshots as things are now")
    parser.addoption("--full", action="store_true", help="try every fault in full, and write docs/reliability.md")


WAITING = {"environment", "finished", "prefect", "record", "third_party"}
"""Fixtures that start servers, go the whole way, make an environment, or note a fault that was tried."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as slow what waits for such a fixture, and begin with the files that have most of what is slow."""
    for item in items:
        if not WAITING.isdisjoint(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


@pytest.fixture(scope="session")
def full(request: pytest.FixtureRequest) -> bool:
    """Whether what takes long is tried in full."""
    return bool(request.config.getoption("--full"))


@pytest.fixture(scope="session")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of commands that share a server of Prefect, whose start takes longer than most of them."""
    with prefect_server(tmp_path_factory.mktemp("prefect")) as server:
        yield {"PREFECT_API_URL": f"{server.uri}/api"}


@pytest.fixture(autouse=True, scope="session")
def _hears_signals() -> None:
    """Hear SIGINT and SIGHUP, and let child processes hear them, also in the background or under nohup."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """An empty folder of installed packages, seen by this process."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    there = Site(folder)
    yield there
    there.forget()
