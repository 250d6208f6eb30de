from __future__ import annotations

import os
import subprocess
import sys

import pytest

SHOW = "import os, noisette; print(os.environ['OMP_WAIT_POLICY'])"


@pytest.mark.parametrize(("own", "effective"), [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE")])
def test_threads_wait_without_spinning_unless_the_user_says_otherwise(own: dict[str, str], effective: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    done = subprocess.run(
        [sys.executable, "-c", SHOW], env={**environment, **own}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == effective
