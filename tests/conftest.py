"""What all tests share: one thread for each worker, no settings of the person who runs them, and a site folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from support.packages import Site

os.environ.setdefault("OMP_NUM_THREADS", "1")
for name in [name for name in os.environ if name.startswith("NOISETTE_")]:
    del os.environ[name]

# Examples are the same each time, none is remembered, and a busy machine is no failure.
settings.register_profile("noisette", deadline=None, derandomize=True, database=None)
settings.load_profile("noisette")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """An empty folder of installed packages, seen by this process."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    there = Site(folder)
    yield there
    there.forget()
