from __future__ import annotations

from pathlib import Path

import pytest
from support.tiny import tiny, write_prepared


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A results folder in which the tiny experiment is prepared."""
    write_prepared(tmp_path, tiny())
    return tmp_path
