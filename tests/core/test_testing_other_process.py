"""A plugin of a script is looked at in another process, and the script's own checks are not made there again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
from noisette import Sampler
from noisette.testing import run_checks


class Still(Sampler):
    \"\"\"Predict the clean image at once.\"\"\"

    name = "still"

    def trajectory(self, denoise, x, noise):
        yield denoise(x, denoise.process.start).x0


{guard}print([result.outcome for result in run_checks(Still(), only=["same-in-another-process"])])
"""


@pytest.mark.parametrize("guard", ["if __name__ == '__main__':\n    ", ""])
def test_a_script_that_calls_them_is_asked_once(tmp_path: Path, guard: str) -> None:
    path = tmp_path / "script.py"
    path.write_text(SCRIPT.format(guard=guard))
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout == "['passed']\n"
