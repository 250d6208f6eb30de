from __future__ import annotations

from pathlib import Path

import pytest
from support.workshop import Finished, Workshop, workshop_in


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return workshop_in(tmp_path)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The tiny experiment, run once for all tests; they only look at it."""
    workshop = workshop_in(tmp_path_factory.mktemp("workshop"))
    return Finished(workshop, workshop.noisette("run", "tiny.yaml"))
